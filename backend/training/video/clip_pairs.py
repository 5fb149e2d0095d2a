# SPDX-License-Identifier: GPL-3.0-or-later
"""Training pairs from the user's own films of talking faces.

Any folder of films will do (`python -m backend capture` reads the same formats). Shipped weights
may only use films whose licence allows it; the clips in the evaluation data's folder `video` must
never be trained on, because the evaluation uses them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float64, UInt8

from backend.training.capture.read_video import read_pictures
from backend.training.capture.track import Track, track_face
from shared.errors import VividKeysError
from shared.landmarks import LANDMARK_COUNT

from .pairs import TrainingPair

SUFFIXES = (".mp4", ".mov", ".mkv", ".mpg", ".mpeg", ".avi", ".webm", ".m4v")
# Frames are scaled down until the face is no taller than this, pixels.
_FACE_PIXELS = 260.0
# Frames of a film closer than this look alike, seconds.
_APART = 0.4


def films_in(folder: Path) -> list[Path]:
    """The films in a folder and its subfolders."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def clip_pairs(
    film: Path, random: np.random.Generator, sources: int = 2, targets: int = 6
) -> Iterator[TrainingPair]:
    """Pairs of frames of one film; targets come in twos, the second following the first.

    A film that cannot be used yields nothing and prints why.
    """
    try:
        track = track_face(read_pictures(film), film.name)
    except VividKeysError as error:
        print(f"{film.name}: {error}", flush=True)
        return
    usable = track.seen & track.valid
    with_next = np.flatnonzero(usable[:-1] & usable[1:])
    if len(with_next) < 2:
        return
    plan = []
    for source in random.choice(with_next, min(sources, len(with_next)), replace=False):
        far = with_next[np.abs(track.times[with_next] - track.times[source]) > _APART]
        if len(far):
            count = min(targets // 2, len(far))
            plan.append((int(source), [int(t) for t in random.choice(far, count, replace=False)]))
    wanted = {n for source, chosen in plan for t in chosen for n in (source, t, t + 1)}
    pictures = _pictures(film, track, wanted)
    for source, chosen in plan:
        for first in chosen:
            for number in (first, first + 1):
                if source in pictures and number in pictures:
                    (pixels, landmarks), (other, moved) = pictures[source], pictures[number]
                    yield TrainingPair(
                        pixels, other, landmarks, moved, None, film.stem, "clip",
                        follows=number == first + 1 and first in pictures,
                    )  # fmt: skip


def _pictures(
    film: Path, track: Track, wanted: set[int]
) -> dict[int, tuple[UInt8[np.ndarray, "H W 3"], Float64[np.ndarray, "478 3"]]]:
    """The wanted frames of the film, no larger than needed, with their landmarks."""
    height = float(np.median(np.ptp(track.landmarks[track.seen][:, :LANDMARK_COUNT, 1], axis=1)))
    scale = min(1.0, _FACE_PIXELS / max(height, 1.0))
    found = {}
    for number, picture in enumerate(read_pictures(film)):
        if number not in wanted:
            continue
        pixels = picture.pixels
        if scale < 1.0:
            size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        share = pixels.shape[1] / picture.pixels.shape[1]
        found[number] = (np.ascontiguousarray(pixels), track.landmarks[number] * share)
    return found
