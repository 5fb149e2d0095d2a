# SPDX-License-Identifier: GPL-3.0-or-later
"""PyTorch3D's rasteriser in this project's convention, as an independent reference if installed.

It tests edges in single precision and excludes the edges themselves: a pixel whose centre lies
exactly on an edge of a triangle may go to the neighbour, or to none.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from shared.errors import VividKeysError

from .fragments import SMALLEST_TWICE_AREA, Cull, TensorFragments


def rasterize(
    vertices: Float[Tensor, "B V 3"],
    triangles: Integer[Tensor, "F 3"],
    size: tuple[int, int],
    cull: Cull = "none",
) -> TensorFragments:
    """Rasterise meshes with common triangles in pictures of `size` (width, height)."""
    try:
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
        from pytorch3d.structures import Meshes
    except ImportError as error:
        raise VividKeysError(
            "missing_dependency",
            f"The PyTorch3D rasteriser was asked for, but cannot be imported ({error}).",
            "Install PyTorch3D for this version of torch, or use the backend 'auto'.",
        ) from error
    width, height = size
    pictures = []
    for mesh in vertices.to(torch.float32):
        kept = torch.nonzero(_drawable(mesh.detach(), triangles, cull))[:, 0]
        if not len(kept):
            pictures.append(_empty(mesh, width, height))
            continue
        # PyTorch3D's x points left, its y up, its shorter side spans -1..1; z has to be positive.
        nearest = mesh.detach()[triangles[kept].long()][..., 2].min()
        side = min(width, height)
        turned = torch.stack(
            [
                (width - 2 * mesh[:, 0]) / side,
                (height - 2 * mesh[:, 1]) / side,
                mesh[:, 2] - nearest + 1.0,
            ],
            dim=-1,
        )
        meshes = Meshes(verts=[torch.nan_to_num(turned)], faces=[triangles[kept].long()])
        number, z, shares, _ = rasterize_meshes(
            meshes,
            image_size=(height, width),
            blur_radius=0.0,
            faces_per_pixel=1,
            bin_size=None if mesh.is_cuda else 0,
            perspective_correct=False,
        )
        number, seen = number[0, ..., 0], number[0, ..., 0] >= 0
        pictures.append(
            TensorFragments(
                torch.where(seen, kept[number.clamp(min=0)], -1).to(torch.int32),
                torch.where(seen, z[0, ..., 0] + (nearest - 1.0), torch.inf),
                torch.where(seen[..., None], shares[0, :, :, 0], 0.0),
            )
        )
    return TensorFragments(
        torch.stack([picture.face_id for picture in pictures]),
        torch.stack([picture.depth for picture in pictures]),
        torch.stack([picture.barycentric for picture in pictures]),
    )


def _drawable(mesh: Tensor, triangles: Tensor, cull: Cull) -> Tensor:
    """Which triangles [F] the other backends would draw as well."""
    corners = mesh.double()[triangles.long()]
    across, down = corners[:, 1:, :2].unbind(-1)
    across, down = across - corners[:, :1, 0], down - corners[:, :1, 1]
    area = across[:, 0] * down[:, 1] - down[:, 0] * across[:, 1]
    good = torch.isfinite(corners).flatten(1).all(1) & (area.abs() > SMALLEST_TWICE_AREA)
    return good & (area <= 0) if cull == "back" else good


def _empty(mesh: Tensor, width: int, height: int) -> TensorFragments:
    return TensorFragments(
        torch.full((height, width), -1, dtype=torch.int32, device=mesh.device),
        torch.full((height, width), torch.inf, device=mesh.device),
        torch.zeros((height, width, 3), device=mesh.device),
    )
