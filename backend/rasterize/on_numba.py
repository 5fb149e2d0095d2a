# SPDX-License-Identifier: GPL-3.0-or-later
"""The compiled rasteriser for CPUs, which tests every triangle on the pixels of its bounding box.

The compiled code is cached beside this file, in the user's cache folder or in NUMBA_CACHE_DIR; if
none is writable it is compiled again in every process. It releases the interpreter's lock, so that
two threads can draw two pictures at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float32, Int32
from numba import njit, types

from .fragments import SMALLEST_TWICE_AREA, Cull, Fragments

_SMALLEST = SMALLEST_TWICE_AREA
# Inputs may be write-protected, as arrays from files are.
_READ_FLOATS = types.Array(types.float32, 2, "C", readonly=True)
_READ_INTEGERS = types.Array(types.int32, 2, "C", readonly=True)
_INTEGERS, _FLOATS = types.int32[:, ::1], types.float32[:, ::1]
_CHANNELS = types.float32[:, :, ::1]


def compiled(result: Any, *arguments: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a function to be compiled for these types, before its first call."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        # No fast arithmetic: all backends have to round alike.
        signature = result(*arguments)
        kernel: Callable[..., Any]
        try:
            kernel = njit(signature, cache=True, nogil=True, error_model="numpy")(function)
        except (RuntimeError, OSError):
            # No folder to cache the compiled code in, or a full disk.
            kernel = njit(signature, nogil=True, error_model="numpy")(function)
        return kernel

    return decorate


@compiled(types.void, _READ_FLOATS, _READ_INTEGERS, types.boolean, _INTEGERS, _FLOATS)
def _nearest(vertices, triangles, cull_back, face_id, depth):  # type: ignore[no-untyped-def]
    """Fill the nearest triangle and its depth into `face_id` and `depth`."""
    height, width = face_id.shape
    for face in range(triangles.shape[0]):
        a, b, c = triangles[face, 0], triangles[face, 1], triangles[face, 2]
        ax, ay = np.float64(vertices[a, 0]), np.float64(vertices[a, 1])
        bx, by = np.float64(vertices[b, 0]), np.float64(vertices[b, 1])
        cx, cy = np.float64(vertices[c, 0]), np.float64(vertices[c, 1])
        az, bz = np.float64(vertices[a, 2]), np.float64(vertices[b, 2])
        cz = np.float64(vertices[c, 2])
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        # Written so that NaN fails both.
        if not (abs(area) > _SMALLEST and abs(az) + abs(bz) + abs(cz) < np.inf):
            continue
        if cull_back and area > 0.0:
            continue
        low_x, high_x = min(ax, bx, cx) - 0.5, max(ax, bx, cx) - 0.5
        low_y, high_y = min(ay, by, cy) - 0.5, max(ay, by, cy) - 0.5
        # Finite, and somewhere in the picture.
        if not (low_x <= width - 1 and high_x >= 0.0 and high_x - low_x < np.inf):
            continue
        if not (low_y <= height - 1 and high_y >= 0.0 and high_y - low_y < np.inf):
            continue
        left = int(np.ceil(max(low_x, 0.0)))
        right = int(np.floor(min(high_x, width - 1.0)))
        top = int(np.ceil(max(low_y, 0.0)))
        bottom = int(np.floor(min(high_y, height - 1.0)))
        inverse = 1.0 / area
        for row in range(top, bottom + 1):
            y = row + 0.5
            a_down, b_down, c_down = ay - y, by - y, cy - y
            for column in range(left, right + 1):
                x = column + 0.5
                a_right, b_right, c_right = ax - x, bx - x, cx - x
                first = (b_right * c_down - b_down * c_right) * inverse
                second = (c_right * a_down - c_down * a_right) * inverse
                third = (a_right * b_down - a_down * b_right) * inverse
                z = np.float32(first * az + second * bz + third * cz)
                # One branch instead of four: the processor mispredicts less often.
                inside = (first >= 0.0) & (second >= 0.0) & (third >= 0.0)
                if inside & (z < depth[row, column]):
                    depth[row, column] = z
                    face_id[row, column] = face


@compiled(types.void, _READ_FLOATS, _READ_INTEGERS, _INTEGERS, _CHANNELS)
def _shares(vertices, triangles, face_id, shares):  # type: ignore[no-untyped-def]
    """Fill the corners' shares of every covered pixel into `shares`."""
    height, width = face_id.shape
    for row in range(height):
        for column in range(width):
            face = face_id[row, column]
            if face < 0:
                continue
            a, b, c = triangles[face, 0], triangles[face, 1], triangles[face, 2]
            ax, ay = np.float64(vertices[a, 0]), np.float64(vertices[a, 1])
            bx, by = np.float64(vertices[b, 0]), np.float64(vertices[b, 1])
            cx, cy = np.float64(vertices[c, 0]), np.float64(vertices[c, 1])
            inverse = 1.0 / ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
            x, y = column + 0.5, row + 0.5
            shares[row, column, 0] = ((bx - x) * (cy - y) - (by - y) * (cx - x)) * inverse
            shares[row, column, 1] = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) * inverse
            shares[row, column, 2] = ((ax - x) * (by - y) - (ay - y) * (bx - x)) * inverse


