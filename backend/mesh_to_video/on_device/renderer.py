# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole frames of the video, several at a time: `frame_renderer` on a device."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.mesh_to_video.frame.portrait import Portrait
from backend.mesh_to_video.frame_renderer import FrameRenderer
from backend.mesh_to_video.networks.weights import VideoNetworks
from backend.mesh_to_video.settings import RenderSettings

from .motion import DeviceSurroundings, Poses
from .networks import DeviceCrop, DeviceNetworks
from .photo import DevicePhoto, Layers
from .pictures import Placing, as_planes
from .soft_lips import soften

Singles = NDArray[np.float32]
Pixels = NDArray[np.uint8]

# Frames at a time: enough to keep a data-centre GPU at work at 512 pixels.
BATCH = 16
# Of larger pictures fewer are made at a time, so that about so many pixels are in work.
PIXELS_AT_ONCE = 16 * 1024 * 1024


class DeviceRenderer:
    """Renders frames of a portrait in batches; every frame is made from its own vertices alone.

    size      (width, height) of the video
    batch     how many frames to give to `frames` at a time
    on_cpu    the renderer that makes the same frames without the device
    warnings  sentences about the networks
    """

    def __init__(
        self,
        portrait: Portrait,
        settings: RenderSettings,
        networks: VideoNetworks | None = None,
        device: torch.device | str = "cuda",
        batch: int = BATCH,
        on_cpu: FrameRenderer | None = None,
    ) -> None:
        """`on_cpu` is the renderer of the same portrait and settings, where there is one already.

        Raises VividKeysError(bad_file) when weights are damaged.
        """
        device = torch.device(device)
        self.on_cpu = on_cpu or FrameRenderer(portrait, settings, networks)
        self.size, self.warnings = self.on_cpu.size, self.on_cpu.warnings
        self.batch = max(1, min(batch, PIXELS_AT_ONCE // (self.size[0] * self.size[1])))
        still = self.on_cpu.still
        self._box, self._alpha = still.box, settings.background == "alpha"
        left, top, right, bottom = still.box
        self._view = still.warp.view
        self._refines, self._lips = still.refines, still.lips
        with torch.no_grad():
            self._around = DeviceSurroundings(still.around, device)
            self._photo = DevicePhoto(still.warp, self._around, device)
            self._picture = torch.from_numpy(still.picture).to(device)
            self._behind = as_planes(still.behind[top:bottom, left:right], device)
            self._plate = as_planes(still.warp.plate, device)
            self._networks: DeviceNetworks | None = None
            networks = still.networks
            works = networks is not None and (networks.motion_vae or networks.generator)
            if networks is not None and works and still.crop is not None:
                crop, view = still.crop, self._view
                self._crop = DeviceCrop(crop, self._around, device)
                self._networks = DeviceNetworks(crop, networks, settings.parts, device)
                seen_from = crop.large_view if self._refines else crop.painted_view
                self._motion_scale = view.scale / crop.view.scale
                self._from_motion = Placing(crop.motion_view, view, device)
                self._to_painted = Placing(view, crop.painted_view, device)
                self._to_large = Placing(view, crop.large_view, device)
                self._from_painted = Placing(seen_from, view, device)

    @torch.inference_mode()
    def frames(self, vertices: Singles | Tensor) -> Pixels:
        """The pictures uint8 [B,H,W,3] (4 with alpha) of driven heads [B,V,3]."""
        poses = self._around.poses(vertices)
        if self._networks is not None:
            layers = self._with_networks(self._networks, poses)
        else:
            layers = self._photo.paint(poses)
        if self._lips is not None:
            layers = replace(layers, colour=soften(self._lips, layers.colour, poses))
        if self._alpha:
            straight = layers.colour / layers.alpha.clamp(min=1 / 255)
            mixed = torch.cat([straight, layers.alpha * 255], dim=1)
        else:
            mixed = layers.colour + (1 - layers.alpha) * self._behind
        moving = (mixed + 0.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
        pictures = self._picture.repeat(len(moving), 1, 1, 1)
        left, top, right, bottom = self._box
        pictures[:, top:bottom, left:right] = moving
        return np.asarray(pictures.cpu().numpy(), np.uint8)

    def _with_networks(self, networks: DeviceNetworks, poses: Poses) -> Layers:
        """What the motion and the photo give, moved and painted on by the networks."""
        seen = self._crop.frames(poses)
        learned = networks.motion(seen)
        residual = None
        if learned is not None:
            residual = self._from_motion(learned.residual) * self._motion_scale
        layers = self._photo.paint(poses, residual)
        whole = (layers.colour + (1 - layers.alpha) * self._plate) / 255
        composite = self._to_painted(whole)
        change = networks.change(seen, learned, composite)
        if change is None:
            return layers
        added = change.added
        if self._refines:
            added = networks.refined(self._to_large(whole), composite, change)
        return Layers(layers.colour + 255 * self._from_painted(added), layers.alpha)
