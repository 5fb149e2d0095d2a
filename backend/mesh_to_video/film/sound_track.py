# SPDX-License-Identifier: GPL-3.0-or-later
"""The sound of a video: any file resampled to 48 kHz, decoded no further than the pictures need."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Generator
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float32

from backend.audio.channel_mix import plain_mix
from backend.audio.decode import (
    CannotDecodeError,
    FfmpegStream,
    NoSoundTrackError,
    SoundfileStream,
    SoundStream,
)

RATE = 48_000
# No warning if sound and pictures differ in length by no more than this, seconds.
TOLERATED_DIFFERENCE = 0.5
# A recording that exceeds full scale by more than this factor has samples in other units.
_LARGEST_PEAK = 2.0
# Larger samples, infinities and NaN are treated as silence.
_LARGEST_VALUE = 1e7


class NoSoundError(Exception):
    """The sound cannot be used; the message is a sentence that says why."""


class SoundTrack:
    """A sound read once, from its beginning.

    `channels` is 1 or 2 (more are mixed down to one), `samples` the number decoded so far, at
    48 kHz.
    """

    def __init__(self, source: Path | bytes) -> None:
        """Open it. Raises NoSoundError."""
        self.name = "The sound" if isinstance(source, bytes) else f"'{Path(source).name}'"
        self._file = self._opened(source)
        try:
            self._stream = self._decoder()
            if not 1_000 <= self._stream.rate <= 1_000_000:
                raise NoSoundError(f"{self.name} is not a playable sound.")
        except BaseException:
            self._file.close()
            raise
        self.channels = 2 if self._stream.channels == 2 else 1
        self.samples = 0
        self._waiting: list[Float32[np.ndarray, "channels samples"]] = []
        self._pieces = self._resampled()
        self._ended = False

    def take(self, count: int) -> Float32[np.ndarray, "channels {count}"]:
        """The next `count` samples, -1..1; silence after the end."""
        while not self._ended and sum(piece.shape[1] for piece in self._waiting) < count:
            self._read_on()
        held = np.concatenate([np.zeros((self.channels, 0), np.float32), *self._waiting], axis=1)
        self._waiting = [held[:, count:]]
        missing = max(0, count - held.shape[1])
        return np.pad(held[:, :count], ((0, 0), (0, missing)))

    def difference(self, seconds: float, cut_on_purpose: bool = False) -> list[str]:
        """Warnings about its length, once `seconds` of it have been taken."""
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
            broken = " (the file is truncated or damaged)" if self._stream.broken_off else ""
            return [
                f"{self.name} ends after {self.samples / RATE:.2f} s{broken}; the video is silent "
                f"from there to {seconds:.2f} s."
            ]
        return []

    def close(self) -> None:
        self._pieces.close()
        self._stream.close()
        self._file.close()

    def _opened(self, source: Path | bytes) -> io.BytesIO | io.BufferedReader:
        if isinstance(source, bytes):
            return io.BytesIO(source)
        try:
            if not Path(source).is_file():
                raise NoSoundError(f"There is no sound file {self.name}.")
            return Path(source).open("rb")
        except OSError as error:
            raise NoSoundError(
                f"{self.name} cannot be opened ({error.strerror or error})."
            ) from error

    def _decoder(self) -> SoundStream:
        """The stream of the first decoder that can read the file."""
        reason = "is not a readable sound file"
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
        except (av.FFmpegError, OSError, ValueError):  # the disk or network failed
            piece, self._stream.broken_off = None, True
        if piece is None:
            self._ended = True
        else:
            self.samples += piece.shape[1]
            self._waiting.append(piece)

    def _resampled(self) -> Generator[Float32[np.ndarray, "channels samples"], None, None]:
        """Pieces at 48 kHz until the file ends."""
        layout = "stereo" if self.channels == 2 else "mono"
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=RATE)
        mix = plain_mix(self._stream.channels) if self._stream.channels > 2 else None
        gain = np.float32(1.0)
        position = 0
        for block in self._stream.blocks():
            usable = np.abs(block) <= _LARGEST_VALUE  # False for NaN as well
            block = np.where(usable, block, np.float32(0.0))
            if mix is not None:
                block = (block @ mix)[:, None]
            peak = float(np.abs(block).max(initial=0.0))
            if peak > _LARGEST_PEAK:  # float samples in integer units
                gain = min(gain, np.float32(1.0 / peak))
            packed = np.ascontiguousarray(block * gain, np.float32).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
            frame.sample_rate = self._stream.rate
            frame.pts = position
            position += len(block)
            for piece in resampler.resample(frame):
                yield _samples(piece)
        if position:
            for piece in resampler.resample(None):
                yield _samples(piece)


def _samples(frame: av.AudioFrame) -> Float32[np.ndarray, "channels samples"]:
    return np.clip(frame.to_ndarray(), -1.0, 1.0).astype(np.float32, copy=False)


def sound_sha256(source: Path | bytes) -> str:
    """The digest of a sound file, "" when it cannot be read."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    try:
        with Path(source).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