@compiled(types.void, _READ_FLOATS, _READ_INTEGERS, _INTEGERS, _READ_FLOATS, _CHANNELS)
def _mixed(vertices, triangles, face_id, attributes, values):  # type: ignore[no-untyped-def]
    """Fill the mix of the corners' attributes at every covered pixel into `values`."""
    height, width = face_id.shape
    for row in range(height):
        for column in range(width):
            face = face_id[row, column]
            if face < 0:
                continue
            a, b, c = triangles[face, 0], triangles[face, 1], triangles[face, 2]
            ax, ay = np.float64(vertices[a, 0]), np.float64(vertices[a, 1])
            bx, by = np.float64(vertices[b, 0]), np.float64(vertices[b, 1])
            cx, cy = np.float64(vertices[c, 0]), np.float64(vertices[c, 1])
            inverse = 1.0 / ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
            x, y = column + 0.5, row + 0.5
            first = np.float32(((bx - x) * (cy - y) - (by - y) * (cx - x)) * inverse)
            second = np.float32(((cx - x) * (ay - y) - (cy - y) * (ax - x)) * inverse)
            third = np.float32(((ax - x) * (by - y) - (ay - y) * (bx - x)) * inverse)
            for channel in range(attributes.shape[1]):
                values[row, column, channel] = (
                    first * attributes[a, channel]
                    + second * attributes[b, channel]
                    + third * attributes[c, channel]
                )


def nearest(
    vertices: Float32[np.ndarray, "V 3"],
    triangles: Int32[np.ndarray, "F 3"],
    size: tuple[int, int],
    cull: Cull = "none",
) -> tuple[Int32[np.ndarray, "H W"], Float32[np.ndarray, "H W"]]:
    """Face index and depth of one mesh at every pixel."""
    width, height = size
    face_id = np.full((height, width), -1, np.int32)
    depth = np.full((height, width), np.inf, np.float32)
    _nearest(vertices, triangles, cull == "back", face_id, depth)
    return face_id, depth


def rasterize(
    vertices: Float32[np.ndarray, "V 3"],
    triangles: Int32[np.ndarray, "F 3"],
    size: tuple[int, int],
    cull: Cull = "none",
) -> Fragments:
    """Rasterise one mesh in a picture of `size` (width, height)."""
    face_id, depth = nearest(vertices, triangles, size, cull)
    shares = np.zeros((*face_id.shape, 3), np.float32)
    _shares(vertices, triangles, face_id, shares)
    return Fragments(face_id, depth, shares)


def rasterize_attributes(
    vertices: Float32[np.ndarray, "V 3"],
    triangles: Int32[np.ndarray, "F 3"],
    attributes: Float32[np.ndarray, "V C"],
    size: tuple[int, int],
    cull: Cull = "none",
) -> tuple[Int32[np.ndarray, "H W"], Float32[np.ndarray, "H W"], Float32[np.ndarray, "H W C"]]:
    """Face index, depth and interpolated attributes of one mesh at every pixel."""
    face_id, depth = nearest(vertices, triangles, size, cull)
    values = np.zeros((*face_id.shape, attributes.shape[1]), np.float32)
    _mixed(vertices, triangles, face_id, attributes, values)
    return face_id, depth, values
