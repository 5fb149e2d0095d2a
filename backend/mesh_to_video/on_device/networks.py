# SPDX-License-Identifier: GPL-3.0-or-later
"""`driven_frame` and `network_stage` for a batch of frames."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn
from torch.nn import functional

from backend.mesh_to_video.networks.driven_frame import FaceCrop
from backend.mesh_to_video.networks.motion_vae import motion_inputs
from backend.mesh_to_video.networks.network_stage import BESIDE_FACE, PAINTED, fade
from backend.mesh_to_video.networks.projection_texture import (
    BELONGS,
    DOT,
    projection_texture,
)
from backend.mesh_to_video.networks.weights import VideoNetworks
from backend.mesh_to_video.settings import (
    MOTION_SIDE,
    NETWORK_SIDE,
    PAINTED_CORNER,
    PAINTED_SIDE,
    Parts,
)
from shared.landmarks import LIP_LANDMARKS

from .motion import DeviceMotion, DeviceSurroundings, Poses
from .mouth import DeviceMouth
from .pictures import as_planes, box_blurred

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class DrivenFrames:
    """`DrivenFrame` for B frames."""

    flow: Float32[Tensor, "B 2 S S"]
    seen: Float32[Tensor, "B 1 S S"]
    face: Float32[Tensor, "B 1 S S"]
    code: Float32[Tensor, "B 3 S S"]
    inside: Float32[Tensor, "B 4 S S"]
    lips: Float32[Tensor, "B L M M"]


@dataclass(frozen=True, eq=False)
class LearnedMotions:
    """`LearnedMotion` for B frames."""

    residual: Float32[Tensor, "B 2 M M"]
    occlusion: Float32[Tensor, "B 1 M M"]


class Changes(NamedTuple):
    """`Change` for B frames."""

    added: Float32[Tensor, "B 3 P P"]
    occlusion: Float32[Tensor, "B 1 P P"]
    where: Float32[Tensor, "B 1 P P"]


class DeviceCrop:
    """The square around the face, as the networks see it."""

    def __init__(self, crop: FaceCrop, around: DeviceSurroundings, device: torch.device) -> None:
        self.view = crop.view
        still = crop.warp.still
        self._motion = DeviceMotion(crop.warp.motion, around, device)
        self._mouth = DeviceMouth(still.mouth, crop.view, device) if still.mouth else None
        self._members = torch.from_numpy(crop.members).to(device)
        self._own = torch.arange(NETWORK_SIDE, device=device) + 0.5
        self._belongs = torch.from_numpy(BELONGS).to(device)
        self._landmarks = list(LIP_LANDMARKS)
        reference = torch.from_numpy(crop.reference[self._landmarks]).to(device)
        self._reference = self._dots(reference[None])

    def frames(self, poses: Poses) -> DrivenFrames:
        """The networks' input for each head."""
        points = poses.points(self.view)
        motions = self._motion.driven(poses, self._codes(self._motion.with_sheet(points)))
        flow = torch.stack([motions.x - self._own, motions.y - self._own[:, None]], dim=1)
        inside = torch.zeros((len(flow), 4, NETWORK_SIDE, NETWORK_SIDE), device=flow.device)
        mouths = self._mouth.driven(poses, motions) if self._mouth else None
        if mouths is not None:
            there = mouths.boxes.present[:, None, None, None]
            shown = torch.cat([mouths.colour / 255, mouths.cover], dim=1) * there
            mouths.boxes.put(inside, shown)
        driven = points[:, self._landmarks, :2] * (MOTION_SIDE / NETWORK_SIDE)
        lips = self._dots(driven) - self._reference
        return DrivenFrames(flow, motions.seen, motions.shown, motions.drawn, inside, lips)

    def _codes(self, points: Float32[Tensor, "B V 3"]) -> Float32[Tensor, "B V 3"]:
        """`coordinate_code` of every head."""
        own = points[:, self._members]
        least, most = own.amin(dim=1, keepdim=True), own.amax(dim=1, keepdim=True)
        extent = most - least
        scale = torch.where(extent > 0, 1.0 / extent.clamp(min=1e-20), 0.0)
        return ((points - least) * scale).clamp(0, 1)

    def _dots(self, points: Float32[Tensor, "B landmarks 2"]) -> Float32[Tensor, "B L M M"]:
        """The sum of the dots of each map."""
        centres = torch.arange(MOTION_SIDE, device=points.device) + 0.5
        across = torch.exp(-0.5 * ((centres - points[..., :1]) / DOT) ** 2)
        down = torch.exp(-0.5 * ((centres - points[..., 1:2]) / DOT) ** 2)
        return torch.einsum("mk,bky,bkx->bmyx", self._belongs, down, across)


