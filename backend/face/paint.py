# SPDX-License-Identifier: GPL-3.0-or-later
"""Painted tiles: irises in the photo's colours, teeth, gums, tongue, throat, neck."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from . import atlas
from .eyes import EDGE, IRIS_RADIUS, RADIUS
from .topology import LEFT_IRIS, LEFT_LID_LOWER, LEFT_LID_UPPER, RIGHT_IRIS, RIGHT_LID_LOWER
from .topology import RIGHT_LID_UPPER as _RIGHT_LID_UPPER

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

GUM = np.array((176.0, 96.0, 96.0))
TOOTH = np.array((228.0, 218.0, 200.0))
TONGUE = np.array((178.0, 92.0, 92.0))
THROAT = np.array((46.0, 16.0, 17.0))
PUPIL = np.array((14.0, 11.0, 11.0))
WHITE = np.array((226.0, 219.0, 212.0))
GREY_SKIN = np.array((168.0, 160.0, 154.0))
GREY_IRIS = np.array((96.0, 84.0, 74.0))


def paint_tiles(pixels: Pixels | None, points: Floats | None, skin: Floats) -> dict[atlas.Tile,
                                                                                   Pixels]:  # fmt: skip
    """All tiles; `pixels` [H,W,3] and `points` [478,2] give the eyes their colours."""
    # Teeth and mouth are lit like the face they belong to.
    light = float(np.clip(np.dot(skin, (0.3, 0.6, 0.1)) / 165.0, 0.55, 1.1))
    tiles = {
        atlas.UPPER_TEETH: paint_teeth(light),
        atlas.LOWER_TEETH: paint_teeth(0.93 * light),
        atlas.TONGUE: _paint_tongue(light),
        atlas.MOUTH: _paint_throat(light),
        atlas.NECK: np.broadcast_to(skin * 0.88, (atlas.NECK.height, atlas.NECK.width, 3)),
    }
    for tile, ring, upper, lower in (
        (atlas.RIGHT_EYE, RIGHT_IRIS, _RIGHT_LID_UPPER, RIGHT_LID_LOWER),
        (atlas.LEFT_EYE, LEFT_IRIS, LEFT_LID_UPPER, LEFT_LID_LOWER),
    ):
        colours = _rings_of_iris(pixels, points, ring, upper, lower)
        white = _white_of_eye(pixels, points, ring, upper, lower, light)
        tiles[tile] = paint_eye(colours, white, seed=tile.top)
    return {tile: np.clip(p, 0, 255).astype(np.uint8) for tile, p in tiles.items()}


def paint_eye(colours: Floats, white: Floats, seed: int) -> Floats:
    """An eyeball from the front, angle from the middle = radius; `colours` [8,3] of the iris."""
    size = atlas.TILE
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
    # The light of a window, up and to the side.
    glint = _smooth((1.0 - np.hypot((x + 0.075), (y + 0.095)) / 0.050) * 1.6)[..., None]
    return np.asarray(eye * (1 - 0.85 * glint) + 250.0 * 0.85 * glint)


def _smooth(t: Floats) -> Floats:
    t = np.clip(t, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _eye_pixels(pixels: Pixels, points: Floats, ring: tuple[int, ...], upper: tuple[int, ...],
                lower: tuple[int, ...]) -> tuple[Floats, Floats, Floats]:  # fmt: skip
    """Colours [N,3] between the lids, their distance from the iris' centre in iris radii, and
    how far they are from the lids in pixels."""
    import cv2

    outline = np.round(points[[*upper, *lower[-2:0:-1]]]).astype(np.int32)
    mask = np.zeros(pixels.shape[:2], np.uint8)
    cv2.fillPoly(mask, [outline], 1)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    rows, columns = np.nonzero(mask)
    radius = np.linalg.norm(points[list(ring[1:])] - points[ring[0]], axis=1).mean()
    away = np.hypot(columns - points[ring[0], 0], rows - points[ring[0], 1]) / max(radius, 1e-6)
    return pixels[rows, columns].astype(np.float64), away, depth[rows, columns]


def _rings_of_iris(pixels: Pixels | None, points: Floats | None, ring: tuple[int, ...],
                   upper: tuple[int, ...], lower: tuple[int, ...]) -> Floats:  # fmt: skip
    """Colour of the iris at eight distances from its centre, [8,3]."""
    if pixels is None or points is None:
        return np.tile(GREY_IRIS, (8, 1))
    colours, away, depth = _eye_pixels(pixels, points, ring, upper, lower)
    visible = (depth > 2.0) & (away > 0.45) & (away < 0.9)
    if visible.sum() < 12:
        return np.tile(GREY_IRIS, (8, 1))
    bright = colours @ (0.3, 0.6, 0.1)
    # Reflections of lamps are not the eye's colour.
    visible &= bright <= np.percentile(bright[visible], 85)
    typical = np.median(colours[visible], axis=0)
    found = np.tile(typical, (8, 1))
    for index in range(3, 8):
        middle = index / 7
        near = visible & (np.abs(away - middle) < 0.12)
        if near.sum() >= 12:
            found[index] = 0.5 * typical + 0.5 * np.median(colours[near], axis=0)
    # A dark iris in a dark photo still is a little lighter than its pupil.
    level = float(typical @ (0.3, 0.6, 0.1))
    return np.asarray(found * np.clip(46.0 / max(level, 1.0), 1.0, 2.2))


def _white_of_eye(pixels: Pixels | None, points: Floats | None, ring: tuple[int, ...],
                  upper: tuple[int, ...], lower: tuple[int, ...], light: float) -> Floats:  # fmt: skip
    """Colour of the white of an eye, [3]; small eyes in the photo give an ordinary one."""
    ordinary = WHITE * np.clip(light, 0.7, 1.0)
    if pixels is None or points is None:
        return np.asarray(ordinary)
    colours, away, depth = _eye_pixels(pixels, points, ring, upper, lower)
    visible = (depth > 2.5) & (away > 1.2)
    if visible.sum() < 25:
        return np.asarray(ordinary)
    bright = colours @ (0.3, 0.6, 0.1)
    best = visible & (bright >= np.percentile(bright[visible], 60))
    seen = np.median(colours[best], axis=0)
    # Never coloured like skin: half way to grey, and not too dark.
    seen = 0.5 * seen + 0.5 * seen.mean()
    seen *= np.clip(165.0 * light / max(seen.mean(), 1.0), 1.0, 1.6)
    return np.asarray(0.6 * np.clip(seen, 0, 240) + 0.4 * ordinary)


def paint_teeth(light: float) -> Floats:
    """A row of fourteen teeth under their gum, [TILE/2,TILE,3]; the top is the gum's end."""
    height, width = atlas.TILE // 2, atlas.TILE
    across, down = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    widths = np.array([0.95, 0.95, 0.75, 0.75, 0.80, 0.70, 0.90])
    widths = np.concatenate([widths, widths[::-1]])
    borders = np.concatenate([[0.0], np.cumsum(widths) / widths.sum()])
    which = np.clip(np.searchsorted(borders, across, side="right") - 1, 0, 13)
    start, end = borders[which], borders[which + 1]
    place = (across - start) / (end - start) * 2 - 1
    round_ = np.sqrt(np.clip(1 - 0.55 * place**2, 0, 1))
    tooth = TOOTH * (0.72 + 0.28 * round_)[..., None]
    gap = np.exp(-(((1 - np.abs(place)) / 0.13) ** 2))[..., None]
    tooth = tooth * (1 - 0.45 * gap) + np.array((96.0, 62.0, 54.0)) * 0.45 * gap
    # Molars lie in the shade of the cheeks.
    tooth = tooth * (1.0 - 0.75 * np.abs(across * 2 - 1) ** 2.2)[..., None]
    border = 0.35 - 0.075 * (1 - place**2)
    to_gum = _smooth((border - down) / 0.035 + 0.5)[..., None]
    gum = GUM * (0.92 - 0.55 * np.abs(across * 2 - 1) ** 2.2)[..., None]
    return np.asarray((tooth * (1 - to_gum) + gum * to_gum) * light)


def _paint_tongue(light: float) -> Floats:
    size = atlas.TILE
    across, down = np.meshgrid(np.linspace(-1, 1, size), np.linspace(1, 0, size))
    grain = gaussian_filter(np.random.default_rng(5).normal(size=(size, size)), 1.5)
    level = 1.0 - 0.22 * np.exp(-((across / 0.12) ** 2)) - 0.55 * (1 - down) ** 1.3 + 0.25 * grain
    return np.asarray(TONGUE * light * level[..., None])


def _paint_throat(light: float) -> Floats:
    """Dark red, nearly black at the back (bottom of the tile)."""
    size = atlas.TILE
    front = np.linspace(1, 0, size)[:, None]
    level = 0.30 + 1.5 * front**2
    return np.asarray(np.broadcast_to((THROAT * light * level)[:, None, :], (size, size, 3)))
