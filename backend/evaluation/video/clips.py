# SPDX-License-Identifier: GPL-3.0-or-later
"""Real talking clips as a reference: all their frames, and the face in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from backend.training.capture.read_video import read_pictures
from backend.training.capture.track import track_face
from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import (
    LEFT_LID_LOWER,
    LEFT_LID_UPPER,
    RIGHT_LID_LOWER,
    RIGHT_LID_UPPER,
)

VIDEO = Path("video")
_ENDINGS = (".mpg", ".mp4", ".mov", ".mkv", ".avi", ".webm")
# Frames are held in memory, and more of one person adds nothing.
LONGEST_SECONDS = 20.0
# Eyes opened at least to this share of their usual opening count as open.
_OPEN = 0.75


@dataclass(frozen=True, eq=False)
class RealClip:
    """T frames of a talking person.

    landmarks  pixels, as tracked, without smoothing
    seen       whether the face was found
    photo      index of the frame that serves as the photo
    """

    name: str
    fps: float
    frames: tuple[UInt8[np.ndarray, "H W 3"], ...]
    landmarks: Float64[np.ndarray, "T 478 3"]
    seen: Bool[np.ndarray, " T"]
    photo: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.frames[0].shape[:2]
        return height, width


def clip_files(data: Path) -> list[Path]:
    """The films in DATA/video, or in DATA itself, sorted by name."""
    folder = data / VIDEO if (data / VIDEO).is_dir() else data
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in _ENDINGS)


def read_clip(path: Path, tracked: Callable[[int], None] = lambda _: None) -> RealClip:
    """Read and track a film; `tracked` is called with the number of frames done.

    Raises VividKeysError(bad_file, no_face, too_large).
    """
    pictures = []
    for picture in read_pictures(path):
        if picture.time > LONGEST_SECONDS:
            break
        pictures.append(picture)
    track = track_face(pictures, path.name, tracked)
    photo = photo_frame(track.landmarks, track.seen)
    if np.count_nonzero(track.seen) < 5:
        raise VividKeysError(
            ErrorKind.NO_FACE, f"Almost no frame of '{path.name}' shows a face.", ""
        )
    frames = tuple(picture.pixels for picture in pictures)
    return RealClip(path.stem, track.fps, frames, track.landmarks, track.seen, photo)


def photo_frame(landmarks: Float64[np.ndarray, "T 478 3"], seen: Bool[np.ndarray, " T"]) -> int:
    """The first frame in which the face was found with both eyes about as open as usual."""
    opening = np.minimum(
        _opening(landmarks, LEFT_LID_UPPER, LEFT_LID_LOWER),
        _opening(landmarks, RIGHT_LID_UPPER, RIGHT_LID_LOWER),
    )
    usual = float(np.median(opening[seen])) if seen.any() else 0.0
    good = np.flatnonzero(seen & (opening >= _OPEN * usual))
    return int(good[0]) if len(good) else 0


def _opening(
    landmarks: Float64[np.ndarray, "T 478 3"], upper: tuple[int, ...], lower: tuple[int, ...]
) -> Float64[np.ndarray, " T"]:
    """Height of an eye's opening in widths of the eye."""
    width = np.linalg.norm(landmarks[:, upper[0], :2] - landmarks[:, upper[-1], :2], axis=1)
    gap = landmarks[:, list(upper[3:6]), :2] - landmarks[:, list(lower[3:6]), :2]
    return np.asarray(np.linalg.norm(gap.mean(axis=1), axis=1) / np.maximum(width, 1e-6))
