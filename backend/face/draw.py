# SPDX-License-Identifier: GPL-3.0-or-later
"""A small software renderer for faces: textured, softly lit, without a GPU or Blender."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64, UInt8
from numpy.typing import NDArray

from backend.rasterize import rasterize
from shared.face import FaceMesh

from .surface import vertex_normals

BACKGROUND = (58, 60, 66)
LIGHT = np.array((-0.35, -0.85, 0.45)) / np.linalg.norm((-0.35, -0.85, 0.45))
# Height of the picture in metres: the head with a margin.
VIEW_HEIGHT = 0.30


def draw_face(
    face: FaceMesh,
    weights: Float[np.ndarray, " 52"] | None = None,
    *,
    yaw: float = 0.0,
    size: int = 384,
    view_height: float = VIEW_HEIGHT,
    centre_z: float = 0.02,
    shaded: bool = True,
) -> UInt8[np.ndarray, "size size 3"]:
    """Draw a face from the front or turned by `yaw` degrees, in parallel projection."""
    vertices = face.vertices if weights is None else face.posed(weights.astype(np.float32))
    points = _turned(vertices.astype(np.float64), yaw)
    normals = vertex_normals(points, face.triangles)
    scale = size / view_height
    # The picture turns about the middle of the head, not about its pivot.
    x = size / 2 + (points[:, 0] - np.sin(np.radians(yaw)) * 0.03) * scale
    y = size / 2 - (points[:, 2] - centre_z) * scale
    seen = rasterize(np.stack([x, y, points[:, 1]], axis=1), face.triangles, (size, size))
    picture = np.empty((size, size, 3))
    picture[:] = BACKGROUND
    hit, face_id = seen.covered, seen.face_id[seen.covered]
    corners = face.triangles[face_id]
    share = seen.barycentric[hit][:, :, None]
    uv = (face.uvs[face_id] * share).sum(axis=1)
    colour = sample(face.texture, uv)
    if shaded:
        normal = (normals[corners] * share).sum(axis=1)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        light = 0.62 + 0.45 * np.clip(normal @ LIGHT, 0, 1)
        colour = colour * light[:, None]
    picture[hit] = colour
    return np.clip(picture, 0, 255).astype(np.uint8)


def _turned(points: NDArray[np.float64], yaw: float) -> NDArray[np.float64]:
    a = np.radians(yaw)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    return np.asarray(points @ turn.T)


def sample(
    texture: UInt8[np.ndarray, "H W 3"], uv: Float[np.ndarray, "N 2"]
) -> Float64[np.ndarray, "N 3"]:
    """Sample a texture bilinearly at texture coordinates (v upwards)."""
    height, width = texture.shape[:2]
    x = np.clip(uv[:, 0] * width - 0.5, 0, width - 1.001)
    y = np.clip((1 - uv[:, 1]) * height - 0.5, 0, height - 1.001)
    column, row = x.astype(int), y.astype(int)
    right, below = (x - column)[:, None], (y - row)[:, None]
    pixels = texture.astype(np.float64)
    top = pixels[row, column] * (1 - right) + pixels[row, column + 1] * right
    bottom = pixels[row + 1, column] * (1 - right) + pixels[row + 1, column + 1] * right
    return np.asarray(top * (1 - below) + bottom * below)