class DeviceNetworks:
    """Motion-VAE, generator and refiner for one portrait."""

    def __init__(
        self, crop: FaceCrop, networks: VideoNetworks, parts: Parts, device: torch.device
    ) -> None:
        self._lip_branch = parts.lip_branch
        self._vae = _moved(networks.motion_vae, device)
        self._generator = _moved(networks.generator, device)
        self._refiner = _moved(networks.refiner, device)
        photo = crop.photo.astype(np.float32) / np.float32(255)
        self._photo = as_planes(photo, device)
        self._photo_code = as_planes(projection_texture(crop.code, crop.face, photo), device)
        self._small_fade, self._fade = (
            as_planes(fade(side), device) for side in (MOTION_SIDE, PAINTED_SIDE)
        )
        self._features = None
        if self._generator is not None:
            self._features = self._generator.encode(self._photo, self._photo_code)

    def motion(self, frames: DrivenFrames) -> LearnedMotions | None:
        """What to add to the geometry's motion; None without the motion-VAE."""
        if self._vae is None:
            return None
        count = len(frames.flow)
        inputs = motion_inputs(
            self._photo.expand(count, -1, -1, -1),
            self._photo_code.expand(count, -1, -1, -1),
            frames.flow,
            frames.seen,
            frames.face,
            frames.code,
            frames.lips,
        )
        found = self._vae(inputs, lip_branch=self._lip_branch)
        return LearnedMotions(found.residual * self._small_fade, found.occlusion)

    def change(
        self,
        frames: DrivenFrames,
        learned: LearnedMotions | None,
        composite: Float32[Tensor, "B 3 P P"],
    ) -> Changes | None:
        """What the generator changes in the composites of the repainted square, 0..1.

        None without the generator.
        """
        if self._generator is None or self._features is None:
            return None
        flow, occlusion = frames.flow, frames.seen
        if learned is not None:
            flow, occlusion = flow + _enlarged(learned.residual), _enlarged(learned.occlusion)
        made = self._generator(
            self._features, flow, occlusion, composite, frames.code, frames.face, frames.inside,
            PAINTED_CORNER,
        )  # fmt: skip
        near = (2 * box_blurred(frames.face, BESIDE_FACE)).clamp(max=1)
        where = self._fade * near[..., *PAINTED]
        return Changes((made - composite) * where, occlusion[..., *PAINTED], where)

    def refined(
        self,
        large: Float32[Tensor, "B 3 large large"],
        composite: Float32[Tensor, "B 3 P P"],
        change: Changes,
    ) -> Float32[Tensor, "B 3 large large"]:
        """What to add to `large`, the composites at twice the resolution, 0..1."""
        assert self._refiner is not None
        made: Tensor = self._refiner(large, composite, composite + change.added, change.occlusion)
        where = functional.interpolate(
            change.where, scale_factor=2.0, mode="bilinear", align_corners=False
        )
        return (made - large) * where


def _enlarged(values: Float32[Tensor, "B C M M"]) -> Float32[Tensor, "B C S S"]:
    size = (NETWORK_SIDE, NETWORK_SIDE)
    return functional.interpolate(values, size=size, mode="bilinear", align_corners=False)


def _moved(network: Network | None, device: torch.device) -> Network | None:
    """A copy on the device: the original may still be used on the CPU."""
    if network is None:
        return None
    moved = copy.deepcopy(network).to(device).eval()
    if device.type == "cuda":
        moved.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved
