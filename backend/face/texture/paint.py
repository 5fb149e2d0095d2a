# SPDX-License-Identifier: GPL-3.0-or-later
"""Painted tiles of the texture: teeth, gums, tongue, throat."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float64, UInt8
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from . import atlas

GUM = np.array((176.0, 96.0, 96.0))
TOOTH = np.array((228.0, 218.0, 200.0))
TONGUE = np.array((178.0, 92.0, 92.0))
THROAT = np.array((46.0, 16.0, 17.0))
GREY_SKIN = np.array((168.0, 160.0, 154.0))


def paint_mouth(skin: Float64[np.ndarray, " 3"]) -> dict[str, UInt8[np.ndarray, "_ _ 3"]]:
    """Paint the tiles of teeth, tongue and throat, by name, in the light on `skin`, 0..255."""
    light = face_light(skin)
    tiles = {
        "upper_teeth": paint_teeth() * light,
        "lower_teeth": paint_teeth() * (0.93 * light),
        "tongue": _paint_tongue() * light,
        "mouth": _paint_throat() * light,
    }
    return {name: np.clip(p, 0, 255).astype(np.uint8) for name, p in tiles.items()}


def face_light(skin: Float64[np.ndarray, " 3"]) -> float:
    """How brightly the photo is lit, 1 for average: teeth and mouth share the face's light."""
    return float(np.clip(np.dot(skin, (0.3, 0.6, 0.1)) / 165.0, 0.55, 1.1))


def _smooth(t: NDArray[np.float64]) -> NDArray[np.float64]:
    t = np.clip(t, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


@lru_cache(maxsize=1)
def paint_teeth() -> Float64[np.ndarray, "H W 3"]:
    """Paint a row of fourteen teeth below their gum, 0..255."""
    tile = atlas.PAINTED["upper_teeth"]
    height, width = tile.inner_height, tile.inner_width
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
    # The cheeks shade the molars.
    tooth = tooth * (1.0 - 0.75 * np.abs(across * 2 - 1) ** 2.2)[..., None]
    border = 0.35 - 0.075 * (1 - place**2)
    to_gum = _smooth((border - down) / 0.035 + 0.5)[..., None]
    gum = GUM * (0.92 - 0.55 * np.abs(across * 2 - 1) ** 2.2)[..., None]
    return np.asarray(tooth * (1 - to_gum) + gum * to_gum)


@lru_cache(maxsize=1)
def _paint_tongue() -> NDArray[np.float64]:
    size = atlas.PAINTED["tongue"].inner_height
    across, down = np.meshgrid(np.linspace(-1, 1, size), np.linspace(1, 0, size))
    grain = gaussian_filter(np.random.default_rng(5).normal(size=(size, size)), 2.5)
    level = 1.0 - 0.22 * np.exp(-((across / 0.12) ** 2)) - 0.55 * (1 - down) ** 1.3 + 0.45 * grain
    return np.asarray(TONGUE * level[..., None])


@lru_cache(maxsize=1)
def _paint_throat() -> NDArray[np.float64]:
    """Dark red, nearly black at the back (bottom of the tile)."""
    size = atlas.PAINTED["tongue"].inner_height
    front = np.linspace(1, 0, size)[:, None]
    level = 0.30 + 1.5 * front**2
    return np.asarray(np.broadcast_to((THROAT * level)[:, None, :], (size, size, 3)))
