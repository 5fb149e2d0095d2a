# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds where the face of a character is and which way it looks.

Likely regions are rendered, and the face detector for photos runs on the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from backend.face.landmarks import faces_in_square
from backend.face.pose import Similarity, fit_similarity
from backend.face.template import face_size, load_template
from shared.landmarks import (
    LANDMARK_COUNT,
    LEFT_LID_RING,
    RIGHT_LID_RING,
)

from .face_picture import Light, Picture, Surface, View, draw

# The views of the search are small because there are many.
_SEARCH_SIDE = 256
# Residuals of the fit to the template, as shares of the distance between the outer eye corners:
# below the first a find is accepted at once, below the second it is likely, above the last it is
# not a face.
_GOOD, _FAIR, _WORST = 0.10, 0.20, 0.30
# Directions that a face may look in, degrees from -Y.
_TURNS = (0.0, 180.0, 90.0, -90.0, 45.0, -45.0, 135.0, -135.0)
# Half the width of a close-up, metres on the template, and the point that it is centred on.
_CLOSE_HALF = 0.125
_CLOSE_CENTRE = np.array([0.0, -0.05, 0.012])


@dataclass(frozen=True, eq=False)
class Find:
    """A face that was found: the similarity to the template's frame, and its residual.

    The residual is a share of the eye distance; smaller is better.
    """

    to_frontal: Similarity
    residual: float


def find_heads(surface: Surface, ask: Callable[[], None]) -> Iterator[Find]:
    """Likely faces of a surface, best guesses first, until the caller stops iterating.

    `ask` is called regularly and raises when the work is cancelled.
    """
    unlikely: list[Find] = []
    for turn in _TURNS:
        finds = []
        for view in _views(surface, np.radians(turn)):
            ask()
            find = look(surface, view, Light())
            if find is not None:
                finds.append(find)
                if find.residual < _GOOD:
                    yield finds.pop()
        finds.sort(key=lambda find: find.residual)
        if finds and finds[0].residual < _FAIR:
            yield finds.pop(0)
        unlikely += finds
    unlikely.sort(key=lambda find: find.residual)
    yield from unlikely[:3]


def look(surface: Surface, view: View, light: Light) -> Find | None:
    """The best face in one view whose depth also resembles a face, or None."""
    picture = draw(surface, view, light)
    finds = []
    for face in faces_in_square(picture.pixels):
        places, seen = lift(face[:LANDMARK_COUNT, :2], picture, view)
        if seen.mean() > 0.7:
            finds.append(judge(places, seen))
    finds = [find for find in finds if find.residual < _WORST]
    return min(finds, key=lambda find: find.residual) if finds else None


def judge(places: Float64[np.ndarray, "468 3"], seen: Bool[np.ndarray, " 468"]) -> Find:
    """How well landmarks on a surface resemble the template."""
    template = load_template()
    weights = template.rigidity[:LANDMARK_COUNT] * seen
    move = fit_similarity(places, template.vertices, weights)
    off = np.linalg.norm(move.apply(places) - template.vertices, axis=1)
    off = np.minimum(off, 0.6 * face_size(template.vertices))
    residual = np.sqrt((off**2 * seen).sum() / seen.sum()) / face_size(template.vertices)
    return Find(move, float(residual))


def lift(
    points: Float64[np.ndarray, "N 2"], picture: Picture, view: View
) -> tuple[Float64[np.ndarray, "N 3"], Bool[np.ndarray, " N"]]:
    """The surface points at given pixels, and whether the picture shows anything there."""
    column = np.clip(points[:, 0].astype(int), 0, view.side - 1)
    row = np.clip(points[:, 1].astype(int), 0, view.side - 1)
    depth = picture.depth[row, column]
    seen = np.isfinite(depth)
    return unproject(points, np.where(seen, depth, 0.0), view), seen


def unproject(
    points: Float64[np.ndarray, "N 2"], depth: Float64[np.ndarray, " N"], view: View
) -> Float64[np.ndarray, "N 3"]:
    """Pixels and depths (in pixels) as points in space; the inverse of `View.project`."""
    scale = view.side / (2 * view.half)
    frame = (
        np.column_stack([points[:, 0] - view.side / 2, depth, view.side / 2 - points[:, 1]]) / scale
    )
    return np.asarray(frame @ view.axes + view.centre)


def close_up(to_frontal: Similarity, side: int) -> View:
    """The frontal view of a face that has been found."""
    back = (_CLOSE_CENTRE - to_frontal.shift) @ to_frontal.rotation / to_frontal.scale
    return View(back, to_frontal.rotation, _CLOSE_HALF / to_frontal.scale, side)


def eye_outlines(points: Float64[np.ndarray, "468 3"]) -> list[Float64[np.ndarray, "N 2"]]:
    """Outlines of the right and the left eye from landmarks in pixels."""
    rings = [
        list(RIGHT_LID_RING),
        list(LEFT_LID_RING),
    ]
    return [points[ring, :2] for ring in rings]


def _views(surface: Surface, turn: float) -> Iterator[View]:
    """Views in which a head may be, for a face that looks `turn` radians from -Y."""
    used = np.unique(surface.triangles)
    points = surface.vertices[used]
    axes = View(np.zeros(3), np.eye(3), 1.0, 1).turned(turn, 0.0).axes
    across, _, up = (points @ axes.T).T
    top, height = float(up.max()), float(np.ptp(up))
    width = float(np.ptp(across))
    # A whole body, a bust or a head alone; big cartoon heads are in between.
    shares = (
        (0.16, 1.0, 0.3, 0.45, 0.7) if height > 2.2 * _depth(points, axes) else (1.0, 0.5, 0.25)
    )
    for share in shares:
        tall = share * height
        upper = points[up > top - tall]
        sideways = upper @ axes[0]
        if share < 1.0:
            middle = float(np.median(sideways))
            half = 0.68 * tall
        else:
            middle = float(sideways.min() + sideways.max()) / 2
            half = 0.6 * max(tall, min(width, 1.5 * tall))
        ahead = float(np.median(upper @ axes[1]))
        centre = np.array([middle, ahead, top - tall / 2]) @ axes
        yield View(centre, axes, half, _SEARCH_SIDE)


def _depth(points: Float64[np.ndarray, "N 3"], axes: Float64[np.ndarray, "3 3"]) -> float:
    return float(np.ptp(points @ axes[1]))
