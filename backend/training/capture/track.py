# SPDX-License-Identifier: GPL-3.0-or-later
"""One face followed through a film; short gaps in which it is not found are filled."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from numpy.typing import NDArray

from backend.face.landmarks import MIN_FACE_PIXELS, FaceTracker, find_face
from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import LANDMARK_COUNT, TRACKED_COUNT

from .read_video import Picture

# Gaps shorter than this (seconds) are interpolated; in longer ones the lips may do anything.
LONGEST_FILLED = 0.3
# The tracker's window, in face widths, and how far the face may move off its centre.
_WINDOW, _LEEWAY = 3.0, 0.6
# Fewer frames than this are not a performance; a photo reads as a film of one frame.
_FEWEST = 5
# Between two frames a face moves by less than this share of its width; more is a cut.
_LARGEST_STEP = 0.5
# A face that comes back has about the size it had before.
_LARGEST_CHANGE = 1.7
# The tracker crops around its previous result, so that even a still face drifts at first: it sees
# the first frame this many times before its result counts.
_SETTLING = 4
# A lost face is searched for in the whole frame at this interval, seconds: that is slow.
_SEARCH_EVERY = 0.4


@dataclass(frozen=True, eq=False)
class Track:
    """One face over T frames.

    times      seconds from the first sample of the sound
    landmarks  pixels (right, down, away from the camera); interpolated where not found
    seen       where the tracker found the face
    valid      where it was found, or interpolated over a short gap
    width, height  of the frames, in pixels
    """

    times: Float64[np.ndarray, " T"]
    landmarks: Float64[np.ndarray, "T 478 3"]
    seen: Bool[np.ndarray, " T"]
    valid: Bool[np.ndarray, " T"]
    width: int
    height: int

    @property
    def fps(self) -> float:
        """Frames per second: the median, so that a few dropped frames do not count."""
        return float(1.0 / np.median(np.diff(self.times))) if len(self.times) > 1 else 25.0


def track_face(
    pictures: Iterable[Picture],
    name: str,
    progress: Callable[[int], None] = lambda _: None,
) -> Track:
    """Follow the face that is largest in the first frame with one.

    Other faces are not mistaken for it, unless a cut replaces it by one of the same size.
    Raises VividKeysError(bad_file) where there are no frames, and no_face where no frame shows a
    face.
    """
    follower = _Follower()
    times, faces = [], []
    height = width = 0
    try:
        for picture in pictures:
            height, width = picture.pixels.shape[:2]
            times.append(picture.time)
            faces.append(follower.look(picture))
            progress(len(times))
    finally:
        follower.close()
    if not times:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"No frame of '{name}' could be decoded.",
            "Export the film again, for example as MP4 with H.264.",
        )
    if len(times) < _FEWEST:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"'{name}' has only {len(times)} frames, too few for a performance.",
            "Choose a film of at least a second in which someone speaks.",
        )
    seen = np.array([face is not None for face in faces])
    if not seen.any():
        raise VividKeysError(
            ErrorKind.NO_FACE,
            f"No face was found in '{name}'.",
            "Choose a film that shows one face from the front, well lit and not covered.",
        )
    empty = np.full((TRACKED_COUNT, 3), np.nan)
    landmarks = np.stack([empty if face is None else face for face in faces])
    filled, valid = fill_gaps(np.array(times), landmarks, seen)
    return Track(np.array(times), filled, seen, valid, width, height)


def fill_gaps(
    times: Float64[np.ndarray, " T"],
    landmarks: Float64[np.ndarray, "T N 3"],
    seen: Bool[np.ndarray, " T"],
) -> tuple[Float64[np.ndarray, "T N 3"], Bool[np.ndarray, " T"]]:
    """Landmarks interpolated over the frames where none were found, and which frames are valid.

    `times` are seconds. Long gaps are filled too, so that curves are continuous, but do not count
    as valid; nor do gaps at either end.
    """
    here = np.flatnonzero(seen)
    flat = landmarks.reshape(len(times), -1)
    filled = flat.copy()
    before = np.searchsorted(here, np.arange(len(times)), side="right") - 1
    valid = seen.copy()
    for frame in np.flatnonzero(~seen):
        previous, following = before[frame], before[frame] + 1
        if previous < 0 or following >= len(here):
            filled[frame] = flat[here[0] if previous < 0 else here[-1]]
            continue
        first, last = here[previous], here[following]
        gap = times[last] - times[first]
        share = (times[frame] - times[first]) / gap
        filled[frame] = (1 - share) * flat[first] + share * flat[last]
        valid[frame] = gap < LONGEST_FILLED
    return filled.reshape(landmarks.shape), valid


class _Follower:
    """The tracker, its window, and the face it follows."""

    def __init__(self) -> None:
        self._tracker = FaceTracker(most=2)
        self._face: NDArray[np.float64] | None = None
        self._window: tuple[tuple[float, float], float] | None = None
        self._next_search = -np.inf

    def look(self, picture: Picture) -> Float64[np.ndarray, "478 3"] | None:
        """The landmarks of the face in this frame, pixels, or None."""
        if self._face is not None and (face := self._follow(picture)) is not None:
            return face
        if picture.time < self._next_search:
            return None
        self._next_search = picture.time + _SEARCH_EVERY
        try:
            found = find_face(picture.pixels).landmarks
        except VividKeysError as error:
            if error.kind not in (ErrorKind.NO_FACE, ErrorKind.BAD_IMAGE):
                raise
            return None
        if self._face is not None:
            # Somebody in the background is not the actor, who may be out of sight.
            change = _place(found)[1] / _place(self._face)[1]
            if not 1.0 / _LARGEST_CHANGE < change < _LARGEST_CHANGE:
                return None
        self._face = found
        self._place_window(found, picture)
        # The tracker's landmarks differ slightly from the detector's: all come from the tracker.
        return self._follow(picture)

    def close(self) -> None:
        self._tracker.close()

    def _follow(self, picture: Picture) -> Float64[np.ndarray, "478 3"] | None:
        assert self._window is not None and self._face is not None
        centre, size = _place(self._face)
        best, nearest = None, _LARGEST_STEP * size
        for face in self._tracker.follow(picture.pixels, *self._window):
            there, wide = _place(face)
            away = float(np.hypot(*(there - centre)))
            if away <= nearest and wide >= MIN_FACE_PIXELS and 0.5 < wide / size < 2.0:
                best, nearest = face, away
        if best is None:
            return None
        self._face = best
        middle, side = self._window
        there, wide = _place(best)
        off = float(np.hypot(there[0] - middle[0], there[1] - middle[1]))
        if off > _LEEWAY * wide or not 0.6 < _WINDOW * wide / side < 1.6:
            self._place_window(best, picture)
        return best

    def _place_window(self, face: Float64[np.ndarray, "478 3"], picture: Picture) -> None:
        centre, wide = _place(face)
        self._window = ((float(centre[0]), float(centre[1])), _WINDOW * wide)
        self._tracker.forget()
        for _ in range(_SETTLING):
            self._tracker.follow(picture.pixels, *self._window)


def _place(face: Float64[np.ndarray, "478 3"]) -> tuple[Float64[np.ndarray, " 2"], float]:
    """Centre and size of a face, pixels; the size hardly changes when the head turns."""
    low, high = face[:LANDMARK_COUNT, :2].min(axis=0), face[:LANDMARK_COUNT, :2].max(axis=0)
    return (low + high) / 2, float(max(high - low))
