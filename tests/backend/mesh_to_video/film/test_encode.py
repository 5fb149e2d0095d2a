# SPDX-License-Identifier: GPL-3.0-or-later
"""Videos that are read again: pixels, colours, alpha, sizes, rates, and what they cost."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from PIL import Image
from small_films import form, picture, psnr, read_film

from backend.mesh_to_video.film.encode import exact_rate, open_writer
from backend.mesh_to_video.film.provenance import top_boxes
from shared.errors import ErrorKind, VividKeysError


@pytest.mark.parametrize(("suffix", "least"), [(".mp4", 38.0), (".mov", 40.0)])
@pytest.mark.parametrize("extra", [{}, {"fragmented": True}, {"keep_partial": True}])
def test_frames_come_back(
    tmp_path: Path, suffix: str, least: float, extra: dict[str, bool]
) -> None:
    frames = [picture(160, 96, number) for number in range(30)]
    with open_writer(tmp_path / f"film{suffix}", form(160, 96, 25.0, 30, **extra)) as writer:
        for frame in frames:
            writer.write(frame)
    film = read_film(writer.path)
    assert len(film.frames) == 30 and film.times[0] == 0.0
    assert film.length == pytest.approx(1.2, abs=1e-3)
    assert min(map(psnr, frames, film.frames)) > least
    assert writer.warnings == [] and writer.frames == 30
    assert [path.name for path in tmp_path.iterdir()] == [f"film{suffix}"]


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_colours_are_tagged_as_they_are_written(tmp_path: Path, suffix: str) -> None:
    """Patches of pure colour, read by nothing but the tags' meaning (BT.709, limited range)."""
    colours = np.array(
        [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 150, 120)]
    )
    flat = np.repeat(np.repeat(colours[None], 32, axis=1), 32, axis=0).astype(np.uint8)
    with open_writer(tmp_path / f"film{suffix}", form(192, 32)) as writer:
        writer.write(flat)
    with av.open(str(writer.path)) as container:
        frame = next(container.decode(video=0))
        context = container.streams.video[0].codec_context
        tags = (context.color_range, context.colorspace, context.color_primaries)
        assert (*tags, context.color_trc) == (1, 1, 1, 1)
        planes = frame.to_ndarray(format="yuv444p").astype(np.float64)
    luma, blue, red = ((planes[0] - 16) / 219, (planes[1] - 128) / 224, (planes[2] - 128) / 224)
    r, b = luma + 1.5748 * red, luma + 1.8556 * blue
    g = (luma - 0.2126 * r - 0.0722 * b) / 0.7152
    measured = 255 * np.stack([r, g, b], axis=2)[16, 16::32]
    assert np.abs(measured - colours).max() < 5


def test_odd_sides_of_an_mp4_are_filled_and_told(tmp_path: Path) -> None:
    odd = picture(101, 75)
    with open_writer(tmp_path / "film.mp4", form(101, 75)) as writer:
        writer.write(odd)
    film = read_film(writer.path)
    assert film.frames[0].shape == (76, 102, 3) == (writer.height, writer.width, 3)
    assert "102 by 76" in writer.warnings[0]
    assert psnr(film.frames[0][:75, :101], odd) > 34
    assert np.abs(film.frames[0][:75, 101].astype(int) - odd[:, 100]).mean() < 12
    with open_writer(tmp_path / "film.mov", form(101, 75)) as writer:
        writer.write(odd)
    assert read_film(writer.path).frames[0].shape == (75, 101, 3) and not writer.warnings


def test_alpha_is_kept_in_mov_premultiplied(tmp_path: Path) -> None:
    frames = [picture(96, 80, number, channels=4) for number in range(5)]
    with open_writer(tmp_path / "film.mov", form(96, 80, alpha=True)) as writer:
        for frame in frames:
            writer.write(frame)
    film = read_film(writer.path, "rgba")
    for frame, read in zip(frames, film.frames, strict=True):
        alpha = frame[..., 3:] / 255
        assert np.abs(read[..., 3].astype(int) - frame[..., 3]).max() <= 1
        assert psnr(read[..., :3], np.round(frame[..., :3] * alpha).astype(np.uint8)) > 45


def test_alpha_is_exact_in_pictures(tmp_path: Path) -> None:
    frames = [picture(33, 21, number, channels=4) for number in range(3)]
    with open_writer(tmp_path / "shot.png", form(33, 21, count=3, alpha=True)) as writer:
        for frame in frames:
            writer.write(frame)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "shot_0001.png", "shot_0002.png", "shot_0003.png",
    ]  # fmt: skip
    assert writer.path == tmp_path / "shot_0001.png"
    for number, frame in enumerate(frames, 1):
        assert np.array_equal(np.asarray(Image.open(tmp_path / f"shot_{number:04d}.png")), frame)


