# SPDX-License-Identifier: GPL-3.0-or-later
"""Rasterise triangles: one function over several backends, all with the same convention.

Vertices are (x, y, z) in pixels, x right, y down, z away from the viewer; the
centre of the first pixel is at (0.5, 0.5); the view is orthographic. The nearest triangle wins,
and of equally near ones the first. A pixel belongs to a triangle if its centre lies inside or on
an edge. Triangles without area, or with a corner that is not finite, are skipped.

All backends round vertices to single precision and test edges in double precision, in the same
order of operations, so that they show the same triangle in every pixel. (Only PyTorch3D works in
single precision and excludes edges: with it some pixels exactly on an edge differ.)

Neither numba nor torch is imported before the first call that needs it.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from jaxtyping import Float, Float32, Int32, Integer
from numpy.typing import ArrayLike

from shared.errors import VividKeysError

from .fragments import (
    Cull,
    Fragments,
    TensorFragments,
    checked_size,
    checked_triangles,
)

if TYPE_CHECKING:
    import torch

__all__ = [
    "BACKENDS",
    "Fragments",
    "TensorFragments",
    "available",
    "interpolate",
    "rasterize",
    "rasterize_attributes",
]

BACKENDS = ("numba", "torch", "pytorch3d")


def available() -> tuple[str, ...]:
    """The installed backends, the fastest for arrays first."""
    return tuple(name for name in BACKENDS if _installed(name))


@cache
def _installed(name: str) -> bool:
    """Whether a package exists; cached, because the search takes as long as a small picture."""
    return find_spec(name) is not None


@overload
def rasterize(
    vertices: Float[torch.Tensor, "*B V 3"],
    triangles: Integer[torch.Tensor, "F 3"] | Int32[np.ndarray, "F 3"],
    size: tuple[int, int],
    backend: str = "auto",
    cull: Cull = "none",
) -> TensorFragments: ...
@overload
def rasterize(
    vertices: ArrayLike,
    triangles: ArrayLike,
    size: tuple[int, int],
    backend: str = "auto",
    cull: Cull = "none",
) -> Fragments: ...
def rasterize(
    vertices: Any,
    triangles: Any,
    size: tuple[int, int],
    backend: str = "auto",
    cull: Cull = "none",
) -> Fragments | TensorFragments:
    """Find the nearest triangle of every pixel, its depth and its corners' shares.

    vertices   [V,3] or, for a batch of pictures, [B,V,3], in pixels
    triangles  [F,3] vertex indices
    size       (width, height) in pixels
    backend    "auto" (numba for arrays, torch for tensors), "numba", "torch" or "pytorch3d"
    cull       "back" skips triangles that run clockwise in the picture

    Tensors give tensors on their device, whose depth and barycentric are differentiable with
    respect to the vertices; arrays give arrays, whichever backend draws them.
    """
    size = checked_size(size)
    as_tensor = _is_tensor(vertices)
    name = _chosen(backend, as_tensor)
    shape = tuple(vertices.shape) if as_tensor else np.shape(vertices)
    if len(shape) not in (2, 3) or shape[-1] != 3:
        raise VividKeysError(
            "bad_array",
            f"Vertices are [V,3] or [B,V,3], not an array of shape {shape}.",
            "Give x, y and depth of every vertex.",
        )
    if not as_tensor and name == "numba":
        return _arrays_on_numba(vertices, triangles, size, cull)
    import torch

    points = vertices if as_tensor else torch.from_numpy(np.array(vertices, np.float32))
    corners = _corner_tensor(triangles, shape[-2], points.device)
    stack = points if points.ndim == 3 else points[None]
    found = _on_tensors(name, stack, corners, size, cull)
    if points.ndim == 2:
        found = TensorFragments(found.face_id[0], found.depth[0], found.barycentric[0])
    if as_tensor:
        return found
    return Fragments(found.face_id.numpy(), found.depth.numpy(), found.barycentric.numpy())


def rasterize_attributes(
    vertices: ArrayLike,
    triangles: ArrayLike,
    attributes: ArrayLike,
    size: tuple[int, int],
    backend: str = "auto",
    cull: Cull = "none",
) -> tuple[Int32[np.ndarray, "H W"], Float32[np.ndarray, "H W"], Float32[np.ndarray, "H W C"]]:
    """Face index, depth and interpolated attributes [V,C] of the vertices at every pixel.

    What `rasterize` and `interpolate` give for one mesh [V,3] of arrays, without the shares.
    """
    values = np.ascontiguousarray(attributes, np.float32)
    points = np.ascontiguousarray(vertices, np.float32)
    if values.ndim != 2 or points.shape != (len(values), 3):
        raise VividKeysError(
            "bad_array",
            f"Attributes of shape {values.shape} do not fit vertices of shape {points.shape}.",
            "Give one row of attributes for every vertex.",
        )
    if _chosen(backend, False) == "numba":
        from . import on_numba

        numbers = checked_triangles(triangles, len(points))
        return on_numba.rasterize_attributes(points, numbers, values, checked_size(size), cull)
    found = rasterize(points, triangles, size, backend, cull)
    return found.face_id, found.depth, interpolate(found, triangles, values)


@overload
def interpolate(
    fragments: TensorFragments,
    triangles: Integer[torch.Tensor, "F 3"] | Int32[np.ndarray, "F 3"],
    attributes: Float[torch.Tensor, ...],
) -> Float[torch.Tensor, "*B H W C"]: ...
@overload
def interpolate(
    fragments: Fragments, triangles: ArrayLike, attributes: ArrayLike
) -> Float32[np.ndarray, "*B H W C"]: ...
def interpolate(fragments: Any, triangles: Any, attributes: Any) -> Any:
    """Interpolate attributes by the corners' shares at every pixel, 0 where there is no triangle.

    attributes  of vertices [V,C], or of every triangle's corners [F,3,C]; for a batch of pictures
                also [B,V,C] and [B,F,3,C]

    Tensors stay differentiable with respect to attributes and vertices.
    """
    if isinstance(fragments, TensorFragments):
        from . import on_torch

        corners = _corner_tensor(triangles, sys.maxsize, fragments.face_id.device)
        return on_torch.interpolate(fragments, corners, attributes)
    numbers = np.asarray(triangles).reshape(-1, 3)
    values = np.asarray(attributes, np.float32)
    mixed = np.zeros((*fragments.face_id.shape, values.shape[-1]), np.float32)
    seen = np.nonzero(fragments.face_id >= 0)
    number, share = fragments.face_id[seen], fragments.barycentric[seen]
    picture = seen[0]
    of_corners = values.ndim == 4 or values.shape[:-1] == (len(numbers), 3)
    total = np.zeros((len(number), values.shape[-1]), np.float32)
    for corner in range(3):
        of_one = values[..., corner, :] if of_corners else values
        at = number if of_corners else numbers[number, corner]
        value = of_one[at] if of_one.ndim == 2 else of_one[picture, at]
        total += share[:, corner, None] * value
    mixed[seen] = total
    return mixed


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _chosen(backend: str, as_tensor: bool) -> str:
    """Choose the backend and check that it is installed."""
    if backend == "auto":
        return "torch" if as_tensor or not _installed("numba") else "numba"
    if backend not in BACKENDS:
        raise VividKeysError(
            "bad_request",
            f"There is no rasteriser called '{backend}'.",
            f"Use 'auto' or one of {', '.join(BACKENDS)}.",
        )
    if not _installed(backend):
        raise VividKeysError(
            "missing_dependency",
            f"The rasteriser '{backend}' was asked for, but it is not installed.",
            f"Install {backend} for this Python, or use the backend 'auto'.",
        )
    return backend


def _arrays_on_numba(
    vertices: ArrayLike, triangles: ArrayLike, size: tuple[int, int], cull: Cull
) -> Fragments:
    from . import on_numba

    points = np.ascontiguousarray(vertices, np.float32)
    numbers = checked_triangles(triangles, points.shape[-2])
    if points.ndim == 2:
        return on_numba.rasterize(points, numbers, size, cull)
    width, height = size
    stack = Fragments(
        np.empty((len(points), height, width), np.int32),
        np.empty((len(points), height, width), np.float32),
        np.empty((len(points), height, width, 3), np.float32),
    )
    for picture, mesh in enumerate(points):
        one = on_numba.rasterize(mesh, numbers, size, cull)
        stack.face_id[picture] = one.face_id
        stack.depth[picture] = one.depth
        stack.barycentric[picture] = one.barycentric
    return stack


def _corner_tensor(triangles: Any, vertex_count: int, device: torch.device) -> torch.Tensor:
    import torch

    if isinstance(triangles, torch.Tensor):
        if triangles.numel() and not 0 <= int(triangles.min()) <= int(triangles.max()) < (
            vertex_count
        ):
            checked_triangles(triangles.cpu().numpy(), vertex_count)
        return triangles.reshape(-1, 3).to(device)
    return torch.tensor(checked_triangles(triangles, vertex_count), device=device)


def _on_tensors(
    name: str, stack: torch.Tensor, corners: torch.Tensor, size: tuple[int, int], cull: Cull
) -> TensorFragments:
    """Any backend on meshes [B,V,3]."""
    from . import on_torch

    if name == "torch":
        return on_torch.rasterize(stack, corners, size, cull)
    if name == "pytorch3d":
        from . import on_pytorch3d

        return on_pytorch3d.rasterize(stack, corners, size, cull)
    import torch

    found = _arrays_on_numba(stack.detach().cpu().numpy(), corners.cpu().numpy(), size, cull)
    face_id = torch.from_numpy(found.face_id).to(stack.device)
    return TensorFragments(face_id, *on_torch.shares_of(face_id, stack, corners))
