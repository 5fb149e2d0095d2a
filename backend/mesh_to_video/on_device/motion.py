# SPDX-License-Identifier: GPL-3.0-or-later
"""`motion_field` for a batch of frames: where every pixel of a view comes from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int32
from torch import Tensor
from torch.nn import functional

from backend.face.head.eyes import lid_ring
from backend.mesh_to_video.frame.motion_field import LIP_ROWS, MotionField
from backend.mesh_to_video.frame.surroundings import CELLS, ROUNDS, Surroundings
from backend.mesh_to_video.frame.view import View
from backend.rasterize import TensorFragments, on_torch
from shared.landmarks import FACE_OVAL, OUTER_LIP_RING

from .pictures import box_blurred, ellipse, eroded

# How far behind the face the triangles lie that close its holes, pixels.
FAR_BEHIND = 1e5


@dataclass(frozen=True, eq=False)
class Poses:
    """B driven heads in the photo's pixels.

    vertices      on the device; `host` is a copy in main memory
    displacement  how far the R by C points of the grid of `Surroundings` move, photo's pixels
    """

    vertices: Float32[Tensor, "B V 3"]
    host: Float32[np.ndarray, "B V 3"]
    displacement: Float32[Tensor, "B 2 R C"]

    def points(self, view: View) -> Float32[Tensor, "B V 3"]:
        """The vertices in a view."""
        corner = torch.tensor((view.left, view.top, 0.0), device=self.vertices.device)
        return (self.vertices - corner.float()) * float(np.float32(view.scale))

    def some(self, view: View, members: list[int]) -> Float32[np.ndarray, "B N 3"]:
        """The vertices with indices `members` in a view, in main memory."""
        chosen = self.host[:, members]
        return view.points(chosen.reshape(-1, 3)).reshape(chosen.shape)


@dataclass(frozen=True, eq=False)
class Motions:
    """`MotionImage` for B frames.

    shown  1 where the face is drawn, 0 elsewhere
    drawn  the additional attributes
    """

    x: Float32[Tensor, "B H W"]
    y: Float32[Tensor, "B H W"]
    seen: Float32[Tensor, "B 1 H W"]
    shown: Float32[Tensor, "B 1 H W"]
    depth: Float32[Tensor, "B H W"]
    drawn: Float32[Tensor, "B C H W"]


class DeviceSurroundings:
    """The displacement of the surroundings' grid."""

    def __init__(self, around: Surroundings, device: torch.device) -> None:
        self._around, self._device = around, device
        still = around.still
        self.left, self.top, self.step = still.left, still.top, still.step
        self._points = torch.from_numpy(still.points).to(device)
        self._follow = torch.from_numpy(still.follow).to(device)[:, None]
        self._of_rim = torch.from_numpy(still.of_rim).to(device)
        self._rim = torch.from_numpy(np.ascontiguousarray(still.rim)).to(device)

    def poses(self, vertices: Float32[np.ndarray, "B V 3"] | Float32[Tensor, "B V 3"]) -> Poses:
        """Driven heads in the photo's pixels, prepared for all views."""
        if isinstance(vertices, Tensor):
            on_device = vertices.detach().to(self._device, torch.float32)
            host = np.asarray(vertices.detach().cpu().numpy(), np.float32)
        else:
            host = np.ascontiguousarray(vertices, np.float32)
            on_device = torch.from_numpy(host).to(self._device)
        rigid = [self._around.head_motion(head) for head in host]
        turn = torch.from_numpy(np.stack([one.turn for one in rigid])).to(self._device)
        shift = torch.from_numpy(np.stack([one.shift for one in rigid])).to(self._device)
        turn, shift = turn.transpose(1, 2), shift[:, None]
        moved = (self._points @ turn + shift - self._points)[..., :2] * self._follow
        rim = on_device[:, list(FACE_OVAL)]
        beyond = (rim - (self._rim @ turn + shift))[..., :2]
        moved = moved + self._of_rim @ beyond
        grid = moved.transpose(1, 2).reshape(len(host), 2, CELLS + 1, CELLS + 1)
        return Poses(on_device, host, grid.contiguous())


