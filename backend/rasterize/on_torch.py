# SPDX-License-Identifier: GPL-3.0-or-later
"""The differentiable rasteriser for any torch device.

Every pixel of every triangle's bounding box becomes one entry of a list; the nearest entry of each
pixel is found by one scatter of (depth, triangle) packed into one integer. Long lists are processed
in chunks, so that memory stays bounded for any mesh.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float, Float32, Int32, Integer
from torch import Tensor

from .fragments import SMALLEST_TWICE_AREA, Cull, TensorFragments

# Entries of the list per chunk, each about 200 bytes while it is processed.
PIECE_ON_CPU = 1 << 19
PIECE_ON_DEVICE = 1 << 22
_NOTHING = torch.iinfo(torch.int64).max


def rasterize(
    vertices: Float[Tensor, "B V 3"],
    triangles: Integer[Tensor, "F 3"],
    size: tuple[int, int],
    cull: Cull = "none",
) -> TensorFragments:
    """Rasterise meshes with common triangles in pictures of `size` (width, height).

    Depth and barycentric are differentiable with respect to the vertices; the choice of the visible
    triangle is not.
    """
    with torch.no_grad():
        mesh = vertices.detach(), triangles
        if vertices.device.type == "mps":
            # It lacks double precision and this scatter: faces are found on the CPU.
            mesh = mesh[0].cpu(), triangles.cpu()
        face_id = _nearest(*mesh, size, cull).to(vertices.device)
    depth, shares = shares_of(face_id, vertices, triangles)
    return TensorFragments(face_id, depth, shares)


def shares_of(
    face_id: Int32[Tensor, "B H W"],
    vertices: Float[Tensor, "B V 3"],
    triangles: Integer[Tensor, "F 3"],
) -> tuple[Float32[Tensor, "B H W"], Float32[Tensor, "B H W 3"]]:
    """Depth and corner shares of given face indices, differentiable in the vertices."""
    seen = face_id >= 0
    batch, height, width = face_id.shape
    if not len(triangles):
        empty = torch.zeros((batch, height, width, 3), device=vertices.device)
        return torch.full_like(empty[..., 0], torch.inf), empty
    corner = triangles.long()[face_id.clamp(min=0).long()]
    picture = torch.arange(batch, device=face_id.device)[:, None, None, None]
    exact = _exact(vertices.device)
    # Pixels without a triangle get a harmless one, so that no gradient becomes NaN.
    harmless = torch.tensor(
        [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=exact, device=vertices.device
    )
    points = torch.where(
        seen[..., None, None], vertices.to(torch.float32).to(exact)[picture, corner], harmless
    )
    x = torch.arange(width, device=vertices.device, dtype=exact) + 0.5
    y = torch.arange(height, device=vertices.device, dtype=exact)[:, None] + 0.5
    first, second, third, _ = _shares(points[..., 0], points[..., 1], x, y)
    az, bz, cz = points[..., 2].unbind(-1)
    z = (first * az + second * bz + third * cz).to(torch.float32)
    shares = torch.stack([first, second, third], dim=-1).to(torch.float32)
    return (
        torch.where(seen, z, torch.inf),
        torch.where(seen[..., None], shares, 0.0),
    )


def interpolate(
    fragments: TensorFragments,
    triangles: Integer[Tensor, "F 3"],
    attributes: Float[Tensor, "*any C"],
) -> Float[Tensor, "*B H W C"]:
    """Attributes at every pixel, 0 where there is no triangle.

    `attributes` are of vertices, [V,C] or [B,V,C], or of corners, [F,3,C] or [B,F,3,C].
    Differentiable in the attributes and, through the shares, in the vertices.
    """
    single = fragments.face_id.ndim == 2
    face_id = fragments.face_id[None] if single else fragments.face_id
    shares = fragments.barycentric[None] if single else fragments.barycentric
    seen = (face_id >= 0)[..., None]
    count = len(triangles)
    if not count:
        values = torch.zeros((*face_id.shape, attributes.shape[-1]), device=face_id.device)
        return values[0] if single else values
    number = face_id.clamp(min=0).long()
    picture = torch.arange(len(face_id), device=face_id.device)[:, None, None]
    of_corners = attributes.ndim == 4 or attributes.shape[:-1] == (count, 3)
    values = torch.zeros((), device=face_id.device)
    for corner in range(3):
        share = shares[..., corner, None]
        if of_corners:
            of_one = attributes[..., corner, :]
            at = number
        else:
            of_one = attributes
            at = triangles.long()[:, corner][number]
        value = of_one[at] if of_one.ndim == 2 else of_one[picture, at]
        # Where nothing is seen the attribute may be anything, even NaN.
        values = values + share * torch.where(seen, value, 0.0)
    return values[0] if single else values


def _exact(device: torch.device) -> torch.dtype:
    """Shares are computed in double precision, except on Apple's GPUs, which lack it."""
    return torch.float32 if device.type == "mps" else torch.float64


