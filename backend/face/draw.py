# SPDX-License-Identifier: GPL-3.0-or-later
"""A small software renderer for looking at faces: textured, softly lit, no GPU, no Blender."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.face import FaceMesh

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

BACKGROUND = (58, 60, 66)
LIGHT = np.array((-0.35, -0.85, 0.45)) / np.linalg.norm((-0.35, -0.85, 0.45))
# Height of the picture in metres: the head and a bit of air.
VIEW_HEIGHT = 0.30


def draw_face(
    face: FaceMesh,
    weights: Floats | None = None,
    *,
    yaw: float = 0.0,
    size: int = 384,
    view_height: float = VIEW_HEIGHT,
    centre_z: float = 0.02,
    shaded: bool = True,
) -> Pixels:
    """A face from the front or turned by `yaw` degrees, parallel projection, [size,size,3]."""
    vertices = face.vertices if weights is None else face.posed(weights.astype(np.float32))
    points = _turned(vertices.astype(np.float64), yaw)
    normals = vertex_normals(points, face.triangles)
    scale = size / view_height
    # The picture turns about the middle of the head, not about its pivot.
    x = size / 2 + (points[:, 0] - np.sin(np.radians(yaw)) * 0.03) * scale
    y = size / 2 - (points[:, 2] - centre_z) * scale
    face_id, shares = rasterise(np.stack([x, y, points[:, 1]], axis=1), face.triangles, size)
    picture = np.empty((size, size, 3))
    picture[:] = BACKGROUND
    hit = face_id >= 0
    corners = face.triangles[face_id[hit]]
    share = shares[hit][:, :, None]
    uv = (face.uvs[corners] * share).sum(axis=1)
    colour = sample(face.texture, uv)
    if shaded:
        normal = (normals[corners] * share).sum(axis=1)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        light = 0.62 + 0.45 * np.clip(normal @ LIGHT, 0, 1)
        colour = colour * light[:, None]
    picture[hit] = colour
    return np.clip(picture, 0, 255).astype(np.uint8)


def _turned(points: Floats, yaw: float) -> Floats:
    a = np.radians(yaw)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    return np.asarray(points @ turn.T)


def vertex_normals(points: Floats, triangles: NDArray[np.int32]) -> Floats:
    """Area-weighted unit normals [V,3]."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    total = np.zeros_like(points)
    for k in range(3):
        np.add.at(total, triangles[:, k], normal)
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12))


def rasterise(
    points: Floats, triangles: NDArray[np.int32], size: int
) -> tuple[NDArray[np.int32], Floats]:
    """Nearest triangle of every pixel [size,size] (-1 for none) and its corner shares [..., 3].

    `points` [V,3]: pixels right and down, and depth (smaller is nearer).
    """
    corners = points[triangles]
    low = np.clip(np.floor(corners[:, :, :2].min(axis=1)).astype(int), 0, size)
    high = np.clip(np.ceil(corners[:, :, :2].max(axis=1)).astype(int), 0, size)
    width, height = (high - low).T
    counts = width * height
    # One entry for every pixel of every triangle's box.
    which = np.repeat(np.arange(len(triangles)), counts)
    place = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    column = low[which, 0] + place % width[which]
    row = low[which, 1] + place // width[which]
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners[which].transpose(1, 2, 0)
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    area = np.where(np.abs(area) < 1e-9, np.nan, area)
    px, py = column + 0.5, row + 0.5
    second = ((px - ax) * (cy - ay) - (py - ay) * (cx - ax)) / area
    third = ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) / area
    first = 1.0 - second - third
    inside = (first >= 0) & (second >= 0) & (third >= 0)
    pixel = (row * size + column)[inside]
    share = np.stack([first, second, third], axis=-1)[inside]
    depth = (first * az + second * bz + third * cz)[inside]
    # Nearest last, so that it is the one that stays.
    order = np.argsort(-depth, kind="stable")
    face_id = np.full(size * size, -1, np.int32)
    shares = np.zeros((size * size, 3))
    face_id[pixel[order]] = which[inside][order]
    shares[pixel[order]] = share[order]
    return face_id.reshape(size, size), shares.reshape(size, size, 3)


def sample(texture: Pixels, uv: Floats) -> Floats:
    """Bilinear colours [N,3] at texture coordinates [N,2]."""
    height, width = texture.shape[:2]
    x = np.clip(uv[:, 0] * width - 0.5, 0, width - 1.001)
    y = np.clip((1 - uv[:, 1]) * height - 0.5, 0, height - 1.001)
    column, row = x.astype(int), y.astype(int)
    right, below = (x - column)[:, None], (y - row)[:, None]
    pixels = texture.astype(np.float64)
    top = pixels[row, column] * (1 - right) + pixels[row, column + 1] * right
    bottom = pixels[row + 1, column] * (1 - right) + pixels[row + 1, column + 1] * right
    return np.asarray(top * (1 - below) + bottom * below)
