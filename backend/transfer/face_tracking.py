# SPDX-License-Identifier: GPL-3.0-or-later
"""The landmarks of a face whose position is known, combined from close-ups of several sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, UInt8
from scipy.ndimage import minimum_filter

from backend.face.landmarks import faces_in_square
from backend.face.pose import Similarity
from backend.face.template import face_size, load_template
from shared.landmarks import LANDMARK_COUNT

from .face_picture import Light, Picture, Surface, View, draw
from .head_search import Find, close_up, eye_outlines, judge, lift

_SIDE = 384
# With a larger residual than this, a share of the eye distance, a detection is not a face.
WORST_RESIDUAL = 0.24
# Yaw and pitch of the close-ups in degrees, and their lights.
_SIDES: tuple[tuple[float, float, Light], ...] = (
    (0.0, 0.0, Light()),
    (0.0, -8.0, Light((0.0, -1.0, 0.1), 0.5, 1.0)),
    (12.0, 5.0, Light((-0.4, -1.0, 0.4), 0.5, 0.8)),
    (-12.0, 5.0, Light((0.4, -1.0, 0.4), 0.5, 0.8)),
    (32.0, 0.0, Light()),
    (-32.0, 0.0, Light()),
)
# What is drawn for the close-ups, in the template's frame, metres.
_REGION = np.array([[-0.13, -0.20, -0.14], [0.13, 0.04, 0.15]])


@dataclass(frozen=True, eq=False)
class Tracked:
    """A tracked face.

    places      in the character's space
    confidence  0..1
    to_frontal  the similarity to the template's frame
    residual    of that similarity, as a share of the eye distance
    views       how many views showed the face
    """

    places: Float64[np.ndarray, "468 3"]
    confidence: Float64[np.ndarray, " 468"]
    to_frontal: Similarity
    residual: float
    views: int


def track(surface: Surface, find: Find, ask: Callable[[], None]) -> Tracked | None:
    """Landmarks from close-ups of a face that was found; None if they do not show it."""
    centred, outlines_at = _centred(region(surface, find.to_frontal), find, ask)
    if centred is None or centred.residual > WORST_RESIDUAL:
        return None
    find = centred
    surface = region(surface, find.to_frontal)
    frontal = close_up(find.to_frontal, _SIDE)
    unit = face_size(load_template().vertices) / find.to_frontal.scale
    views: list[tuple[Float64[np.ndarray, "468 3"], Float64[np.ndarray, " 468"]]] = []
    for yaw, pitch, light in _SIDES:
        ask()
        view = frontal.turned(np.radians(yaw), np.radians(pitch))
        openings = eye_outlines(view.project(outlines_at))
        seen = _from_view(surface, view, light, openings, outlines_at, unit)
        if seen is not None:
            views.append(seen)
    if len(views) < 2:
        return None
    places, spread, weight = _combined(views, unit)
    final = judge(places, weight > 0)
    confidence = np.clip(weight / 1.5, 0, 1) * np.exp(-((spread / (0.03 * unit)) ** 2))
    return Tracked(places, confidence, final.to_frontal, final.residual, len(views))


def region(surface: Surface, to_frontal: Similarity) -> Surface:
    """The surface reduced to the front of the head."""
    place = to_frontal.apply(surface.vertices)
    near = ((place > _REGION[0]) & (place < _REGION[1])).all(axis=1)
    keep = near[surface.triangles].any(axis=1)
    return replace(surface, triangles=surface.triangles[keep], component=surface.component[keep])


def _centred(
    surface: Surface, find: Find, ask: Callable[[], None]
) -> tuple[Find | None, Float64[np.ndarray, "N 3"]]:
    """Detect the face in a frontal view; twice, since the second picture has painted eyes."""
    places = np.zeros((0, 3))
    for attempt in range(2):
        ask()
        view = close_up(find.to_frontal, _SIDE)
        openings = eye_outlines(view.project(places)) if attempt else None
        picture = draw(surface, view, Light(), openings)
        finds = []
        for face in faces_in_square(picture.pixels):
            lifted, seen = lift(face[:LANDMARK_COUNT, :2], picture, view)
            finds.append((judge(lifted, seen), lifted))
        if not finds:
            return (find, places) if attempt else (None, places)
        find, places = min(finds, key=lambda entry: entry[0].residual)
    return find, places


def _from_view(
    surface: Surface,
    view: View,
    light: Light,
    openings: list[Float64[np.ndarray, "N 2"]],
    about: Float64[np.ndarray, "468 3"],
    unit: float,
) -> tuple[Float64[np.ndarray, "468 3"], Float64[np.ndarray, " 468"]] | None:
    """Landmarks and weights from one view; None if it does not show this face."""
    picture = draw(surface, view, light, openings)
    faces = _both_ways(picture.pixels)
    if not faces:
        return None
    expected = view.project(about)[:, :2]
    off = [float(np.median(np.hypot(*(face[:LANDMARK_COUNT, :2] - expected).T))) for face in faces]
    number = int(np.argmin(off))
    pixel = 2 * view.half / view.side
    if off[number] * pixel > 0.2 * unit:
        return None
    points = faces[number][:LANDMARK_COUNT, :2]
    return _lifted(points, picture, view, unit)


def _both_ways(pixels: UInt8[np.ndarray, "S S 3"]) -> list[Float64[np.ndarray, "478 3"]]:
    """Faces of a picture, each averaged with its detection in the mirror image.

    The tracker does not treat left and right alike.
    """
    faces = faces_in_square(pixels)
    mirror = load_template().mirror
    for other in faces_in_square(np.ascontiguousarray(pixels[:, ::-1])):
        turned = other[mirror]
        turned[:, 0] = len(pixels) - turned[:, 0]
        for number, face in enumerate(faces):
            size = float(np.ptp(face[:, 0]))
            if np.abs(face[:, :2] - turned[:, :2]).mean() < 0.1 * size:
                faces[number] = (face + turned) / 2
    return faces


def _lifted(
    points: Float64[np.ndarray, "468 2"], picture: Picture, view: View, unit: float
) -> tuple[Float64[np.ndarray, "468 3"], Float64[np.ndarray, " 468"]]:
    """Pixels as points of the surface, and their weights.

    Edges of lids and lips lie next to deep openings, so where the depth jumps nearby, a landmark
    takes the depth in front.
    """
    pixel = 2 * view.half / view.side
    depth = picture.depth
    front = minimum_filter(depth, size=2 * max(1, round(0.016 * unit / pixel)) + 1)
    jump = depth > front + 0.06 * unit / pixel
    full = replace(picture, depth=np.where(jump, front, depth))
    places, seen = lift(points, full, view)
    column = np.clip(points[:, 0].astype(int), 0, view.side - 1)
    row = np.clip(points[:, 1].astype(int), 0, view.side - 1)
    doubt = np.where(jump[row, column], 0.3, 1.0)
    return places, np.where(seen, doubt * _trust(points, depth, pixel, unit), 0.0)


def _trust(
    points: Float64[np.ndarray, "N 2"], depth: Float64[np.ndarray, "S S"], pixel: float, unit: float
) -> Float64[np.ndarray, " N"]:
    """How well a view locates each landmark, 0..1: poorly on steep surfaces and edges."""
    side = len(depth)
    reach = max(1, round(0.012 * unit / pixel))
    column = np.clip(points[:, 0].astype(int), reach, side - 1 - reach)
    row = np.clip(points[:, 1].astype(int), reach, side - 1 - reach)
    with np.errstate(invalid="ignore"):
        across = depth[row, column + reach] - depth[row, column - reach]
        down = depth[row + reach, column] - depth[row - reach, column]
    slope = np.hypot(across, down) / (2 * reach)
    slope = np.where(np.isfinite(slope), slope, 20.0)
    return np.asarray(1.0 / (1.0 + slope**2))


def _combined(
    views: list[tuple[Float64[np.ndarray, "468 3"], Float64[np.ndarray, " 468"]]], unit: float
) -> tuple[Float64[np.ndarray, "468 3"], Float64[np.ndarray, " 468"], Float64[np.ndarray, " 468"]]:
    """Weighted geometric median of the views: landmarks, their spread and total weights."""
    places = np.stack([view[0] for view in views])
    weights = np.stack([view[1] for view in views])
    total = weights.sum(axis=0)
    weights = weights + 1e-9
    middle = (places * weights[..., None]).sum(axis=0) / weights.sum(axis=0)[:, None]
    for _ in range(25):
        away = np.linalg.norm(places - middle, axis=2)
        pull = weights / np.maximum(away, 0.002 * unit)
        middle = (places * pull[..., None]).sum(axis=0) / pull.sum(axis=0)[:, None]
    away = np.linalg.norm(places - middle, axis=2)
    spread = (away * weights).sum(axis=0) / weights.sum(axis=0)
    return middle, spread, total
