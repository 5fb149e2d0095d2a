# SPDX-License-Identifier: GPL-3.0-or-later
"""From photo and Take to the file: what is reported, told on the way, and left after a failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from small_films import clicks, picture, psnr, read_film

from backend.mesh_to_video.check_settings import checked_settings
from backend.mesh_to_video.film.provenance import photo_sha256, read_provenance, take_sha256
from backend.mesh_to_video.settings import RenderSettings
from backend.mesh_to_video.video import FrameSource, preview_settings, render_video
from backend.samples import PORTRAIT
from backend.watch import Watch
from shared.errors import ErrorKind, VividKeysError
from shared.take import Take
from tests.patience import Clock


class Maker:
    """Makes plain frames instead of the pipeline, and remembers how it was asked."""

    def __init__(
        self,
        count: int = 50,
        side: int = 64,
        notes: tuple[str, ...] = (),
        at: Callable[[int], None] = lambda frame: None,
        only: int | None = None,
    ) -> None:
        self.count, self.side, self.notes, self.at, self.only = count, side, notes, at, only
        self.settings = RenderSettings()
        self.made = 0
        self.closed = False

    def __call__(
        self, image: Path | bytes, take: Take, settings: RenderSettings, watch: Watch
    ) -> FrameSource:
        self.settings = settings
        self.channels = 4 if settings.background == "alpha" else 3
        return FrameSource(self.count, self.frames(), self.notes)

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        try:
            for frame in range(self.count if self.only is None else self.only):
                self.at(frame)
                self.made += 1
                yield picture(self.side, self.side, frame, self.channels)
        finally:
            self.closed = True


def test_a_video_and_its_report(tmp_path: Path, small_take: Take) -> None:
    told: list[tuple[float, str]] = []
    clock = Clock()
    maker = Maker(count=60, notes=("The head was held.",), at=lambda frame: clock.advance(0.25))
    out = tmp_path / "film.mp4"
    video = render_video(
        PORTRAIT,
        small_take,
        out,
        audio=clicks(tmp_path / "clicks.wav", 2.0, [1.0]),
        settings=RenderSettings(fps=29.97),
        watch=Watch(lambda share, words: told.append((share, words))),
        make_frames=maker,
        clock=clock,
    )
    film = read_film(out)
    assert len(film.frames) == 60 == video.frames
    assert psnr(film.frames[30], picture(64, 64, 30)) > 35
    assert film.click_times() == pytest.approx([1.0], abs=2e-3)
    assert (video.path, video.width, video.height) == (out, 64, 64)
    assert video.fps == pytest.approx(30000 / 1001) == maker.settings.fps
    assert video.seconds == pytest.approx(2.002)
    assert video.warnings == ("The head was held.",) and maker.closed
    known = read_provenance(out)
    assert known is not None
    assert (known.take, known.photo) == (take_sha256(small_take), photo_sha256(PORTRAIT))
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[0] == 0.0 and shares[-1] == 1.0
    assert video.fps_measured == pytest.approx(4.0)
    words = [words for _, words in told if words.startswith("Frame")]
    assert words[0] == "Frame 2 of 60, 8.0 frames per second, 8 s left"
    assert words[-1] == "Frame 60 of 60, 4.1 frames per second, 0 s left"


def test_the_speed_is_told_ten_times_a_second_and_at_the_end(
    tmp_path: Path, small_take: Take
) -> None:
    told: list[str] = []
    clock = Clock()
    render_video(
        PORTRAIT,
        small_take,
        tmp_path / "film.mp4",
        watch=Watch(lambda _share, words: told.append(words)),
        make_frames=Maker(count=12, at=lambda frame: clock.advance(0.04)),
        clock=clock,
    )
    frames = [words.split(",")[0] for words in told if words.startswith("Frame")]
    assert frames == [f"Frame {number} of 12" for number in (4, 7, 10, 12)]


def test_only_the_beginning(tmp_path: Path, small_take: Take) -> None:
    maker = Maker(count=500)
    video = render_video(
        PORTRAIT,
        small_take,
        tmp_path / "film.mov",
        audio=clicks(tmp_path / "clicks.wav", 20.0, [0.1]),
        duration=0.5,
        make_frames=maker,
    )
    assert video.frames == 13 == maker.made and maker.closed
    assert video.warnings == ()  # the sound was cut because it was asked for
    film = read_film(tmp_path / "film.mov")
    assert len(film.frames) == 13 and film.length == pytest.approx(0.52)


def test_alpha_and_the_mark_reach_the_file(tmp_path: Path, small_take: Take) -> None:
    from PIL import Image

    settings = RenderSettings(background="alpha", mark=True)
    video = render_video(
        PORTRAIT.read_bytes(),
        small_take,
        tmp_path / "shot.png",
        settings=settings,
        make_frames=Maker(count=3, side=128),
    )
    assert video.path == tmp_path / "shot_0001.png"
    pixels = np.asarray(Image.open(video.path))
    plain = picture(128, 128, 0, 4)
    assert pixels.shape == (128, 128, 4) and np.array_equal(pixels[:64], plain[:64])
    corner = np.abs(pixels[100:].astype(int) - plain[100:]).max(axis=2)
    assert (corner > 20).mean() > 0.05
    assert any("silent" in sentence for sentence in video.warnings)


def test_the_first_picture_is_shown_before_the_others_are_made(
    tmp_path: Path, small_take: Take
) -> None:
    shown: list[tuple[int, NDArray[np.uint8]]] = []
    maker = Maker(count=20)
    render_video(
        PORTRAIT,
        small_take,
        tmp_path / "film.mp4",
        first_picture=lambda pixels: shown.append((maker.made, pixels)),
        make_frames=maker,
    )
    ((made, pixels),) = shown
    assert made == 1 and np.array_equal(pixels, picture(64, 64, 0))


def test_what_the_first_video_would_wait_for_can_be_loaded_before() -> None:
    from backend.mesh_to_video.video import warm_up

    warm_up()


def test_another_recording_is_told(tmp_path: Path, small_take: Take) -> None:
    from dataclasses import replace

    sound = clicks(tmp_path / "clicks.wav", 2.0, [1.0])
    own = replace(small_take, meta={"audio_sha256": photo_sha256(sound)})
    other = replace(small_take, meta={"audio_sha256": "0" * 64})
    for take, said in ((own, 0), (other, 1)):
        video = render_video(
            PORTRAIT, take, tmp_path / "film.mp4", audio=sound, make_frames=Maker()
        )
        assert sum("different recording" in sentence for sentence in video.warnings) == said


@pytest.mark.parametrize("out", ["film.mp4", "film.mov", "shot.png", "folder"])
@pytest.mark.parametrize("when", [0, 1, 2, 7, 51, 52])
def test_cancel_at_any_moment(tmp_path: Path, small_take: Take, out: str, when: int) -> None:
    """`when`: how often it is asked before the answer is yes."""
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > when

    maker = Maker(count=50)
    with pytest.raises(VividKeysError) as raised:
        watch = Watch(cancelled=cancelled)
        render_video(PORTRAIT, small_take, tmp_path / out, watch=watch, make_frames=maker)
    assert raised.value.kind is ErrorKind.CANCELLED
    assert list(tmp_path.iterdir()) == []
    assert maker.made <= max(0, when - 1) and (maker.closed or not maker.made)


def test_what_was_done_can_be_kept(tmp_path: Path, small_take: Take) -> None:
    def at(frame: int) -> None:
        if frame == 30:
            raise VividKeysError(ErrorKind.CANCELLED, "Stopped.", "Go on later.")

    with pytest.raises(VividKeysError) as raised:
        render_video(
            PORTRAIT, small_take, tmp_path / "film.mp4", keep_partial=True, make_frames=Maker(at=at)
        )
    assert raised.value.kind is ErrorKind.CANCELLED
    assert raised.value.next_step == (
        "Go on later. What was written until then is kept as 'film.partial.mp4'."
    )
    assert len(read_film(tmp_path / "film.partial.mp4").frames) == 30


@pytest.mark.parametrize("only", [0, 20])
def test_frames_that_end_too_early_are_an_error(
    tmp_path: Path, small_take: Take, only: int
) -> None:
    with pytest.raises(VividKeysError, match=f"Only {only} of 50 frames"):
        render_video(PORTRAIT, small_take, tmp_path / "film.mp4", make_frames=Maker(only=only))
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_refuses_is_found_before_any_work(tmp_path: Path, small_take: Take) -> None:
    (tmp_path / "file").write_text("no folder")
    maker = Maker()
    with pytest.raises(VividKeysError, match="cannot be written"):
        render_video(PORTRAIT, small_take, tmp_path / "file" / "film.mp4", make_frames=maker)
    assert maker.made == 0


@pytest.mark.parametrize(
    ("settings", "out", "said"),
    [
        (RenderSettings(size=63), "f.mp4", "64 to 4096"),
        (RenderSettings(size=9000), "f.mp4", "64 to 4096"),
        (RenderSettings(size=-1), "f.mp4", "0 for the photo's own"),
        (RenderSettings(size=2.5), "f.mp4", "whole number"),  # type: ignore[arg-type]
        (RenderSettings(fps=0.0), "f.mp4", "1 to 120"),
        (RenderSettings(fps=float("nan")), "f.mp4", "not a number"),
        (RenderSettings(fps=1e9), "f.mp4", "1 to 120"),
        (RenderSettings(background="pink"), "f.mp4", "keep, blur, green or alpha"),
        (RenderSettings(background="alpha"), "f.mp4", ".mov (ProRes 4444) or .png"),
        (RenderSettings(device="gpu; rm"), "f.mp4", "cuda:0"),
        (RenderSettings(), "f.webm", ".mp4"),
    ],
)
def test_settings_that_cannot_be_used(
    tmp_path: Path, small_take: Take, settings: RenderSettings, out: str, said: str
) -> None:
    with pytest.raises(VividKeysError) as raised:
        render_video(PORTRAIT, small_take, tmp_path / out, settings=settings, make_frames=Maker())
    assert raised.value.kind is ErrorKind.BAD_REQUEST
    assert said in f"{raised.value.sentence} {raised.value.next_step}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf")])
def test_durations_that_cannot_be_used(tmp_path: Path, small_take: Take, seconds: float) -> None:
    with pytest.raises(VividKeysError, match="cannot last"):
        render_video(
            PORTRAIT, small_take, tmp_path / "f.mp4", duration=seconds, make_frames=Maker()
        )


def test_settings_that_can_be_used() -> None:
    for size in (0, 64, 65, 511, 4096):
        assert checked_settings(RenderSettings(size=size)).size == size
    for device in ("auto", "cpu", "cuda", "cuda:1", "mps"):
        assert checked_settings(RenderSettings(device=device)).device == device
    assert preview_settings(RenderSettings(size=0)).size == 256
    assert preview_settings(RenderSettings(size=200, mark=True)) == RenderSettings(200, mark=True)
