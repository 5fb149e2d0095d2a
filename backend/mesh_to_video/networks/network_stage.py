# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the networks: what they add to the motion and to the picture of a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from ..frame.view import View
from ..settings import MOTION_SIDE, NETWORK_SIDE, PAINTED_CORNER, PAINTED_SIDE, Parts
from .driven_frame import DrivenFrame, FaceCrop
from .motion_vae import motion_inputs
from .projection_texture import projection_texture
from .weights import VideoNetworks

# What the networks add fades out towards the border of their picture, over this share of its side.
FADE = 0.07
# The refiner runs from this many pixels of the video per pixel of the networks' picture on.
REFINED_FROM = 1.3
# Outside the face, what the networks paint fades out over this many pixels of their picture: hair,
# ears and background look better warped than painted.
BESIDE_FACE = 8
# The rows and columns of the networks' picture that are repainted.
_LEFT, _TOP = PAINTED_CORNER
PAINTED = slice(_TOP, _TOP + PAINTED_SIDE), slice(_LEFT, _LEFT + PAINTED_SIDE)


@dataclass(frozen=True, eq=False)
class LearnedMotion:
    """What the motion-VAE adds.

    residual   motion in pixels of the face crop
    occlusion  1 where the warped photo is right, 0 where it cannot be
    """

    residual: Float32[np.ndarray, "M M 2"]
    occlusion: Float32[np.ndarray, "M M"]


class Change(NamedTuple):
    """What the generator changes in the repainted square, P = `PAINTED_SIDE`.

    added      to be added to the composite, -1..1
    occlusion  as the refiner takes it
    where      mask of what may change, 0..1
    """

    added: Float32[np.ndarray, "P P 3"]
    occlusion: Float32[Tensor, "1 1 P P"]
    where: Float32[np.ndarray, "P P"]


class NetworkStage:
    """The networks for one portrait. The photo is encoded once; frames are independent."""

    def __init__(self, crop: FaceCrop, networks: VideoNetworks, parts: Parts) -> None:
        self._networks = networks
        self._lip_branch = parts.lip_branch
        photo = crop.photo.astype(np.float32) / np.float32(255)
        self._photo = _planes(photo)
        self._photo_code = _planes(projection_texture(crop.code, crop.face, photo))
        self._features = None
        if networks.generator is not None:
            with torch.inference_mode():
                self._features = networks.generator.encode(self._photo, self._photo_code)

    def motion(self, frame: DrivenFrame) -> LearnedMotion | None:
        """What to add to the geometry's motion; None without the motion-VAE."""
        network = self._networks.motion_vae
        if network is None:
            return None
        with torch.inference_mode():
            inputs = motion_inputs(
                self._photo,
                self._photo_code,
                _planes(frame.flow),
                _plane(frame.seen),
                _plane(frame.face),
                _planes(frame.code),
                _planes(frame.lips),
            )
            found = network(inputs, lip_branch=self._lip_branch)
        residual = found.residual[0].permute(1, 2, 0).numpy()
        return LearnedMotion(residual * fade(MOTION_SIDE)[..., None], found.occlusion[0, 0].numpy())

    def change(
        self,
        frame: DrivenFrame,
        learned: LearnedMotion | None,
        composite: Float32[np.ndarray, "P P 3"],
    ) -> Change | None:
        """What the generator changes in the composite of the repainted square, 0..1.

        None without the generator.
        """
        network = self._networks.generator
        if network is None or self._features is None:
            return None
        flow, occlusion = frame.flow, frame.seen
        if learned is not None:
            size = (NETWORK_SIDE, NETWORK_SIDE)
            flow = flow + cv2.resize(learned.residual, size, interpolation=cv2.INTER_LINEAR)
            occlusion = np.asarray(
                cv2.resize(learned.occlusion, size, interpolation=cv2.INTER_LINEAR), np.float32
            )
        with torch.inference_mode():
            made = network(
                self._features,
                _planes(flow),
                _plane(occlusion),
                _planes(composite),
                _planes(frame.code),
                _plane(frame.face),
                _planes(frame.inside),
                PAINTED_CORNER,
            )
        added = made[0].permute(1, 2, 0).numpy() - composite
        where = fade(PAINTED_SIDE) * near_face(frame.face)[PAINTED]
        return Change(added * where[..., None], _plane(occlusion[PAINTED]), where)

    def refined(
        self,
        large: Float32[np.ndarray, "large large 3"],
        composite: Float32[np.ndarray, "P P 3"],
        change: Change,
    ) -> Float32[np.ndarray, "large large 3"]:
        """What to add to `large`, the composite at twice the resolution, 0..1."""
        network = self._networks.refiner
        assert network is not None
        with torch.inference_mode():
            made = network(
                _planes(large),
                _planes(composite),
                _planes(composite + change.added),
                change.occlusion,
            )
        size = (2 * PAINTED_SIDE, 2 * PAINTED_SIDE)
        where = cv2.resize(change.where, size, interpolation=cv2.INTER_LINEAR)
        return np.asarray((made[0].permute(1, 2, 0).numpy() - large) * where[..., None])

    def refines(self, crop: View, scale: float) -> bool:
        """Whether a video with `scale` pixels per pixel of the photo gains from the refiner."""
        return self._networks.refiner is not None and scale / crop.scale >= REFINED_FROM


def near_face(face: Float32[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W"]:
    """1 on the face, fading to 0 over `BESIDE_FACE` pixels around it."""
    size = (2 * BESIDE_FACE + 1, 2 * BESIDE_FACE + 1)
    return np.asarray(np.minimum(2 * cv2.blur(face, size), 1), np.float32)


def fade(side: int) -> Float32[np.ndarray, "{side} {side}"]:
    """1 in the middle, fading to 0 at the border."""
    place = (np.arange(side, dtype=np.float32) + 0.5) / side
    line = np.clip(np.minimum(place, 1 - place) / FADE, 0, 1)
    line = line * line * (3 - 2 * line)
    return np.outer(line, line).astype(np.float32)


def _planes(picture: Float32[np.ndarray, "H W C"]) -> Float32[Tensor, "1 C H W"]:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32))


def _plane(picture: Float32[np.ndarray, "H W"]) -> Float32[Tensor, "1 1 H W"]:
    return torch.from_numpy(np.ascontiguousarray(picture[None, None], np.float32))
