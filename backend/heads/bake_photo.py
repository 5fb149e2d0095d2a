# SPDX-License-Identifier: GPL-3.0-or-later
"""The photo as the texture of a head with its own texture coordinates (ICT-FaceKit's).

The face is seen from the front and laid onto the skin; behind the ears every height gets the
colour that the photo has at the head's outline there. Teeth, gums, eyes and lashes are painted.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter1d

from backend.face.eye_texture import eye_tile
from backend.face.eyes import RADIUS, Eyeball
from backend.face.paint import GUM, THROAT, TOOTH, face_light
from backend.face.rasterise import rasterise
from backend.face.surface import vertex_normals
from backend.face.texture import PhotoCrop
from backend.face.topology import EARS, FACE_OVAL

from .eyeballs import Ball, tile_places
from .warp import spread

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

SIDE = 2048
# Where each tile of the head's texture coordinates goes: left, top, side in pixels.
_TILES = {0: (0, 0, 1408), 1: (1408, 0, 640), 2: (1408, 640, 640), 3: (1408, 1280, 640)}
_EYES = {"right": (0, 1408, 512), "left": (512, 1408, 512)}
_LASHES = (1040, 1424, 16)
_LASH_COLOUR = (38.0, 28.0, 24.0)
_INSET = 2.0
# Maps are made at half the resolution: they are smooth.
_STEP = 2
# Behind the ears the photo fades out within this many metres.
_FADE = 0.035


@dataclass(frozen=True, eq=False)
class Baked:
    """texture uint8 [2048,2048,3], uvs [F,3,2] in it."""

    texture: Pixels
    uvs: Floats


def bake(
    vertices: Floats,
    triangles: NDArray[np.int32],
    uvs: Floats,
    parts: tuple[str, ...],
    vertex_part: NDArray[np.int32],
    landmarks: Floats,
    crop: PhotoCrop,
    balls: list[Ball],
    size: float,
) -> Baked:
    """Texture and coordinates of a fitted head [V,3] with `landmarks` [468,3]; `size` is how large
    the face is against the mean one."""
    part = np.array(parts)[vertex_part]
    pixel = _pixels_of(triangles, uvs, part, balls, vertices, size)
    places = _photo_places(vertices, landmarks, crop)
    colour, amount = _plain_colours(vertices, triangles, part, landmarks, crop, places)
    eyes = np.isin(part, ("left_eye", "right_eye"))[triangles[:, 0]]
    small = SIDE // _STEP
    corners = pixel[~eyes].reshape(-1, 2) / _STEP
    flat = np.column_stack([corners, np.zeros(len(corners))])
    seen, share = rasterise(flat, np.arange(len(flat), dtype=np.int32).reshape(-1, 3), small, small)
    inside = seen >= 0
    which = triangles[~eyes][seen[inside]]
    values = np.concatenate([places, colour, amount[:, None]], axis=1)
    maps = np.zeros((small, small, values.shape[1]), np.float32)
    maps[inside] = (values[which] * share[inside][..., None]).sum(axis=1)
    # Beyond the borders of a chart its nearest pixels go on, so that nothing dark bleeds in.
    rows, columns = distance_transform_edt(~inside, return_distances=False, return_indices=True)
    maps = maps[rows, columns]
    full = [
        cv2.resize(np.ascontiguousarray(maps[..., k]), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        for k in range(6)
    ]
    photo = cv2.remap(crop.pixels, full[0], full[1], cv2.INTER_LINEAR,
                      borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    plain = np.stack(full[2:5], axis=-1)
    # What lies beside the person in the photo is not the person's skin; not quite up to the edge,
    # where the two mix.
    person = np.asarray(np.clip(2.0 * crop.person - 1.0, 0, 1), np.float32)
    shown = cv2.remap(person, full[0], full[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    weight = (np.clip(full[5], 0, 1) * shown)[..., None]
    texture = np.asarray(np.clip(plain + weight * (photo - plain) + 0.5, 0, 255), np.uint8)
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
    triangles: NDArray[np.int32],
    uvs: Floats,
    part: NDArray[np.str_],
    balls: list[Ball],
    vertices: Floats,
    size: float,
) -> Floats:
    """Where the corners lie in the texture, [F,3,2] pixels right and down."""
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


def _photo_places(vertices: Floats, landmarks: Floats, crop: PhotoCrop) -> Floats:
    """Which pixel [V,2] of the cleaned photo each vertex shows, seen from the front."""
    points = crop.points[: len(landmarks)]
    plane = np.column_stack([landmarks, np.ones(len(landmarks))])
    affine, *_ = np.linalg.lstsq(plane, points, rcond=None)
    rest = points - plane @ affine
    found = np.column_stack([vertices, np.ones(len(vertices))]) @ affine
    found = found + spread(vertices, landmarks, rest, reach=0.07, softness=0.002)
    # What lies behind the face would come to lie on it; it is kept outside its outline.
    height, width = crop.pixels.shape[:2]
    return np.asarray(np.clip(found, 1.0, (width - 2.0, height - 2.0)))


def _plain_colours(
    vertices: Floats,
    triangles: NDArray[np.int32],
    part: NDArray[np.str_],
    landmarks: Floats,
    crop: PhotoCrop,
    places: Floats,
) -> tuple[Floats, Floats]:
    """Colours [V,3] of what the photo does not show, and how much of the photo counts [V]."""
    light = face_light(crop.skin)
    profile = _outline_profile(crop)
    row = np.clip(places[:, 1], 0, len(profile) - 1).astype(int)
    # Hair above, bare skin below the ears' middle, whatever the person wears.
    bare = _smooth((landmarks[list(EARS), 2].mean() + 0.012 - vertices[:, 2]) / 0.03)[:, None]
    colour = profile[row] * (1 - bare) + 0.92 * crop.skin * bare
    normals = vertex_normals(vertices, triangles)
    ear = landmarks[list(EARS), 1].mean()
    behind = _smooth((vertices[:, 1] - (ear - 0.4 * _FADE)) / _FADE)
    # Where the skin turns away from the camera the photo is stretched and shows what is beside it.
    turned = _smooth((0.42 + normals[:, 1]) / 0.34)
    # The nose and the lips turn away too, in the middle of the face, where the photo is right.
    beside = _smooth(
        (np.abs(vertices[:, 0]) / np.abs(landmarks[list(EARS), 0]).mean() - 0.6) / 0.25
    )
    below = _smooth((landmarks[152, 2] - 0.008 - vertices[:, 2]) / 0.02)
    amount = (1.0 - behind) * (1.0 - turned * beside) * (1.0 - below)
    skin = np.isin(part, ("face", "head"))
    amount[~skin] = 0.0
    depth = vertices[:, 1] - landmarks[13, 1]
    gum = part == "gums_and_tongue"
    shade = np.clip(1.05 - depth / 0.06, 0.18, 1.0)
    colour[gum] = GUM * light * shade[gum, None]
    teeth = np.isin(part, ("upper_teeth", "lower_teeth"))
    colour[teeth] = TOOTH * light * np.clip(1.06 - depth[teeth] / 0.07, 0.3, 1.0)[:, None]
    colour[part == "mouth_socket"] = THROAT * 1.4 * light
    colour[part == "eye_sockets"] = crop.skin * 0.45
    return colour, amount


def _outline_profile(crop: PhotoCrop) -> Floats:
    """Colour of the head's outline at every height of the photo, [H,3]; never the background."""
    outline = crop.points[list(FACE_OVAL)]
    middle, half = outline[:, 0].mean(), np.ptp(outline[:, 0]) / 2
    height, width = crop.pixels.shape[:2]
    total, weight = np.zeros((height, 3)), np.zeros((height, 1))
    for reach in (0.6, 0.7, 0.8, 0.9, 0.98, 1.04, 1.1):
        for side in (-1, 1):
            column = int(np.clip(middle + side * half * reach, 0, width - 1))
            # The outermost that is still of the person counts.
            share = reach**12 * np.clip(2.0 * crop.person[:, column, None] - 1.0, 0, 1) ** 2
            total += share * crop.pixels[:, column]
            weight += share
    softness = 0.02 * height
    total = gaussian_filter1d(total, softness, axis=0, mode="nearest")
    weight = gaussian_filter1d(weight, softness, axis=0, mode="nearest")
    known = np.flatnonzero(weight[:, 0] > 0.01)
    if not len(known):
        return np.tile(crop.skin, (height, 1))
    # Above the head its uppermost colour goes on.
    row = known[np.abs(np.arange(height)[:, None] - known[None]).argmin(axis=1)]
    return np.asarray(total[row] / weight[row])


def _smooth(t: Floats) -> Floats:
    t = np.clip(t, 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