def _shares(corner_x: Tensor, corner_y: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """Shares of three corners [...,3] at pixel centres, and twice the signed area.

    The order of operations is that of the compiled rasteriser, so that both round alike.
    """
    ax, bx, cx = corner_x.unbind(-1)
    ay, by, cy = corner_y.unbind(-1)
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    inverse = 1.0 / area
    a_right, b_right, c_right = ax - x, bx - x, cx - x
    a_down, b_down, c_down = ay - y, by - y, cy - y
    first = (b_right * c_down - b_down * c_right) * inverse
    second = (c_right * a_down - c_down * a_right) * inverse
    third = (a_right * b_down - a_down * b_right) * inverse
    return first, second, third, area


def _nearest(vertices: Tensor, triangles: Tensor, size: tuple[int, int], cull: Cull) -> Tensor:
    """Face ids [B,H,W] int32 of meshes [B,V,3]."""
    width, height = size
    batch, faces = len(vertices), len(triangles)
    device = vertices.device
    nearest = torch.full((batch * height * width,), _NOTHING, dtype=torch.int64, device=device)
    if batch and faces:
        corners = vertices.to(torch.float32)[:, triangles.long()].double().reshape(-1, 3, 3)
        chosen, box, counts = _boxes(corners, size, cull)
        corners = corners[chosen]
        ends = counts.cumsum(0)
        piece = PIECE_ON_CPU if device.type == "cpu" else PIECE_ON_DEVICE
        for start, end in _pieces(ends, piece):
            part = slice(start, end)
            _scatter(nearest, corners[part], chosen[part], box[part], counts[part], faces, size)
    face_id = torch.where(nearest == _NOTHING, -1, nearest & 0xFFFFFFFF)
    return face_id.to(torch.int32).reshape(batch, height, width)


def _boxes(corners: Tensor, size: tuple[int, int], cull: Cull) -> tuple[Tensor, Tensor, Tensor]:
    """Indices of the triangles worth drawing [N], their boxes [N,3] and the pixels in each [N].

    A box is given by its left, top and width.
    """
    width, height = size
    x, y = corners[..., 0], corners[..., 1]
    area = (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (y[:, 1] - y[:, 0]) * (x[:, 2] - x[:, 0])
    good = torch.isfinite(corners).flatten(1).all(1) & (area.abs() > SMALLEST_TWICE_AREA)
    if cull == "back":
        good &= area <= 0
    left = torch.ceil((x.amin(1) - 0.5).clamp(0, width))
    right = torch.floor((x.amax(1) - 0.5).clamp(-1, width - 1))
    top = torch.ceil((y.amin(1) - 0.5).clamp(0, height))
    bottom = torch.floor((y.amax(1) - 0.5).clamp(-1, height - 1))
    chosen = torch.nonzero(good & (left <= right) & (top <= bottom))[:, 0]
    box = torch.stack([left, top, right - left + 1, bottom - top + 1], dim=1)[chosen].long()
    return chosen, box[:, :3], box[:, 2] * box[:, 3]


def _pieces(ends: Tensor, piece: int) -> list[tuple[int, int]]:
    """Ranges of triangles with about `piece` entries each; a triangle is never divided."""
    if not len(ends):
        return []
    total = int(ends[-1])
    if total <= piece:
        return [(0, len(ends))]
    limits = torch.arange(piece, total + piece, piece, device=ends.device)
    cuts = torch.searchsorted(ends, limits).clamp(max=len(ends) - 1) + 1
    places = [0, *sorted({int(cut) for cut in cuts})]
    return list(pairwise(places))


def _scatter(
    nearest: Tensor,
    corners: Tensor,
    chosen: Tensor,
    box: Tensor,
    counts: Tensor,
    faces: int,
    size: tuple[int, int],
) -> None:
    """Write the (depth, triangle) keys of some triangles into the pixels where they are nearest."""
    width, height = size
    which = torch.repeat_interleave(counts)
    place = torch.arange(len(which), device=which.device) - (counts.cumsum(0) - counts)[which]
    across = box[which, 2]
    down = torch.div(place, across, rounding_mode="floor")
    column, row = box[which, 0] + place - down * across, box[which, 1] + down
    first, second, third, _ = _shares(
        corners[..., 0][which],
        corners[..., 1][which],
        column.to(corners.dtype) + 0.5,
        row.to(corners.dtype) + 0.5,
    )
    inside = torch.nonzero((first >= 0) & (second >= 0) & (third >= 0))[:, 0]
    which, row, column = which[inside], row[inside], column[inside]
    az, bz, cz = corners[..., 2][which].unbind(-1)
    z = first[inside] * az + second[inside] * bz + third[inside] * cz
    # Adding zero turns -0 into +0; then the bits of floats of both signs are ordered as integers.
    bits = (z.to(torch.float32) + 0.0).view(torch.int32)
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    number = chosen[which]
    picture = torch.div(number, faces, rounding_mode="floor")
    key = (ordered << 32) | (number - picture * faces)
    pixel = (picture * height + row) * width + column
    nearest.scatter_reduce_(0, pixel, key, "amin")
