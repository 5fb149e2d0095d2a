# SPDX-License-Identifier: GPL-3.0-or-later
"""`render` on the command line, through the whole pipeline."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from backend.commands.main import main
from backend.mesh_to_video.film.provenance import read_provenance
from backend.samples import PORTRAIT, SPEECH
from shared.take import Take, save_take


def test_a_photo_speaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], small_take: Take
) -> None:
    save_take(small_take, tmp_path / "line.take.npz")
    out = tmp_path / "film.mp4"
    arguments = [
        "render", str(tmp_path / "line.take.npz"), "--image", str(PORTRAIT), "--audio",
        str(SPEECH), "--out", str(out), "--preview", "--duration", "0.4", "--mark",
    ]  # fmt: skip
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "10 frames at 25 fps (0.40 s)" in said and f"wrote {out}" in said
    assert "note: The performance was made for another face" in said
    assert "Only animate the face of someone who agreed to it." in said
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert max(stream.width, stream.height) == 256
        assert sum(1 for _ in container.decode(stream)) == 10
        assert container.streams.audio
    assert read_provenance(out) is not None


def test_more_pixels_than_the_photo_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], small_take: Take
) -> None:
    save_take(small_take, tmp_path / "line.take.npz")
    arguments = [
        "render", str(tmp_path / "line.take.npz"), "--image", str(PORTRAIT),
        "--out", str(tmp_path / "shot.png"), "--size", "4000", "--duration", "0.04",
        "--background", "alpha",
    ]  # fmt: skip
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "smaller than the requested size (4000)" in said and "silent" in said
    assert (tmp_path / "shot_0001.png").is_file()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"--out": "film.avi"}, "cannot be written as '.avi'"),
        ({"--background": "alpha"}, "transparent"),
        ({"--image": "gone.jpg"}, "gone.jpg"),
        ({"--size": "10"}, "10 pixels"),
    ],
)
def test_what_cannot_be_rendered(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    small_take: Take,
    changed: dict[str, str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_take(small_take, tmp_path / "line.take.npz")
    options = {"--image": str(PORTRAIT), "--out": "film.mp4", **changed}
    words = [word for pair in options.items() for word in pair]
    assert main(["render", "line.take.npz", *words]) == 1
    assert sentence in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["line.take.npz"]
