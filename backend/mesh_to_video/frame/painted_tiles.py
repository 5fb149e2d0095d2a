# SPDX-License-Identifier: GPL-3.0-or-later
"""The painted tiles of eyes, teeth, tongue and throat as one picture, with vertex positions."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8

from backend.face.head.parts import PART_NAMES
from backend.face.head_rig import HeadRig

TILE_OF = {
    "upper_teeth": "upper_teeth", "upper_gum": "upper_teeth", "lower_teeth": "lower_teeth",
    "lower_gum": "lower_teeth", "tongue": "tongue", "mouth_bag": "mouth",
    "left_eye": "left_eye", "right_eye": "right_eye",
}  # fmt: skip


def packed_tiles(
    rig: HeadRig,
) -> tuple[UInt8[np.ndarray, "H W 3"], Float32[np.ndarray, "V 2"]]:
    """All painted tiles stacked in one picture, and each vertex's position in it, pixels."""
    width = max(tile.shape[1] for tile in rig.tiles.values())
    place = np.zeros((len(rig.rest), 2), np.float32)
    rows, tops, top = [], {}, 0
    for name, tile in rig.tiles.items():
        rows.append(np.pad(tile, ((0, 2), (0, width - tile.shape[1]), (0, 0)), mode="edge"))
        tops[name] = (top, tile.shape[0], tile.shape[1])
        top += tile.shape[0] + 2
    for part, name in TILE_OF.items():
        own = rig.vertex_part == PART_NAMES.index(part)
        start, high, wide = tops[name]
        uv = np.clip(rig.tile_uvs[own], 0, 1)
        place[own, 0] = 0.5 + uv[:, 0] * (wide - 1)
        place[own, 1] = start + 0.5 + (1 - uv[:, 1]) * (high - 1)
    return np.concatenate(rows), place
