# SPDX-License-Identifier: GPL-3.0-or-later
"""The photo as the texture of a head with its own texture coordinates (ICT-FaceKit's).

The skin is transferred from our own head, which is baked from the same photo. Teeth, gums, eyes
and lashes are painted.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float64, Int32, Shaped, UInt8

from backend.face.head.eyes import RADIUS, Eyeball
from backend.face.texture.eye_texture import eye_tile
from backend.face.texture.paint import GUM, THROAT, TOOTH, face_light
from backend.face.texture.photo_crop import PhotoCrop
from shared.face import FaceMesh
from shared.landmarks import UPPER_LIP_EDGE

from .carry_skin import STEP, carried_skin, skin_texels
from .eyeballs import Ball, tile_places

SIDE = 2048
# Where each tile of the head's texture coordinates is placed: left, top, side in pixels.
_TILES = {0: (0, 0, 1408), 1: (1408, 0, 640), 2: (1408, 640, 640), 3: (1408, 1280, 640)}
_EYES = {"right": (0, 1408, 512), "left": (512, 1408, 512)}
_LASHES = (1040, 1424, 16)
_LASH_COLOUR = (38.0, 28.0, 24.0)
_INSET = 2.0
_SKIN = ("face", "head")


@dataclass(frozen=True, eq=False)
class Baked:
    """A baked texture, and the texture coordinates in it."""

    texture: UInt8[np.ndarray, "2048 2048 3"]
    uvs: Float64[np.ndarray, "F 3 2"]


def bake(
    vertices: Float64[np.ndarray, "V 3"],
    triangles: Int32[np.ndarray, "F 3"],
    uvs: Float64[np.ndarray, "F 3 2"],
    parts: tuple[str, ...],
    vertex_part: Int32[np.ndarray, " V"],
    landmarks: Float64[np.ndarray, "468 3"],
    crop: PhotoCrop,
    balls: list[Ball],
    size: float,
    own: FaceMesh,
) -> Baked:
    """Texture and coordinates of a fitted head.

    `size` is the size of the face relative to the mean one, `own` our own head for the same photo.
    """
    part = np.array(parts)[vertex_part]
    pixel = _pixels_of(triangles, uvs, part, balls, vertices, size)
    eyes = np.isin(part, ("left_eye", "right_eye"))[triangles[:, 0]]
    texels = skin_texels(pixel[~eyes], triangles[~eyes], SIDE)
    is_skin = np.isin(part, _SKIN)[texels.triangles[:, 0]][texels.triangle]
    painted = ~is_skin & texels.near
    plain = np.tile(crop.skin.astype(np.float32), (*is_skin.shape, 1))
    colours = _painted_colours(vertices, part, landmarks, crop)
    plain[painted] = texels.values_where(painted, colours)
    plain = np.clip(plain + 0.5, 0, 255).astype(np.uint8)
    texture = cv2.resize(plain, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    carried = carried_skin(own, vertices, landmarks, texels, is_skin & texels.near)
    on_skin = np.repeat(np.repeat(is_skin.astype(np.uint8), STEP, axis=0), STEP, axis=1)
    texture = np.asarray(cv2.copyTo(carried, on_skin, np.asarray(texture)), np.uint8)
    for ball in balls:
        left, top, side = _EYES[ball.side]
        eyeball = Eyeball(ball.centre, RADIUS * size)
        tile = eye_tile(ball.side, crop, landmarks, eyeball, face_light(crop.skin))
        texture[top : top + side, left : left + side] = cv2.resize(
            tile, (side, side), interpolation=cv2.INTER_CUBIC
        )
    left, top, side = _LASHES
    texture[top - 8 : top + side + 8, left - 8 : left + side + 8] = _LASH_COLOUR
    placed = np.stack([pixel[..., 0] / SIDE, 1.0 - pixel[..., 1] / SIDE], axis=-1)
    return Baked(texture, placed)


def _pixels_of(
    triangles: Int32[np.ndarray, "F 3"],
    uvs: Float64[np.ndarray, "F 3 2"],
    part: Shaped[np.ndarray, " V"],
    balls: list[Ball],
    vertices: Float64[np.ndarray, "V 3"],
    size: float,
) -> Float64[np.ndarray, "F 3 2"]:
    """Where the corners lie in the texture, pixels right and down."""
    tile = np.clip(np.floor(uvs.mean(axis=1)[:, 0] + 1e-6), 0, 3).astype(int)
    frame = np.array([_TILES[k] for k in range(4)], np.float64)[tile]
    within = np.clip(uvs - np.stack([tile, np.zeros(len(tile))], axis=-1)[:, None], 0, 1)
    room = (frame[:, 2] - 2 * _INSET)[:, None]
    pixel = np.empty((len(triangles), 3, 2))
    pixel[..., 0] = frame[:, 0, None] + _INSET + within[..., 0] * room
    pixel[..., 1] = frame[:, 1, None] + _INSET + (1.0 - within[..., 1]) * room
    first = part[triangles[:, 0]]
    lashes = np.char.endswith(first, "lashes")
    left, top, side = _LASHES
    pixel[lashes] = (left, top) + np.clip(within[lashes], 0, 1) * side
    for ball in balls:
        places = np.zeros((len(vertices), 2))
        places[ball.rows] = tile_places(ball, vertices, size)
        left, top, side = _EYES[ball.side]
        own = first == f"{ball.side}_eye"
        at = places[triangles[own]] * (1.0, -1.0)
        pixel[own] = (left + side / 2, top + side / 2) + at * (side / 2 - _INSET)
    return pixel


def _painted_colours(
    vertices: Float64[np.ndarray, "V 3"],
    part: Shaped[np.ndarray, " V"],
    landmarks: Float64[np.ndarray, "468 3"],
    crop: PhotoCrop,
) -> Float64[np.ndarray, "V 3"]:
    """Colours of everything that is not skin."""
    light = face_light(crop.skin)
    colour = np.tile(crop.skin, (len(vertices), 1)).astype(np.float64)
    depth = vertices[:, 1] - landmarks[UPPER_LIP_EDGE, 1]
    gum = part == "gums_and_tongue"
    shade = np.clip(1.05 - depth / 0.06, 0.18, 1.0)
    colour[gum] = GUM * light * shade[gum, None]
    teeth = np.isin(part, ("upper_teeth", "lower_teeth"))
    colour[teeth] = TOOTH * light * np.clip(1.06 - depth[teeth] / 0.07, 0.3, 1.0)[:, None]
    colour[part == "mouth_socket"] = THROAT * 1.4 * light
    colour[part == "eye_sockets"] = crop.skin * 0.45
    return colour