@pytest.mark.parametrize(
    ("out", "first"),
    [("folder", "folder/0001.png"), ("x_%04d.png", "x_0001.png"), ("x.####.png", "x._0001.png")],
)
def test_names_of_pictures(tmp_path: Path, out: str, first: str) -> None:
    with open_writer(tmp_path / out, form(16, 16)) as writer:
        writer.write(picture(16, 16))
    assert writer.path == tmp_path / first and writer.path.is_file()


def test_a_shorter_sequence_leaves_nothing_of_the_longer_one(tmp_path: Path) -> None:
    for count in (4, 2):
        with open_writer(tmp_path / "shot.png", form(16, 16, count=count)) as writer:
            for number in range(count):
                writer.write(picture(16, 16, number))
        (tmp_path / "shot_0009.png").write_bytes(b"the user's own")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["shot_0001.png", "shot_0002.png", "shot_0009.png"]


def test_more_pictures_than_four_digits(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "shot.png", form(16, 16, count=12_000))
    assert writer.path.name == "shot_00001.png"
    writer.abandon()


@pytest.mark.parametrize("out", ["take: 3 %d für 你好.mp4", "take: 3 %d #.mov", "take:3 [x].png"])
def test_names_that_mean_something_else_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no colons in names")
    monkeypatch.chdir(tmp_path)
    with open_writer(Path(out), form(32, 32)) as writer:
        writer.write(picture(32, 32))
    assert [path.name for path in tmp_path.iterdir()] == [out.replace(".png", "_0001.png")]
    with av.open(str(writer.path.absolute())) as container:
        assert len(list(container.decode(video=0))) == 1


def test_no_alpha_in_mp4(tmp_path: Path) -> None:
    with pytest.raises(VividKeysError) as raised:
        open_writer(tmp_path / "film.mp4", form(32, 32, alpha=True))
    assert raised.value.kind is ErrorKind.BAD_REQUEST
    assert ".mov" in raised.value.next_step and ".png" in raised.value.next_step
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["film.avi", "film.mp3", "film.jpg"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(VividKeysError, match="cannot be written") as raised:
        open_writer(tmp_path / name, form(32, 32))
    assert ".mp4" in raised.value.next_step


def test_frames_of_another_shape_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(VividKeysError, match="frame is uint8"),
        open_writer(tmp_path / "film.mp4", form(32, 32)) as writer,
    ):
        writer.write(picture(32, 34))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (25.0, Fraction(25)), (12.5, Fraction(25, 2)), (60.0, Fraction(60)),
        (23.976, Fraction(24000, 1001)), (23.98, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)), (59.94, Fraction(60000, 1001)),
        (30000 / 1001, Fraction(30000, 1001)), (14.7, Fraction(147, 10)),
    ],
)  # fmt: skip
def test_exact_rates(tmp_path: Path, fps: float, rate: Fraction) -> None:
    assert exact_rate(fps) == rate
    with open_writer(tmp_path / "film.mp4", form(32, 32, fps)) as writer:
        for number in range(24):
            writer.write(picture(32, 32, number))
    film = read_film(writer.path)
    assert film.rate == pytest.approx(float(rate), rel=1e-9)
    assert film.times == pytest.approx([float(k / rate) for k in range(24)], abs=1e-4)


def test_the_index_is_at_the_front(tmp_path: Path) -> None:
    with open_writer(tmp_path / "film.mp4", form(32, 32)) as writer:
        writer.write(picture(32, 32))
    kinds = [kind for kind, _, _ in top_boxes(writer.path)]
    assert kinds.index(b"moov") < kinds.index(b"mdat")


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.mp4", "two.mp4"):
        with open_writer(tmp_path / name, form(64, 64)) as writer:
            for number in range(20):
                writer.write(picture(64, 64, number))
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    process = psutil.Process()
    frames = [picture(192, 192, number) for number in range(16)]
    with open_writer(tmp_path / "film.mp4", form(192, 192, 25.0, 900)) as writer:
        for number in range(100):
            writer.write(frames[number % 16])
        before = process.memory_info().rss
        for number in range(800):  # 88 MB of pixels
            writer.write(frames[number % 16])
        grown = process.memory_info().rss - before
    assert grown < 25e6
