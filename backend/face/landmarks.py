# SPDX-License-Identifier: GPL-3.0-or-later
"""The 478 landmarks (468 and the irises) of faces in pictures, by MediaPipe's models."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8
from numpy.typing import NDArray
from PIL import Image

from backend.watch import UNWATCHED, Watch
from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import LANDMARK_COUNT, TRACKED_COUNT

from .mediapipe_solutions import load_solution

# Below this the landmarks are guesses rather than measurements.
MIN_FACE_PIXELS = 64
SMALL_FACE_PIXELS = 100
MAX_FACES = 6

_lock = threading.Lock()
_tracker: Any = None
_started = False


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """Landmarks in pixels of the photo (right, down, away from the camera), and warnings."""

    landmarks: Float64[np.ndarray, "478 3"]
    warnings: tuple[str, ...]


def find_face(pixels: UInt8[np.ndarray, "H W 3"], watch: Watch = UNWATCHED) -> TrackedFace:
    """Find the largest face of a photo.

    The detector expects faces of a certain size, so if it finds none the photo is tried again
    with a margin around it, enlarged in pieces, and with more contrast.
    Raises VividKeysError(no_face, bad_image, cancelled).
    """
    for attempt in _attempts(pixels):
        watch.check()
        faces = _track(attempt)
        if faces:
            return _largest(faces, pixels)
    raise VividKeysError(
        ErrorKind.NO_FACE,
        "No face was found in the picture.",
        "Choose a photo that shows one face from the front, well lit and not covered.",
    )


def faces_in_square(pixels: UInt8[np.ndarray, "side side 3"]) -> list[Float64[np.ndarray, "478 3"]]:
    """All faces of a square picture, in its pixels, in a single attempt."""
    return _track(pixels)


class FaceTracker:
    """Follows faces from frame to frame, which is steadier than detecting them each time.

    Use one for each film: the last frame determines where it looks in the next.
    """

    def __init__(self, most: int = 2) -> None:
        with _lock, quiet_native_log():
            self._models = _load_models(still=False, most=most)
            self._start()

    def follow(
        self, pixels: UInt8[np.ndarray, "H W 3"], centre: tuple[float, float], side: float
    ) -> list[Float64[np.ndarray, "478 3"]]:
        """Faces within a square of a picture, in pixels of the whole picture."""
        view = _view(pixels, *centre, side)
        with _lock:
            return _in_photo(self._models.process(view.pixels).multi_face_landmarks, view)

    def forget(self) -> None:
        """Search the whole of the next picture, as after a cut."""
        with _lock, quiet_native_log():
            self._models.reset()
            self._start()

    def _start(self) -> None:
        """Process one picture: until then the models start, and log, in their own threads."""
        self._models.process(np.zeros((128, 128, 3), np.uint8))

    def close(self) -> None:
        """Release the models' memory."""
        self._models.close()


def warm_up() -> None:
    """Load the models now instead of on the first photo."""
    _track(np.zeros((128, 128, 3), np.uint8))


def _largest(faces: list[NDArray[np.float64]], pixels: NDArray[np.uint8]) -> TrackedFace:
    def size(face: NDArray[np.float64]) -> float:
        return float(np.ptp(face[:LANDMARK_COUNT, 0]) * np.ptp(face[:LANDMARK_COUNT, 1]))

    faces = sorted(faces, key=size, reverse=True)
    face, notes = faces[0], []
    if len(faces) > 1:
        notes.append(f"The picture shows {len(faces)} faces; the largest one was used.")
    width = float(np.ptp(face[:LANDMARK_COUNT, 0]))
    if width < MIN_FACE_PIXELS:
        raise VividKeysError(
            ErrorKind.BAD_IMAGE,
            f"The face in the picture is only {width:.0f} pixels wide.",
            "Choose a photo in which the face is at least 64 pixels wide.",
        )
    if width < SMALL_FACE_PIXELS:
        notes.append(f"The face is only {width:.0f} pixels wide; the texture will be coarse.")
    height, across = pixels.shape[:2]
    outside = (face[:LANDMARK_COUNT, :2] < 0) | (face[:LANDMARK_COUNT, :2] >= (across, height))
    if outside.any(axis=1).mean() > 0.02:
        notes.append("Part of the face lies outside the picture; it was guessed.")
    return TrackedFace(face, tuple(notes))


