# SPDX-License-Identifier: GPL-3.0-or-later
"""One face followed through a film, and what becomes of pictures in which it is not seen."""

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

# A face that is away for less than this is filled in; lips may do anything in a longer gap.
LONGEST_FILLED = 0.3
# The window that is looked at, in widths of the face, and how far the face may leave its middle.
_WINDOW, _LEEWAY = 3.0, 0.6
# Fewer pictures than this are no performance; a photo reads as a film of one.
_FEWEST = 5
# Between two pictures a face moves by less than this share of its width; more is a cut.
_LARGEST_STEP = 0.5
# A face that comes back has about the size it had.
_LARGEST_CHANGE = 1.7
# The tracker lays its own frame around what it saw last, so a still face drifts at first: it
# looks at the first picture this often before it counts.
_SETTLING = 4
# A face that is lost is looked for in the whole picture this often, seconds: that takes long.
_SEARCH_EVERY = 0.4


@dataclass(frozen=True, eq=False)
class Track:
    """T pictures of one face.

    times      [T] seconds from the first sample of the sound
    landmarks  [T,478,3] pixels (right, down, away from the camera); filled where not seen
    seen       [T] where the tracker saw the face
    valid      [T] where it was seen or filled in over a short gap
    width, height of the pictures in pixels
    """

    times: Float64[np.ndarray, " T"]
    landmarks: Float64[np.ndarray, "T 478 3"]
    seen: Bool[np.ndarray, " T"]
    valid: Bool[np.ndarray, " T"]
    width: int
    height: int

    @property
    def fps(self) -> float:
        """Pictures per second: the median, so that a few dropped ones do not count."""
        return float(1.0 / np.median(np.diff(self.times))) if len(self.times) > 1 else 25.0


def track_face(
    pictures: Iterable[Picture],
    name: str,
    progress: Callable[[int], None] = lambda _: None,
) -> Track:
    """Follow the face that is largest where it first appears; nobody else is taken for it,
    unless a cut puts a face of the same size in its place.

    Raises VividKeysError(bad_file) without pictures and no_face where no picture shows a face.
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
            f"No picture of '{name}' could be decoded.",
            "Export the film again, for example as MP4 with H.264.",
        )
    if len(times) < _FEWEST:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"'{name}' holds only {len(times)} pictures, which is no performance.",
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
    """Straight lines over what was not seen, and where that can be believed.

    `times` [T] seconds, `landmarks` [T,N,3]; returns [T,N,3] without gaps and `valid` [T]. Long
    gaps are filled too, so that curves go on, but count as not valid; so do gaps at the ends.
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
    """The tracker with the window it looks at and the face it belongs to."""

    def __init__(self) -> None:
        self._tracker = FaceTracker(most=2)
        self._face: NDArray[np.float64] | None = None
        self._window: tuple[tuple[float, float], float] | None = None
        self._next_search = -np.inf

    def look(self, picture: Picture) -> Float64[np.ndarray, "478 3"] | None:
        """The face [478,3] in this picture, or None."""
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
            # Somebody in the background is not the actor who went out of sight.
            change = _place(found)[1] / _place(self._face)[1]
            if not 1.0 / _LARGEST_CHANGE < change < _LARGEST_CHANGE:
                return None
        self._face = found
        self._place_window(found, picture)
        # The tracker's own landmarks differ a little from the finder's: one source for all.
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
    """Middle [2] and size of a face in pixels; the size hardly changes when the head turns."""
    low, high = face[:LANDMARK_COUNT, :2].min(axis=0), face[:LANDMARK_COUNT, :2].max(axis=0)
    return (low + high) / 2, float(max(high - low))
