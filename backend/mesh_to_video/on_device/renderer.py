# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole frames of the video in batches: `frame_renderer` on a device."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float32, UInt8
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

# Frames per batch: enough to keep a data-centre GPU busy at 512 pixels.
BATCH = 16
# Batches of larger pictures are smaller, with at most about this many pixels.
PIXELS_AT_ONCE = 16 * 1024 * 1024


class DeviceRenderer:
    """Renders frames of a portrait in batches; each frame depends on its own vertices alone.

    size      (width, height) of the video
    batch     how many frames to pass to `frames` at a time
    on_cpu    the renderer that makes the same frames on the CPU
    warnings  sentences for the user
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
        """`on_cpu` is the renderer for the same portrait and settings, if there already is one.

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
    def frames(
        self, vertices: Float32[np.ndarray, "B V 3"] | Float32[Tensor, "B V 3"]
    ) -> UInt8[np.ndarray, "B H W C"]:
        """The pictures of driven heads in the photo's pixels, RGB or RGBA."""
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
        """The layers of motion and photo with what the networks move and paint."""
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