def _attempts(pixels: NDArray[np.uint8]) -> Iterator[_View]:
    """Views of the photo in the order in which they are tried."""
    height, width = pixels.shape[:2]
    side = float(max(height, width))
    yield _view(pixels, width / 2, height / 2, side)
    # A face that fills the picture is found once there is a margin around it.
    yield _view(pixels, width / 2, height / 2, 1.8 * side)
    # A small face in a large picture is found in a piece of it.
    for part in (0.6, 0.35):
        for centre_y in _centres(height, part * side):
            for centre_x in _centres(width, part * side):
                yield _view(pixels, centre_x, centre_y, part * side)
    yield _view(_stretched(pixels), width / 2, height / 2, 1.2 * side)


def _centres(length: int, window: float) -> NDArray[np.float64]:
    if window >= length:
        return np.array([length / 2])
    count = int(np.ceil((length - window) / (window / 2))) + 1
    return np.linspace(window / 2, length - window / 2, count)


def _stretched(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Brightness spread over the full range; helps dark and faded photos."""
    low, high = np.percentile(pixels, (1, 99))
    level = np.clip((pixels - low) / max(high - low, 1.0), 0, 1) ** 0.7
    return np.asarray(level * 255, np.uint8)


@dataclass(frozen=True, eq=False)
class _View:
    """A square picture and where its corner lies in the photo; `scale` photo pixels per pixel."""

    pixels: NDArray[np.uint8]
    corner: tuple[float, float]
    scale: float


# The landmark network looks at 192 or 256 pixels; more than this only costs time.
_VIEW_SIDE = 768


def _view(pixels: NDArray[np.uint8], centre_x: float, centre_y: float, side: float) -> _View:
    """A square piece (padded with grey), because the models misjudge pictures that are not."""
    whole = max(1, round(side))
    left, top = round(centre_x - whole / 2), round(centre_y - whole / 2)
    height, width = pixels.shape[:2]
    square = np.full((whole, whole, 3), 127, np.uint8)
    x0, x1 = max(left, 0), min(left + whole, width)
    y0, y1 = max(top, 0), min(top + whole, height)
    square[y0 - top : y1 - top, x0 - left : x1 - left] = pixels[y0:y1, x0:x1]
    if whole > _VIEW_SIDE or whole < _VIEW_SIDE // 2:
        method = Image.Resampling.BOX if whole > _VIEW_SIDE else Image.Resampling.BICUBIC
        resized = Image.fromarray(square).resize((_VIEW_SIDE, _VIEW_SIDE), method)
        square = np.ascontiguousarray(np.asarray(resized, np.uint8))
    return _View(square, (float(left), float(top)), whole / len(square))


def _track(view: _View | NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """Faces of a square picture as landmarks [478,3] in pixels of the photo it comes from."""
    if not isinstance(view, _View):
        view = _View(view, (0.0, 0.0), 1.0)
    global _started
    with _lock, nullcontext() if _started else quiet_native_log():
        found = _models().process(view.pixels).multi_face_landmarks
        _started = True
    return _in_photo(found, view)


def _in_photo(found: Any, view: _View) -> list[NDArray[np.float64]]:
    """MediaPipe's faces of a view as landmarks [478,3] in pixels of the photo."""
    side = len(view.pixels) * view.scale
    faces = []
    for face in found or ():
        points = np.array([(p.x, p.y, p.z) for p in face.landmark], np.float64)
        if points.shape == (TRACKED_COUNT, 3) and np.isfinite(points).all():
            faces.append(points * side + (*view.corner, 0.0))
    return faces


def _models() -> Any:
    """The finder for single photos, loaded at first use."""
    global _tracker
    if _tracker is None:
        _tracker = _load_models(still=True, most=MAX_FACES)
    return _tracker


def _load_models(*, still: bool, most: int) -> Any:
    """MediaPipe's tracker for single pictures or for films; loaded at first use."""
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    tracker = load_solution("face_mesh", "FaceMesh")
    return tracker(
        static_image_mode=still,
        refine_landmarks=True,
        max_num_faces=most,
        min_detection_confidence=0.4,
    )


@contextmanager
def quiet_native_log() -> Iterator[None]:
    """Keep MediaPipe's start-up log, which C++ writes to file descriptor 2, off the terminal.

    The descriptor belongs to the whole process, so use this only while a tracker starts.
    """
    try:
        kept = os.dup(2)
    except OSError:
        yield
        return
    try:
        sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
