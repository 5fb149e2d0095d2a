# SPDX-License-Identifier: GPL-3.0-or-later
"""The sound of a video: in sync, of the pictures' length, and what is said when it is not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from small_films import clicks, form, read_film

from backend.mesh_to_video.film.encode import exact_rate, open_writer
from backend.mesh_to_video.film.film_writer import FilmWriter
from backend.mesh_to_video.film.sound_track import SoundTrack

DARK = np.zeros((32, 32, 3), np.uint8)
BRIGHT = np.full((32, 32, 3), 255, np.uint8)


def write(path: Path, sound: Path | bytes | None, seconds: float, fps: float = 25.0) -> FilmWriter:
    count = round(seconds * exact_rate(fps))
    writer = open_writer(path, form(32, 32, fps, count), sound)
    with writer:
        for _ in range(count):
            writer.write(DARK)
    assert isinstance(writer, FilmWriter)
    return writer


@pytest.mark.parametrize("fps", [23.976, 29.97, 60.0])
@pytest.mark.parametrize(
    ("suffix", "extra"),
    [(".mp4", {}), (".mp4", {"fragmented": True}), (".mp4", {"keep_partial": True}), (".mov", {})],
)
def test_a_click_falls_on_its_flash(
    tmp_path: Path, fps: float, suffix: str, extra: dict[str, bool]
) -> None:
    """At the beginning and near the end, so that sound that drifts would show."""
    rate, seconds, at = exact_rate(fps), 6.0, [0.5, 5.5]
    sound = clicks(tmp_path / "clicks.wav", seconds, at)
    flashes = [round(time * rate) for time in at]
    with open_writer(
        tmp_path / f"film{suffix}", form(32, 32, fps, int(seconds * rate), **extra), sound
    ) as writer:
        for number in range(int(seconds * rate)):
            writer.write(BRIGHT if number in flashes else DARK)
    film = read_film(writer.path)
    seen = [time for time, frame in zip(film.times, film.frames, strict=True) if frame.mean() > 200]
    heard = film.click_times()
    assert len(seen) == len(heard) == 2 and film.sound_start == 0.0
    # The sound keeps its own time to the millisecond; the flash is the frame nearest to it.
    assert heard == pytest.approx(at, abs=1.5e-3)
    assert seen == pytest.approx(heard, abs=0.55 / float(rate))
    assert writer.warnings == []


def test_sound_goes_on_for_as_long_as_the_pictures(tmp_path: Path) -> None:
    sound = clicks(tmp_path / "short.wav", 0.8, [0.2])
    writer = write(tmp_path / "film.mp4", sound, 3.0)
    film = read_film(writer.path)
    assert film.sound is not None and film.sound.shape[1] / 48_000 == pytest.approx(3.0, abs=0.03)
    assert np.abs(film.sound[:, 48_000:]).max() < 1e-3
    assert film.click_times() == pytest.approx([0.2], abs=1.5e-3)
    assert writer.warnings == [
        "'short.wav' ends after 0.80 s; the video is silent from there to 3.00 s."
    ]


def test_longer_sound_is_cut(tmp_path: Path) -> None:
    sound = clicks(tmp_path / "long.wav", 4.0, [0.2, 3.0])
    writer = write(tmp_path / "film.mov", sound, 2.0)
    film = read_film(writer.path)
    assert film.length == pytest.approx(2.0, abs=1e-3)
    assert film.sound is not None and film.sound.shape[1] == 96_000
    assert "longer" in writer.warnings[0] and "2.00 s" in writer.warnings[0]
    # Half a second more or less is what Takes and recordings differ by anyhow.
    assert write(tmp_path / "film.mov", sound, 3.8).warnings == []
    assert write(tmp_path / "film.mov", sound, 4.3).warnings == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("gone.wav", None, "no sound file 'gone.wav'"),
        ("notes.wav", b"just text, no sound at all", "not a readable sound file"),
        ("empty.wav", b"", "not a readable sound file"),
    ],
)
def test_a_video_without_its_sound_is_silent(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    writer = write(tmp_path / "film.mp4", tmp_path / name, 0.4)
    film = read_film(writer.path)
    assert film.sound is None and len(film.frames) == 10
    assert said in writer.warnings[0] and "silent" in writer.warnings[0]


@pytest.mark.parametrize(("channels", "rate"), [(1, 16_000), (2, 48_000), (6, 96_000)])
def test_any_rate_and_number_of_channels(tmp_path: Path, channels: int, rate: int) -> None:
    time = np.arange(2 * rate) / rate
    tone = 0.4 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(tmp_path / "tone.wav", np.repeat(tone[:, None], channels, axis=1), rate)
    writer = write(tmp_path / "film.mov", (tmp_path / "tone.wav").read_bytes(), 2.0)
    film = read_film(writer.path)
    assert film.sound is not None and len(film.sound) == (2 if channels == 2 else 1)
    spectrum = np.abs(np.fft.rfft(film.sound[0, :48_000]))
    assert np.argmax(spectrum) == 440
    assert film.sound[0].std() == pytest.approx(0.4 / np.sqrt(2), rel=0.02)


def test_samples_that_are_no_sound_do_no_harm(tmp_path: Path) -> None:
    time = np.arange(48_000) / 48_000
    samples = (20_000 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    samples[100:110] = np.nan
    soundfile.write(tmp_path / "loud.wav", samples, 48_000, subtype="FLOAT")
    film = read_film(write(tmp_path / "film.mov", tmp_path / "loud.wav", 1.0).path)
    assert film.sound is not None and np.isfinite(film.sound).all()
    # A clipped tone would have a standard deviation near 1.
    assert 0.5 < film.sound[0, 4800:].std() < 0.8


def test_sound_is_read_only_as_far_as_the_pictures_are(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "hour.wav", np.zeros(16_000 * 300, np.float32), 16_000)
    track = SoundTrack(tmp_path / "hour.wav")
    assert track.take(1920).shape == (1, 1920)
    assert track.samples < 5 * 48_000
    track.close()


def test_pictures_say_that_they_hold_no_sound(tmp_path: Path) -> None:
    writer = open_writer(tmp_path / "shot.png", form(32, 32), clicks(tmp_path / "c.wav", 1, [0.5]))
    with writer:
        writer.write(DARK)
    assert "no sound" in writer.warnings[0]


def test_a_disk_that_goes_away_while_the_sound_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = clicks(tmp_path / "clicks.wav", 2.0, [0.1])
    writer = open_writer(tmp_path / "film.mov", form(32, 32), sound)
    assert isinstance(writer, FilmWriter) and writer._sound is not None
    blocks = writer._sound._stream.blocks

    def broken() -> Iterator[np.ndarray]:
        yield next(blocks())
        raise OSError(5, "the network is gone")

    monkeypatch.setattr(writer._sound._stream, "blocks", broken)
    with writer:
        for _ in range(50):
            writer.write(DARK)
    assert len(read_film(writer.path).frames) == 50
    assert "truncated" in writer.warnings[0] and "silent" in writer.warnings[0]
