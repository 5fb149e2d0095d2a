# SPDX-License-Identifier: GPL-3.0-or-later
"""`mouth_interior` for a batch of frames: teeth and tongue behind the lips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Tensor
from torch.nn import functional

from backend.mesh_to_video.frame.lip_passage import passage_of
from backend.mesh_to_video.frame.mouth_interior import (
    CORNER_DARK,
    DIM_DEPTH,
    DIM_PER_OPENING,
    FINER,
    IN_SHADOW,
    LEAST_OPENING,
    LEAST_SHADOW,
    RING,
    SHADOW_SLOPE,
    TOOTH_BARE,
    WIDEST_RISE,
    MouthInterior,
    lip_opening,
    up_of,
)
from backend.mesh_to_video.frame.view import View
from backend.rasterize import on_torch
from shared.landmarks import INNER_LIP_UPPER

from .motion import Motions, Poses
from .pictures import (
    Boxes,
    as_planes,
    blurred,
    box_blurred,
    boxes_around,
    gaussians,
    inside_polygon,
    sampled,
)


@dataclass(frozen=True, eq=False)
class Mouths:
    """The inside of B mouths in boxes of the view: colour 0..255, opacity 0..1."""

    boxes: Boxes
    colour: Float32[Tensor, "B 3 h w"]
    cover: Float32[Tensor, "B 1 h w"]


class DeviceMouth:
    """Draws what is behind the lips in one view."""

    def __init__(self, mouth: MouthInterior, view: View, device: torch.device) -> None:
        still = mouth.still
        self._view, self._device, self._metre = view, device, still.metre
        self._rest_width, self._photo_gap = still.rest_width, still.photo_gap
        self._higher, self._rises, self._forward = (
            torch.from_numpy(value).to(device)[None, :]
            for value in (still.higher, still.rises, still.forward)
        )
        self._triangles = torch.from_numpy(still.triangles).to(device)
        self._attributes = torch.from_numpy(still.attributes).to(device)
        self._tiles, self._photo = as_planes(still.tiles, device), as_planes(still.photo, device)
        self._gain, self._tooth_gain, self._flesh = (
            torch.from_numpy(np.asarray(value, np.float32)).to(device)[None, :, None, None]
            for value in (still.gain, still.tooth_gain, still.flesh)
        )

    def driven(self, poses: Poses, motions: Motions) -> Mouths | None:
        """The insides of the mouths; None if all lips are closed."""
        edge = poses.some(self._view, list(RING))
        # The ring runs along the upper lip first and back along the lower one.
        openings = np.array([_opening(ring) for ring in edge], np.float32)
        wanted = [bool(opening >= LEAST_OPENING) for opening in openings]
        boxes = boxes_around(edge, wanted, self._view, 0.0, self._device)
        if boxes is None:
            return None
        points = self._placed(poses.points(self._view), openings)
        points = (points - boxes.corner()) * FINER
        size = (FINER * boxes.width, FINER * boxes.height)
        found = on_torch.rasterize(points, self._triangles, size)
        values = on_torch.interpolate(found, self._triangles, self._attributes)
        values = values.permute(0, 3, 1, 2)
        known = found.face_id >= 0
        skin = boxes.take(motions.depth[:, None])[:, 0]
        skin = skin.repeat_interleave(FINER, dim=1).repeat_interleave(FINER, dim=2)
        corner = boxes.corner()[..., :2]
        ring = (torch.from_numpy(edge[..., :2]).to(self._device) - corner) * FINER
        within = inside_polygon(ring, *size)[:, None].float()
        within = functional.max_pool2d(within, 3, 1, 1)[:, 0] > 0
        shown = known & (found.depth < FINER * skin) & within
        weight = shown[:, None].float() * boxes.present[:, None, None, None]
        depth = torch.where(known, found.depth, 0.0)
        passages = [
            passage_of(
                ring[[0, len(INNER_LIP_UPPER) - 1]],
                opening,
                self._metre,
                self._rest_width,
                self._photo_gap,
            )
            for ring, opening in zip(edge, openings.tolist(), strict=True)
        ]
        flesh = self._per_frame([one.flesh for one in passages])
        colour = self._colour(values, self._light(depth, poses, boxes, openings), flesh)
        cover = functional.avg_pool2d(weight, FINER)
        total = functional.avg_pool2d(colour * weight, FINER)
        mean = _carried_on(total / cover.clamp(min=1e-3), cover > 0.02)
        # Towards the lips their colour blends into what is behind.
        kernels = gaussians(
            [
                max(0.5, one.edge * opening)
                for one, opening in zip(passages, openings.tolist(), strict=True)
            ]
        )
        soft = 2 * blurred(cover, torch.from_numpy(kernels).to(self._device)) - 1
        soft = soft.clamp(0, 1) * cover.clamp(0, 1)
        return Mouths(boxes, mean, soft * self._per_frame([one.cover for one in passages]))

    def _per_frame(self, numbers: list[float]) -> Float32[Tensor, "B 1 1 1"]:
        return torch.tensor(numbers, dtype=torch.float32, device=self._device)[:, None, None, None]

    def _placed(
        self, points: Float32[Tensor, "B V 3"], openings: Float32[np.ndarray, " B"]
    ) -> Float32[Tensor, "B V 3"]:
        """`MouthInterior.placed` for a batch."""
        rising = np.clip(openings, 0, WIDEST_RISE * self._metre).astype(np.float32)
        opening = torch.from_numpy(rising).to(self._device)[:, None]
        moved = self._higher + self._rises * opening
        points = points + moved[..., None] * up_of(points)[:, None]
        points[..., 2] -= self._forward
        return points

    def _colour(
        self,
        values: Float32[Tensor, "B 6 h w"],
        light: Float32[Tensor, "B 1 h w"],
        flesh: Float32[Tensor, "B 1 1 1"],
    ) -> Float32[Tensor, "B 3 h w"]:
        painted = sampled(self._tiles, values[:, 3], values[:, 4], "bilinear") * self._gain
        tooth = values[:, 5:6].clamp(0, 1)
        painted = painted * (1 + tooth * (self._tooth_gain - 1))
        lit = painted * light
        deep = self._flesh * flesh
        dark = 1 - (lit.mean(dim=1, keepdim=True) / deep.mean(dim=1, keepdim=True)).clamp(0, 1)
        colour = lit + deep * dark * (1 - TOOTH_BARE * tooth)
        photo = sampled(self._photo, values[:, 0], values[:, 1], "bilinear")
        return colour + values[:, 2:3].clamp(0, 1) * (photo - colour)

    def _light(
        self,
        depth: Float32[Tensor, "B h w"],
        poses: Poses,
        boxes: Boxes,
        openings: Float32[np.ndarray, " B"],
    ) -> Float32[Tensor, "B 1 h w"]:
        """How much light reaches a point at `depth`, 0..1; see `MouthInterior`."""
        metre = FINER * self._metre
        upper = poses.some(self._view, list(INNER_LIP_UPPER))
        upper[..., :2] -= boxes.corners
        upper *= np.float32(FINER)
        column = np.arange(depth.shape[2]) + 0.5
        lines = np.empty((len(upper), 3, depth.shape[2]), np.float32)
        for number, edge in enumerate(upper):
            edge = edge[np.argsort(edge[:, 0])]
            lines[number, 0] = np.interp(column, edge[:, 0], edge[:, 1])
            lines[number, 1] = np.interp(column, edge[:, 0], edge[:, 2])
            middle, reach = (edge[0, 0] + edge[-1, 0]) / 2, (edge[-1, 0] - edge[0, 0]) / 2
            lines[number, 2] = np.clip(np.abs(column - middle) / max(float(reach), 1.0), 0, 1)
        line, lip, beside = torch.from_numpy(lines).to(self._device)[:, :, None].unbind(1)
        row = (torch.arange(depth.shape[1], device=self._device) + 0.5)[:, None]
        behind = (depth - lip).clamp(min=0) / metre
        half = torch.from_numpy(DIM_DEPTH + DIM_PER_OPENING * FINER * openings / metre)
        half = half.to(self._device, torch.float32).clamp(min=1e-6)[:, None, None]
        light = 1.0 / (1.0 + (behind / half) ** 2)
        below = (row - line) / metre / (SHADOW_SLOPE * behind).clamp(min=LEAST_SHADOW)
        share = below.clamp(0, 1)
        light = light * (IN_SHADOW + (1 - IN_SHADOW) * share * share * (3 - 2 * share))
        return (light * (1 - CORNER_DARK * beside**3))[:, None]


def _opening(ring: Float32[np.ndarray, "N 3"]) -> float:
    points = np.zeros((max(RING) + 1, 3), np.float32)
    points[list(RING)] = ring
    return lip_opening(points)


def _carried_on(
    values: Float32[Tensor, "B C h w"], known: Bool[Tensor, "B 1 h w"], reach: int = 2
) -> Float32[Tensor, "B C h w"]:
    """Values where known, and up to `reach` pixels beyond the mean of their known neighbours."""
    weight = known.float()
    for _ in range(reach):
        total, share = box_blurred(values * weight, 1), box_blurred(weight, 1)
        new = (weight == 0) & (share > 0)
        values = torch.where(new, total / share.clamp(min=1e-6), values)
        weight = torch.maximum(weight, new.float())
    return values
