# SPDX-License-Identifier: GPL-3.0-or-later
"""Compiled kernels of the synthetic pictures: normals, colours and optical flow."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8
from numba import njit

# sRGB values to linear light.
_LEVELS = np.arange(256) / 255.0
LINEAR = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4).astype(
    np.float32
)


@njit(cache=True, nogil=True)
def normals(
    points: Float64[np.ndarray, "V 3"], triangles: Int32[np.ndarray, "F 3"]
) -> Float64[np.ndarray, "V 3"]:
    """Area-weighted unit normals of the points of a mesh."""
    total = np.zeros_like(points)
    for face in range(triangles.shape[0]):
        a, b, c = triangles[face, 0], triangles[face, 1], triangles[face, 2]
        ux, uy, uz = (points[b, 0] - points[a, 0], points[b, 1] - points[a, 1],
                      points[b, 2] - points[a, 2])  # fmt: skip
        vx, vy, vz = (points[c, 0] - points[a, 0], points[c, 1] - points[a, 1],
                      points[c, 2] - points[a, 2])  # fmt: skip
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            total[corner, 0] += nx
            total[corner, 1] += ny
            total[corner, 2] += nz
    for vertex in range(points.shape[0]):
        x, y, z = total[vertex, 0], total[vertex, 1], total[vertex, 2]
        length = max(np.sqrt(x * x + y * y + z * z), 1e-12)
        total[vertex] /= length
    return total


@njit(cache=True, nogil=True)
def colours(
    picture: Float32[np.ndarray, "H W 3"],
    face_id: Int32[np.ndarray, "H W"],
    shares: Float32[np.ndarray, "H W 3"],
    triangles: Int32[np.ndarray, "F 3"],
    uvs: Float32[np.ndarray, "N 3 2"],
    texture: UInt8[np.ndarray, "T T 3"],
    first: int,
    shade: Float32[np.ndarray, "V 3"],
    gain: Float32[np.ndarray, "N 3"],
    linear: Float32[np.ndarray, " 256"],
) -> None:
    """Paint the pixels of the triangles from `first` on into `picture`, in linear light.

    `uvs` and `gain` belong to the triangles from `first` on.
    """
    rows, columns = texture.shape[0], texture.shape[1]
    count = uvs.shape[0]
    for row in range(face_id.shape[0]):
        for column in range(face_id.shape[1]):
            face = face_id[row, column] - first
            if face < 0 or face >= count:
                continue
            u, v = np.float32(0), np.float32(0)
            light = np.zeros(3, np.float32)
            for corner in range(3):
                share = shares[row, column, corner]
                u += share * uvs[face, corner, 0]
                v += share * uvs[face, corner, 1]
                vertex = triangles[face + first, corner]
                for band in range(3):
                    light[band] += share * shade[vertex, band]
            x = min(max(u * columns - 0.5, 0.0), columns - 1.001)
            y = min(max((1.0 - v) * rows - 0.5, 0.0), rows - 1.001)
            left, top = int(x), int(y)
            across, down = np.float32(x - left), np.float32(y - top)
            for band in range(3):
                upper = (linear[texture[top, left, band]] * (1 - across)
                         + linear[texture[top, left + 1, band]] * across)  # fmt: skip
                lower = (linear[texture[top + 1, left, band]] * (1 - across)
                         + linear[texture[top + 1, left + 1, band]] * across)  # fmt: skip
                picture[row, column, band] = (
                    (upper * (1 - down) + lower * down) * light[band] * gain[face, band]
                )


@njit(cache=True, nogil=True)
def origins(
    target_id: Int32[np.ndarray, "H W"],
    target_shares: Float32[np.ndarray, "H W 3"],
    source_id: Int32[np.ndarray, "H W"],
    source_depth: Float32[np.ndarray, "H W"],
    source_points: Float32[np.ndarray, "V 3"],
    triangles: Int32[np.ndarray, "F 3"],
    side: int,
    tolerance: float,
) -> Float32[np.ndarray, "h w 2"]:
    """Optical flow from the target to the source, in pixels of the result.

    Both are rasterised at `side` times the resolution of the result. NaN where the point is hidden
    in the source, or where the samples of a pixel come from different places.
    """
    height, width = target_id.shape[0] // side, target_id.shape[1] // side
    flow = np.full((height, width, 2), np.nan, np.float32)
    for row in range(height):
        for column in range(width):
            low_x = low_y = np.float32(1e9)
            high_x = high_y = np.float32(-1e9)
            sum_x = sum_y = np.float32(0)
            known = 0
            for part in range(side * side):
                r, c = row * side + part // side, column * side + part % side
                face = target_id[r, c]
                own_x, own_y = np.float32(c + 0.5), np.float32(r + 0.5)
                if face < 0:
                    if source_id[r, c] >= 0:
                        break
                    x, y = own_x, own_y
                else:
                    x = y = z = np.float32(0)
                    for corner in range(3):
                        share = target_shares[r, c, corner]
                        vertex = triangles[face, corner]
                        x += share * source_points[vertex, 0]
                        y += share * source_points[vertex, 1]
                        z += share * source_points[vertex, 2]
                    if not (0 <= x < source_id.shape[1] and 0 <= y < source_id.shape[0]):
                        break
                    seen = False
                    for dy in range(-1, 2):
                        for dx in range(-1, 2):
                            yy = min(max(int(y) + dy, 0), source_id.shape[0] - 1)
                            xx = min(max(int(x) + dx, 0), source_id.shape[1] - 1)
                            if source_id[yy, xx] >= 0:
                                near = abs(source_depth[yy, xx] - z) < tolerance
                                if source_id[yy, xx] == face or near:
                                    seen = True
                    # Nothing may be in front of it.
                    middle = source_id[int(y), int(x)]
                    if middle < 0 or source_depth[int(y), int(x)] < z - 2.0 * tolerance:
                        seen = False
                    if not seen:
                        break
                away_x, away_y = x - own_x, y - own_y
                low_x, high_x = min(low_x, away_x), max(high_x, away_x)
                low_y, high_y = min(low_y, away_y), max(high_y, away_y)
                sum_x += away_x
                sum_y += away_y
                known += 1
            if known == side * side and max(high_x - low_x, high_y - low_y) < 2.0 * side:
                flow[row, column, 0] = sum_x / (known * side)
                flow[row, column, 1] = sum_y / (known * side)
    return flow
