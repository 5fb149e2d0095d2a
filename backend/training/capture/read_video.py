# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames of a film with their presentation times, and its sound."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from backend.audio.load import Audio, load_audio
from backend.media.containers import UnknownContainerError, open_container
from shared.errors import ErrorKind, VividKeysError

# Faces in larger frames are tracked no better, only slower.
LONGEST_SIDE = 1920
# All landmarks of a film are held in memory: some 2 GB for this length at 60 fps.
LONGEST_SECONDS = 600.0
_MOST_DAMAGED = 200
_MOST_PIXELS = 40_000_000  # films go up to 8K, which is 33 million
_OTHER_FILM = (
    "Choose a film (MP4, MOV, MKV, WebM, AVI, MPG, TS) in which someone speaks to the camera."
)


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright frame with square pixels.

    `time` is when it is shown: seconds from the first sample of the film's sound.
    """

    pixels: UInt8[np.ndarray, "H W 3"]
    time: float


@dataclass(frozen=True)
class VideoFacts:
    """What the file's header says; `frames` is an estimate."""

    fps: float
    frames: int


def video_facts(path: Path) -> VideoFacts:
    """Frame rate and length. Raises VividKeysError(bad_file) where there is no video track."""
    with _opened(path) as container:
        stream = _picture_stream(container, path)
        rate = stream.average_rate or stream.guessed_rate or 25
        seconds = float(container.duration or 0) / av.time_base
        return VideoFacts(float(rate), stream.frames or round(seconds * float(rate)))


def read_pictures(path: Path) -> Iterator[Picture]:
    """The film's frames in order of their times, one at a time.

    Damaged parts are skipped. Raises VividKeysError(bad_file, too_large).
    """
    with _opened(path) as container:
        stream = _picture_stream(container, path)
        stream.thread_type = "AUTO"
        start = _sound_start(container)
        shape = float(stream.sample_aspect_ratio or 1)
        last = -math.inf
        for frame in _frames(container, stream):
            if frame.time is None:
                continue
            time = float(frame.time) - start
            if time <= last:
                continue  # two frames cannot be shown at once
            if time > LONGEST_SECONDS:
                raise VividKeysError(
                    ErrorKind.TOO_LARGE,
                    f"'{path.name}' is longer than {LONGEST_SECONDS / 60:.0f} minutes.",
                    "Cut it into parts and capture them separately.",
                )
            last = time
            yield Picture(_upright(frame, shape), time)


def read_sound(path: Path) -> Audio | None:
    """The film's sound, or None where it has none that can be used."""
    try:
        return load_audio(path)
    except VividKeysError as error:
        if error.kind is ErrorKind.BAD_AUDIO:
            return None
        raise


@contextmanager
def _opened(path: Path) -> Iterator[av.container.InputContainer]:
    try:
        if not path.is_file():
            raise VividKeysError(
                ErrorKind.BAD_FILE, f"There is no file '{path}'.", "Check the path."
            )
        file = path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        raise _no_film(path) from error
    with file:
        try:
            container = open_container(file)
        except UnknownContainerError as error:
            raise _no_film(path) from error
        with container:
            yield container


def _no_film(path: Path) -> VividKeysError:
    return VividKeysError(
        ErrorKind.BAD_FILE, f"'{path.name}' is not a film that can be read.", _OTHER_FILM
    )


def _picture_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    for stream in container.streams.video:
        # The cover image of an audio file is a single still, not a film.
        if not stream.disposition & av.stream.Disposition.attached_pic:
            if stream.codec_context.width * stream.codec_context.height > _MOST_PIXELS:
                raise VividKeysError(
                    ErrorKind.TOO_LARGE,
                    f"The frames of '{path.name}' have more than {_MOST_PIXELS // 10**6} million "
                    "pixels.",
                    "Make a smaller copy, for example 1920 pixels wide.",
                )
            return stream
    raise VividKeysError(ErrorKind.BAD_FILE, f"'{path.name}' has no video track.", _OTHER_FILM)


def _sound_start(container: av.container.InputContainer) -> float:
    """Time of the first audio sample on the frames' clock; the film's start without sound."""
    tracks = [*container.streams.audio[:1], *container.streams.video[:1]]
    for track in tracks:
        if track.start_time is not None and track.time_base is not None:
            return float(track.start_time * track.time_base)
    return 0.0


def _frames(
    container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.VideoFrame]:
    damaged = 0
    packets = container.demux(stream)
    while damaged <= _MOST_DAMAGED:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.FFmpegError, OSError, ValueError):
            return
        try:
            yield from packet.decode()
        except (av.FFmpegError, ValueError):
            damaged += 1


def _upright(frame: av.VideoFrame, shape: float) -> UInt8[np.ndarray, "H W 3"]:
    pixels = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    height, width = pixels.shape[:2]
    across = width * shape if 0.2 < shape < 5 else float(width)
    scale = min(1.0, LONGEST_SIDE / max(across, height))
    size = (max(round(across * scale), 1), max(round(height * scale), 1))
    if size != (width, height):
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns) if turns else pixels)
