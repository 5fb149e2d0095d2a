# SPDX-License-Identifier: GPL-3.0-or-later
"""Decode sound files to a stream of float32 blocks, by libsndfile or otherwise FFmpeg."""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np
import soundfile
from jaxtyping import Float32
from numpy.typing import NDArray

from backend.media.containers import Nameless, OpenFile, UnknownContainerError, open_container

# Values per block over all channels: small enough to lose little where a broken file ends.
_BLOCK_VALUES = 1 << 15

# libsndfile's names of the formats that it may read; the others that it knows are decades old.
_SOUND_FORMATS = frozenset(
    {"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3", "MPEG", "NIST",
     "VOC"}
)  # fmt: skip


class CannotDecodeError(Exception):
    """The decoder does not know the format or finds nothing to play in it."""


class NoSoundTrackError(CannotDecodeError):
    """A readable container without any sound in it."""


class SoundStream:
    """One sound as blocks of samples, to be read once.

    `rate` in Hz and `channels` are known before the first block. After the last block
    `broken_off` says whether the decoder stopped at damage or found less than the header
    announced, and `frames` is the number of frames that came.
    """

    rate: int
    channels: int
    declared_frames: int | None = None
    broken_off: bool = False
    frames: int = 0

    def blocks(self) -> Iterator[Float32[np.ndarray, "frames channels"]]:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


class _StraightThrough(soundfile.SoundFile):  # type: ignore[misc]
    """A sound file that is read sequentially.

    If a file can seek, soundfile seeks to the current position after every read. For MP3 that
    discards the bit reservoir of the previous frames, and each block starts distorted.
    """

    def seekable(self) -> bool:
        return False


class SoundfileStream(SoundStream):
    """WAV, FLAC, Ogg Vorbis and Opus, MP3, AIFF, CAF and others, by libsndfile."""

    def __init__(self, source: OpenFile) -> None:
        source.seek(0)
        try:
            self._file = _StraightThrough(Nameless(source))
        except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError, OSError) as error:
            raise CannotDecodeError(str(error)) from error
        if self._file.format not in _SOUND_FORMATS:
            self._file.close()
            raise CannotDecodeError(f"the format {self._file.format}")
        self.rate = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        frames = int(self._file.frames)
        # A stream of unknown length reports a number near the largest one.
        self.declared_frames = frames if 0 <= frames < 1 << 52 else None

    def blocks(self) -> Iterator[Float32[np.ndarray, "frames channels"]]:
        size = max(64, _BLOCK_VALUES // self.channels)
        while True:
            try:
                block = self._file.read(size, dtype="float32", always_2d=True)
            except (soundfile.SoundFileError, RuntimeError, OSError):
                self.broken_off = True
                return
            if len(block) == 0:
                break
            self.frames += len(block)
            yield block
        self.broken_off = self.declared_frames is not None and self.frames < self.declared_frames

    def close(self) -> None:
        self._file.close()


class FfmpegStream(SoundStream):
    """AAC in MP4 and M4A, and the sound of films, by FFmpeg's libraries (PyAV)."""

    def __init__(self, source: OpenFile) -> None:
        self._decoded: Iterator[NDArray[np.float32]] = iter(())
        try:
            self._container = open_container(source)
        except UnknownContainerError as error:
            raise CannotDecodeError(str(error)) from error
        try:
            self._open_track()
        except BaseException:
            self._container.close()
            raise

    def _open_track(self) -> None:
        if not self._container.streams.audio:
            raise NoSoundTrackError("no audio stream")
        self._track = self._container.streams.best("audio") or self._container.streams.audio[0]
        # Rate and channels in the header may be wrong (HE-AAC); the first decoded frame is right.
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            raise CannotDecodeError("no frame could be decoded")
        self._first = first
        if self._container.duration:
            self.declared_frames = int(self._container.duration * self.rate / av.time_base)

    def _decode(self) -> Iterator[NDArray[np.float32]]:
        self.rate = self.channels = 0
        damaged_packets = 0
        # FFmpeg converts every sample format to packed floats. Planar frames must not go to numpy:
        # from eight channels on, PyAV 18 reads past their last plane and crashes.
        to_packed_floats = av.AudioResampler(format="flt")
        packets = self._container.demux(self._track)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except (av.FFmpegError, OSError, ValueError):
                self.broken_off = True
                break
            try:
                frames = packet.decode()
            except (av.FFmpegError, ValueError):
                # One bad packet is a click; a file full of them is not sound.
                damaged_packets += 1
                if damaged_packets > 200 + self.frames // 256:
                    self.broken_off = True
                    break
                continue
            for frame in frames:
                if not isinstance(frame, av.AudioFrame) or frame.samples == 0:
                    continue
                if self.rate == 0:
                    self.rate, self.channels = int(frame.sample_rate), len(frame.layout.channels)
                    if self.rate <= 0 or self.channels == 0:
                        return
                try:
                    packed = to_packed_floats.resample(frame)
                except (av.FFmpegError, ValueError, MemoryError):
                    self.broken_off = True  # the sound changes its format in the middle
                    return
                for piece in packed:
                    block = _packed_samples(piece)
                    self.frames += len(block)
                    yield block

    def blocks(self) -> Iterator[Float32[np.ndarray, "frames channels"]]:
        yield self._first
        yield from self._decoded
        if self.declared_frames is not None:
            # Durations in films are rounded and count the longest track: allow for both.
            missing = self.declared_frames - self.frames
            track = self._track.duration
            if track is not None and self._track.time_base is not None:
                missing = int(track * self._track.time_base * self.rate) - self.frames
            if missing > max(self.rate // 2, self.frames // 20):
                self.broken_off = True

    def close(self) -> None:
        self._decoded = iter(())
        self._container.close()


def _packed_samples(frame: av.AudioFrame) -> NDArray[np.float32]:
    """The samples [frames, channels] of a packed float frame."""
    values = frame.to_ndarray().reshape(-1, len(frame.layout.channels))
    return values.astype(np.float32, copy=False)