class DeviceMotion:
    """The motion in one view of the photo."""

    def __init__(
        self, field: MotionField, around: DeviceSurroundings, device: torch.device
    ) -> None:
        self.view = field.view
        self._around = around
        view, scale = self.view, float(np.float32(self.view.scale))
        coarse = field.coarse
        self._x = torch.from_numpy(coarse.x).to(device) / scale + view.left
        self._y = torch.from_numpy(coarse.y).to(device) / scale + view.top
        self._own_x = torch.arange(view.width, device=device) + 0.5
        self._own_y = (torch.arange(view.height, device=device) + 0.5)[:, None]
        self.triangles = torch.from_numpy(field.triangles).to(device)
        self.attributes = torch.from_numpy(field.attributes).to(device)
        # A face has holes, between the lips and where lids do not touch the eyeballs, which still
        # count as inside: triangles far behind the face close them.
        holes = _closed_holes()
        members, numbers = np.unique(holes, return_inverse=True)
        self._holes = torch.from_numpy(members).to(device)
        self._rows = torch.tensor(LIP_ROWS, device=device)
        self._behind = torch.from_numpy(field.behind).to(device)
        closing = numbers.reshape(-1, 3).astype(np.int32) + len(field.attributes)
        self._all = torch.cat([self.triangles, torch.from_numpy(closing).to(device)])
        self._seam = field.seam
        self._ellipse = ellipse(field.seam)

    def driven(self, poses: Poses, besides: Float32[Tensor, "B V C"] | None = None) -> Motions:
        """The motion to each head; `besides` are additional attributes, see `with_sheet`."""
        around_x, around_y = self._beside(poses)
        size = self.view.width, self.view.height
        found, inside = self._drawn(self.with_sheet(poses.points(self.view)), size)
        values = on_torch.interpolate(found, self.triangles, self.attributes[:, :3])
        shown = found.face_id >= 0
        soft = box_blurred(eroded(inside, self._ellipse), self._seam)
        rim = (soft * inside)[:, 0]

        def within(
            around: Float32[Tensor, "B H W"], drawn: Float32[Tensor, "B H W"]
        ) -> Float32[Tensor, "B H W"]:
            return around + rim * (torch.where(shown, drawn, around) - around)

        x, y = within(around_x, values[..., 0]), within(around_y, values[..., 1])
        seen = within(torch.ones_like(x), values[..., 2])[:, None]
        drawn = values[..., :0]
        if besides is not None:
            drawn = on_torch.interpolate(found, self.triangles, besides)
        return Motions(x, y, seen, shown[:, None].float(), found.depth, drawn.permute(0, 3, 1, 2))

    def with_sheet(self, points: Float32[Tensor, "B V 3"]) -> Float32[Tensor, "B V+22 3"]:
        """Points in this view, followed by those of the sheet between the lips."""
        return torch.cat([points, points[:, self._rows] + self._behind], dim=1)

    def _drawn(
        self, points: Float32[Tensor, "B V 3"], size: tuple[int, int]
    ) -> tuple[TensorFragments, Float32[Tensor, "B 1 H W"]]:
        """The rasterised face, and a mask of everything within its outline."""
        behind = points[:, self._holes]
        behind = torch.cat([behind[..., :2], behind[..., 2:] + FAR_BEHIND], dim=-1)
        found = on_torch.rasterize(torch.cat([points, behind], dim=1), self._all, size)
        inside = (found.face_id >= 0).float()[:, None]
        hole = found.face_id >= len(self.triangles)
        return TensorFragments(
            torch.where(hole, -1, found.face_id),
            torch.where(hole, torch.inf, found.depth),
            torch.where(hole[..., None], 0.0, found.barycentric),
        ), inside

    def _beside(self, poses: Poses) -> tuple[Float32[Tensor, "B H W"], Float32[Tensor, "B H W"]]:
        """`x` and `y` as if there were no face."""
        view, grid = self.view, self._around
        count = len(poses.vertices)
        x, y = (value.expand(count, -1, -1) for value in (self._x, self._y))
        from_x, from_y = x, y
        for _ in range(ROUNDS):
            column = (from_x - grid.left) * (2.0 / (CELLS * grid.step[0])) - 1.0
            row = (from_y - grid.top) * (2.0 / (CELLS * grid.step[1])) - 1.0
            moved = functional.grid_sample(
                poses.displacement,
                torch.stack([column, row], dim=-1),
                mode="bilinear",
                padding_mode="border",
                align_corners=True,
            )
            from_x, from_y = x - moved[:, 0], y - moved[:, 1]
        flow = torch.stack([from_x - x, from_y - y], dim=1) * view.scale
        flow = functional.interpolate(
            flow, size=(view.height, view.width), mode="bilinear", align_corners=False
        )
        return flow[:, 0] + self._own_x, flow[:, 1] + self._own_y


def _closed_holes() -> Int32[np.ndarray, "F 3"]:
    """Triangles that cover the mouth and both eyes."""
    faces = []
    mouth = list(OUTER_LIP_RING)
    for ring in (lid_ring("left"), lid_ring("right"), mouth):
        fan = [(ring[0], ring[k], ring[k + 1]) for k in range(1, len(ring) - 1)]
        faces.append(np.array(fan, np.int32))
    return np.concatenate(faces)
