# SPDX-License-Identifier: GPL-3.0-or-later
"""The eyeballs' texture: the photo's own eye, completed by painting where lids hide it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float64, UInt8
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from shared.landmarks import LEFT_IRIS, RIGHT_IRIS

from ..head.eyes import EDGE, IRIS_RADIUS, RADIUS, Eyeball, lid_ring
from . import atlas
from .photo_crop import PhotoCrop

SIZE = atlas.PAINTED["left_eye"].inner_width
PUPIL = np.array((14.0, 11.0, 11.0))
WHITE = np.array((214.0, 206.0, 198.0))
GREY_IRIS = np.array((96.0, 84.0, 74.0))
# Towards the lids' edges the photo's eye fades into the painted one over this share of the
# opening's height; there the painted one is darker by this share (less below).
LID_MARGIN = 0.09
LID_SHADE = 0.45


def eye_tile(
    side: str,
    crop: PhotoCrop | None,
    landmarks: Float64[np.ndarray, "468 3"],
    ball: Eyeball,
    light: float,
) -> UInt8[np.ndarray, "size size 3"]:
    """Make one eyeball's tile.

    `landmarks` and `ball` (metres) determine where on the ball each pixel of the photo lies.
    """
    seed = 1 if side == "left" else 2
    if crop is None:
        eye = paint_eye(np.tile(GREY_IRIS, (8, 1)), WHITE * light, seed, glint=True)
        return np.asarray(np.clip(eye, 0, 255), np.uint8)
    ring = LEFT_IRIS if side == "left" else RIGHT_IRIS
    crop = _around(crop, side)
    outline = crop.points[lid_ring(side)]
    mask = np.zeros(crop.pixels.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 1, shift=4)
    depth = np.asarray(cv2.distanceTransform(mask, cv2.DIST_L2, 3), np.float64)
    outside = np.asarray(cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3), np.float64)
    seen = _Seen.of(crop, mask, depth, ring)
    eye = paint_eye(_rings_of_iris(seen), _white_of_eye(seen, light), seed, glint=False)
    place = _photo_places(side, crop, landmarks, ball, ring)
    photo = cv2.remap(crop.pixels, place[..., 0], place[..., 1], cv2.INTER_LINEAR)
    signed = (depth - outside).astype(np.float32)
    within = cv2.remap(signed, place[..., 0], place[..., 1], cv2.INTER_LINEAR)
    inside = np.asarray(within, np.float64) / max(2.0 * float(depth.max()), 3.0)
    # Lashes belong to the lids, so the photo is used from slightly inside them; up to there the
    # painted eye lies in the lids' shade.
    share = _smooth(inside / LID_MARGIN)[..., None]
    upper = np.linspace(1.0, 0.0, SIZE)[:, None]
    shade = LID_SHADE * (0.35 + 0.65 * upper) * np.exp(-((inside / (1.5 * LID_MARGIN)) ** 2))
    eye = eye * (1.0 - shade)[..., None]
    return np.clip(photo * share + eye * (1 - share), 0, 255).astype(np.uint8)


def _around(crop: PhotoCrop, side: str) -> PhotoCrop:
    """The part of the photo around one eye."""
    outline = crop.points[lid_ring(side)]
    low, high = outline.min(axis=0), outline.max(axis=0)
    reach = 0.8 * float(high[0] - low[0]) + 4.0
    height, width = crop.pixels.shape[:2]
    left, top = (int(v) for v in np.clip(low - reach, 0, (width - 2, height - 2)))
    right, bottom = (
        int(v) + 1 for v in np.clip(high + reach, (left + 2, top + 2), (width, height))
    )
    return replace(
        crop,
        pixels=np.ascontiguousarray(crop.pixels[top:bottom, left:right]),
        person=crop.person[top:bottom, left:right],
        points=crop.points - (left, top),
    )


def _photo_places(side: str, crop: PhotoCrop, landmarks: NDArray[np.float64], ball: Eyeball,
                  ring: tuple[int, ...]) -> NDArray[np.float32]:  # fmt: skip
    """The pixel of the photo [SIZE,SIZE,2] at each point of the tile.

    The photo's iris is placed in the middle of the tile even if it looked aside, so that the eye
    at rest looks straight ahead.
    """
    rim = lid_ring(side)
    plane = np.column_stack([landmarks[rim][:, [0, 2]], np.ones(len(rim))])
    to_photo, *_ = np.linalg.lstsq(plane, crop.points[rim], rcond=None)
    at = (np.arange(SIZE) + 0.5 - SIZE / 2) / (SIZE / 2)
    x, y = np.meshgrid(at, -at)
    degrees = np.minimum(np.hypot(x, y) * EDGE, 90.0)
    angle = np.arctan2(y, x)
    reach = ball.radius * np.sin(np.radians(degrees))
    offset = np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=-1)
    return np.asarray(crop.points[ring[0]] + offset @ to_photo[:2], np.float32)


def paint_eye(
    colours: Float64[np.ndarray, "8 3"], white: Float64[np.ndarray, " 3"], seed: int, glint: bool
) -> Float64[np.ndarray, "size size 3"]:
    """Paint an eyeball from the front, its angle from the middle as radius.

    `colours` are those of the iris from its centre outward, all 0..255.
    """
    size = SIZE
    at = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = np.meshgrid(at, at)
    degrees = np.hypot(x, y) * EDGE
    angle = np.arctan2(y, x)
    iris = np.degrees(np.arcsin(IRIS_RADIUS / RADIUS))
    share = degrees / iris
    noise = np.random.default_rng(seed)
    fibres = noise.normal(size=256)
    fibres = gaussian_filter(fibres, 1.2, mode="wrap")
    fibres /= fibres.std()
    streak = fibres[((angle / (2 * np.pi) + 0.5) * 255).astype(int)]
    place = np.clip(share, 0, 1) * (len(colours) - 1)
    low = np.floor(place).astype(int)
    high = np.minimum(low + 1, len(colours) - 1)
    inside = colours[low] + (colours[high] - colours[low]) * (place - low)[..., None]
    inside = inside * (1.0 + 0.07 * streak * np.clip((share - 0.3) / 0.4, 0, 1))[..., None]
    # The dark border of the iris, the pupil, and the white around.
    inside *= (1.0 - 0.45 * np.exp(-(((share - 0.98) / 0.10) ** 2)))[..., None]
    to_pupil = _smooth((0.40 - share) / 0.06)[..., None]
    inside = inside * (1 - to_pupil) + PUPIL * to_pupil
    far = np.clip((degrees - 38.0) / 60.0, 0, 1)[..., None]
    outside = white * (1.0 - far * (0.10, 0.24, 0.24))
    to_white = _smooth((share - 0.97) / 0.09)[..., None]
    eye = inside * (1 - to_white) + outside * to_white
    # The reflection of a window, up and to the side.
    spot = _smooth((1.0 - np.hypot((x + 0.075), (y + 0.095)) / 0.050) * 1.6)[..., None]
    spot = 0.85 * spot * glint
    return np.asarray(eye * (1 - spot) + 250.0 * spot)


def _smooth(t: NDArray[np.float64]) -> NDArray[np.float64]:
    t = np.clip(t, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


@dataclass(frozen=True, eq=False)
class _Seen:
    """Pixels between the lids.

    away   distance from the middle of the iris, in radii of the iris
    depth  distance from the lids, pixels
    """

    colours: Float64[np.ndarray, "N 3"]
    away: Float64[np.ndarray, " N"]
    depth: Float64[np.ndarray, " N"]

    @classmethod
    def of(
        cls,
        crop: PhotoCrop,
        mask: NDArray[np.uint8],
        depth: NDArray[np.float64],
        ring: tuple[int, ...],
    ) -> _Seen:
        rows, columns = np.nonzero(mask)
        centre = crop.points[ring[0]]
        radius = np.linalg.norm(crop.points[list(ring[1:])] - centre, axis=1).mean()
        away = np.hypot(columns - centre[0], rows - centre[1]) / max(float(radius), 1e-6)
        return cls(crop.pixels[rows, columns].astype(np.float64), away, depth[rows, columns])


def _rings_of_iris(seen: _Seen) -> NDArray[np.float64]:
    """Colour of the iris at eight distances from its centre, [8,3]."""
    visible = (seen.depth > 2.0) & (seen.away > 0.45) & (seen.away < 0.9)
    if visible.sum() < 12:
        return np.tile(GREY_IRIS, (8, 1))
    bright = seen.colours @ (0.3, 0.6, 0.1)
    # Reflections of lights do not show the eye's colour.
    visible &= bright <= np.percentile(bright[visible], 85)
    typical = np.median(seen.colours[visible], axis=0)
    found = np.tile(typical, (8, 1))
    for index in range(3, 8):
        near = visible & (np.abs(seen.away - index / 7) < 0.12)
        if near.sum() >= 12:
            found[index] = 0.5 * typical + 0.5 * np.median(seen.colours[near], axis=0)
    return found


def _white_of_eye(seen: _Seen, light: float) -> NDArray[np.float64]:
    """Colour of the white of an eye, [3]; an ordinary one if the photo shows too little."""
    ordinary = WHITE * np.clip(light, 0.6, 1.0)
    visible = (seen.depth > 2.0) & (seen.away > 1.2)
    if visible.sum() < 25:
        return np.asarray(ordinary)
    return np.asarray(0.75 * np.median(seen.colours[visible], axis=0) + 0.25 * ordinary)
