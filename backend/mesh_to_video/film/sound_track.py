# SPDX-License-Identifier: GPL-3.0-or-later
"""The sound of a video: any file at 48 kHz, read only as far ahead as the pictures are."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from backend.audio.channel_mix import plain_mix
from backend.audio.decode import (
    CannotDecodeError,
    FfmpegStream,
    NoSoundTrackError,
    SoundfileStream,
    SoundStream,
)

RATE = 48_000
# Sounds that differ less from the pictures' length are not worth a word, seconds.
TOLERATED_DIFFERENCE = 0.5
# A recording that goes further over full scale is one in other units; seldom more than a click.
_LARGEST_PEAK = 2.0
_LARGEST_VALUE = 1e7


class NoSoundError(Exception):
    """This sound cannot be had; the message is a sentence that says why."""


class SoundTrack:
    """One sound from its beginning; read it once.

    `channels` is 1 or 2 (more are averaged to one), `samples` how many at 48 kHz have come from
    the file so far.
    """

    def __init__(self, source: Path | bytes) -> None:
        """Open it. Raises NoSoundError."""
        self.name = "The sound" if isinstance(source, bytes) else f"'{Path(source).name}'"
        self._file = self._opened(source)
        try:
            self._stream = self._understood()
            if not 1_000 <= self._stream.rate <= 1_000_000:
                raise NoSoundError(f"{self.name} is no sound that can be played.")
        except BaseException:
            self._file.close()
            raise
        self.channels = 2 if self._stream.channels == 2 else 1
        self.samples = 0
        self._waiting: list[NDArray[np.float32]] = []
        self._pieces = self._resampled()
        self._ended = False

    def take(self, count: int) -> NDArray[np.float32]:
        """The next `count` samples, float32 [channels, count] in -1..1; silence after the end."""
        while not self._ended and sum(piece.shape[1] for piece in self._waiting) < count:
            self._read_on()
        held = np.concatenate([np.zeros((self.channels, 0), np.float32), *self._waiting], axis=1)
        self._waiting = [held[:, count:]]
        missing = max(0, count - held.shape[1])
        return np.pad(held[:, :count], ((0, 0), (0, missing)))

    def difference(self, seconds: float, cut_on_purpose: bool = False) -> list[str]:
        """What is to be said of its length, once `seconds` of it were taken."""
        limit = round((seconds + TOLERATED_DIFFERENCE) * RATE)
        while not self._ended and self.samples <= limit:
            self._read_on()
        if self.samples > limit:
            sentence = (
                f"{self.name} is longer than the Take; it was cut where the video ends, "
                f"after {seconds:.2f} s."
            )
            return [] if cut_on_purpose else [sentence]
        if self.samples < round((seconds - TOLERATED_DIFFERENCE) * RATE):
            broken = " (its file is broken off or damaged)" if self._stream.broken_off else ""
            return [
                f"{self.name} ends after {self.samples / RATE:.2f} s{broken}; the video goes on "
                f"in silence until {seconds:.2f} s."
            ]
        return []

    def close(self) -> None:
        self._pieces.close()
        self._stream.close()
        self._file.close()

    def _opened(self, source: Path | bytes) -> BinaryIO:
        if isinstance(source, bytes):
            return io.BytesIO(source)
        try:
            if not Path(source).is_file():
                raise NoSoundError(f"There is no sound file {self.name}.")
            return open(source, "rb")
        except OSError as error:
            raise NoSoundError(
                f"{self.name} cannot be opened ({error.strerror or error})."
            ) from error

    def _understood(self) -> SoundStream:
        """The stream of the decoder that knows the file."""
        reason = "is no sound file that can be read"
        for opener in (SoundfileStream, FfmpegStream):
            try:
                return opener(self._file)
            except NoSoundTrackError:
                reason = "has no sound track"
            except CannotDecodeError:
                pass
        raise NoSoundError(f"{self.name} {reason}.")

    def _read_on(self) -> None:
        try:
            piece = next(self._pieces, None)
        except (av.FFmpegError, OSError, ValueError):  # its disk or network is gone
            piece, self._stream.broken_off = None, True
        if piece is None:
            self._ended = True
        else:
            self.samples += piece.shape[1]
            self._waiting.append(piece)

    def _resampled(self) -> Generator[NDArray[np.float32], None, None]:
        """Pieces [channels, n] at 48 kHz until the file ends."""
        layout = "stereo" if self.channels == 2 else "mono"
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=RATE)
        mix = plain_mix(self._stream.channels) if self._stream.channels > 2 else None
        gain = np.float32(1.0)
        place = 0
        for block in self._stream.blocks():
            usable = np.abs(block) <= _LARGEST_VALUE  # False for NaN as well
            block = np.where(usable, block, np.float32(0.0))
            if mix is not None:
                block = (block @ mix)[:, None]
            peak = float(np.abs(block).max(initial=0.0))
            if peak > _LARGEST_PEAK:  # samples in the units of integers
                gain = min(gain, np.float32(1.0 / peak))
            packed = np.ascontiguousarray(block * gain, np.float32).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
            frame.sample_rate = self._stream.rate
            frame.pts = place
            place += len(block)
            for piece in resampler.resample(frame):
                yield _samples(piece)
        if place:
            for piece in resampler.resample(None):
                yield _samples(piece)


def _samples(frame: av.AudioFrame) -> NDArray[np.float32]:
    return np.clip(frame.to_ndarray(), -1.0, 1.0).astype(np.float32, copy=False)


def sound_sha256(source: Path | bytes) -> str:
    """The digest of a sound's file, "" when it cannot be read."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    try:
        with open(source, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
