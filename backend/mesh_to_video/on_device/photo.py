# SPDX-License-Identifier: GPL-3.0-or-later
"""`photo_warp` for a batch of frames: the photo warped, with eyes and mouth composited in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional

from backend.face.head.eyes import lid_ring
from backend.mesh_to_video.frame.photo_warp import EYE_MARGIN, FINER, PhotoWarp, light_between_lids
from backend.rasterize import on_torch

from .motion import DeviceMotion, DeviceSurroundings, Motions, Poses
from .mouth import DeviceMouth
from .pictures import Boxes, as_planes, boxes_around, sampled


@dataclass(frozen=True, eq=False)
class Layers:
    """The person of B frames, before they are composited over the background.

    colour  premultiplied, 0..255
    alpha   how much of the background the person covers, 0..1
    """

    colour: Float32[Tensor, "B 3 H W"]
    alpha: Float32[Tensor, "B 1 H W"]


class DevicePhoto:
    """Draws driven frames in one view of the photo."""

    def __init__(self, warp: PhotoWarp, around: DeviceSurroundings, device: torch.device) -> None:
        still = warp.still
        self.view, self._device = warp.view, device
        self.motion = DeviceMotion(warp.motion, around, device)
        self.mouth = DeviceMouth(still.mouth, warp.view, device) if still.mouth else None
        self._layer = as_planes(still.layer, device)
        self._photo, self._tiles = as_planes(warp.photo, device), as_planes(still.tiles, device)
        self._is_eye = torch.from_numpy(still.is_eye).to(device)
        self._rings = [lid_ring(side) for side in ("left", "right")]

    def paint(self, poses: Poses, residual: Float32[Tensor, "B 2 H W"] | None = None) -> Layers:
        """The person moved to each head; `residual` is added to the motion, pixels of the view."""
        motions = self.motion.driven(poses)
        x, y = motions.x, motions.y
        if residual is not None:
            x, y = x + residual[:, 0], y + residual[:, 1]
        warped = sampled(self._layer, x, y, "bicubic")
        colour, alpha = warped[:, :3].contiguous(), warped[:, 3:].clamp(0, 1)
        for ring in self._rings:
            self._lay_in_eye(poses, ring, colour, residual)
        self._lay_in_mouth(poses, motions, colour, alpha)
        return Layers(colour, alpha)

    def _lay_in_mouth(
        self,
        poses: Poses,
        motions: Motions,
        colour: Float32[Tensor, "B 3 H W"],
        alpha: Float32[Tensor, "B 1 H W"],
    ) -> None:
        mouths = self.mouth.driven(poses, motions) if self.mouth else None
        if mouths is None:
            return
        part = mouths.boxes.take(colour)
        mouths.boxes.put(colour, torch.lerp(part, mouths.colour, mouths.cover))
        covered = torch.maximum(mouths.boxes.take(alpha), mouths.cover)
        mouths.boxes.put(alpha, covered)

    def _lay_in_eye(
        self,
        poses: Poses,
        ring: list[int],
        colour: Float32[Tensor, "B 3 H W"],
        residual: Float32[Tensor, "B 2 H W"] | None,
    ) -> None:
        """Draw one eye of every frame supersampled; changes `colour`."""
        view, around = self.view, poses.some(self.view, ring)
        boxes = boxes_around(around, [True] * len(around), view, EYE_MARGIN, self._device)
        if boxes is None:
            return
        points = (poses.points(view) - boxes.corner()) * FINER
        size = (FINER * boxes.width, FINER * boxes.height)
        points = self.motion.with_sheet(points)
        found = on_torch.rasterize(points, self.motion.triangles, size)
        values = on_torch.interpolate(found, self.motion.triangles, self.motion.attributes)
        values = values.permute(0, 3, 1, 2)
        x, y = values[:, 0], values[:, 1]
        if residual is not None:
            own_x, own_y = _own_places(boxes)
            more = sampled(residual, own_x, own_y, "bilinear")
            x, y = x + more[:, 0], y + more[:, 1]
        drawn = sampled(self._photo, x, y, "bicubic").clamp(0, 255)
        painted = sampled(self._tiles, values[:, 3], values[:, 4], "bilinear")
        light = np.array([light_between_lids(one) for one in around], np.float32)
        lit = torch.from_numpy(light).to(self._device)[:, None, None, None]
        ball = torch.lerp(painted, drawn, values[:, 2:3]) * lit
        is_eye = self._is_eye[found.face_id.long()][:, None]  # -1, no triangle, indexes the last
        drawn = torch.where(is_eye, ball, drawn)
        small = functional.avg_pool2d(drawn, FINER)
        share = functional.avg_pool2d((found.face_id >= 0).float()[:, None], FINER)
        inner = share * _towards_middle(boxes)
        boxes.put(colour, torch.lerp(boxes.take(colour), small, inner))


def _own_places(
    boxes: Boxes,
) -> tuple[Float32[Tensor, "B h w"], Float32[Tensor, "B h w"]]:
    """Positions in the view of the pixels of boxes drawn at `FINER` times the resolution."""
    device = boxes.left.device
    across = (torch.arange(FINER * boxes.width, device=device) + 0.5) / FINER
    down = (torch.arange(FINER * boxes.height, device=device) + 0.5) / FINER
    shape = (len(boxes.left), len(down), len(across))
    x = (boxes.left[:, None] + across)[:, None].expand(shape)
    return x, (boxes.top[:, None] + down)[..., None].expand(shape)


def _towards_middle(boxes: Boxes) -> Float32[Tensor, "B 1 h w"]:
    """1 inside each picture's own box, fading to 0 over the few pixels at its border."""
    left, top, right, bottom = (value[:, None] for value in boxes.own.unbind(1))
    columns, rows = boxes.columns() + 0.5, boxes.rows() + 0.5
    across = (torch.minimum(columns - left, right - columns) / 3.0).clamp(0, 1)
    down = (torch.minimum(rows - top, bottom - rows) / 3.0).clamp(0, 1)
    both = down[:, :, None] * across[:, None, :] * boxes.present[:, None, None]
    return both[:, None]
