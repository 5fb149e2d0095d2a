# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole frames of the video: the moving person over the background."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from .frame.photo_warp import Layers, PhotoWarp
from .frame.portrait import Portrait
from .frame.soft_lips import SoftLips
from .frame.surroundings import Surroundings
from .frame.view import View
from .networks.driven_frame import FaceCrop
from .networks.network_stage import NetworkStage
from .networks.weights import VideoNetworks, load_networks
from .settings import RenderSettings

GREEN = (0, 177, 64)
# How much "blur" blurs the background, as a share of the picture's longer side.
BLUR = 0.025


class StillParts(NamedTuple):
    """What a renderer has prepared and what is the same in every frame.

    picture  the still picture, RGB or RGBA; behind: the background behind the person, 0..255
    around   the motion of everything except the face
    box      left, top, right, bottom of the pixels in which anything moves; `warp` draws these
    crop, networks  the input of the networks and the networks themselves; None without them
    refines  whether the refiner runs too
    lips     what softens the lips; None where that is switched off
    """

    picture: UInt8[np.ndarray, "H W C"]
    behind: Float32[np.ndarray, "H W 3"]
    around: Surroundings
    box: tuple[int, int, int, int]
    warp: PhotoWarp
    crop: FaceCrop | None
    networks: VideoNetworks | None
    refines: bool
    lips: SoftLips | None


class FrameRenderer:
    """Renders frames of a portrait; each frame depends on its own vertices alone."""

    def __init__(
        self,
        portrait: Portrait,
        settings: RenderSettings,
        networks: VideoNetworks | None = None,
    ) -> None:
        """Without `networks` the shipped ones are loaded.

        Raises VividKeysError(bad_file) when their weights are damaged.
        """
        height, width = portrait.pixels.shape[:2]
        longest = max(height, width)
        wanted = settings.size or longest
        self._scale = min(1.0, wanted / longest)
        self.size = (max(2, round(width * self._scale)), max(2, round(height * self._scale)))
        self._alpha = settings.background == "alpha"
        around = Surroundings(portrait)
        whole = View(0.0, 0.0, self._scale, *self.size)
        self._still, self._behind = _still_picture(portrait, whole, settings.background)
        self._box = _pixel_box(around.box, self._scale, self.size)
        left, top, right, bottom = self._box
        view = View(left / self._scale, top / self._scale, self._scale, right - left, bottom - top)
        self._warp = PhotoWarp(portrait, view, around, settings.parts)
        self._lips = SoftLips(portrait, view, around) if settings.parts.soft_lips else None
        self.warnings: tuple[str, ...] = ()
        self._stage: NetworkStage | None = None
        if settings.parts.motion_vae or settings.parts.generator:
            networks = networks or load_networks(settings.parts)
            self.warnings = networks.warnings
            self._crop = FaceCrop(portrait, around)
            self._stage = NetworkStage(self._crop, networks, settings.parts)
            self._refines = self._stage.refines(self._crop.view, self._scale)
        self.still = StillParts(
            self._still,
            self._behind,
            around,
            self._box,
            self._warp,
            self._crop if self._stage else None,
            networks if self._stage else None,
            self._stage is not None and self._refines,
            self._lips,
        )

    def frame(self, vertices: Float32[np.ndarray, "V 3"]) -> UInt8[np.ndarray, "H W C"]:
        """The picture of the driven head, RGB, or RGBA with straight alpha.

        `vertices` are in pixels of the photo.
        """
        layers = self._with_networks(vertices) if self._stage else self._warp.draw(vertices)
        if self._lips is not None:
            self._lips.soften(layers.colour, vertices)
        left, top, right, bottom = self._box
        picture = self._still.copy()
        box = picture[top:bottom, left:right]
        if self._alpha:
            alpha = layers.alpha[..., None]
            straight = layers.colour / np.maximum(alpha, 1 / 255)
            box[..., :3] = np.clip(straight + 0.5, 0, 255)
            box[..., 3] = layers.alpha * 255 + 0.5
        else:
            behind = self._behind[top:bottom, left:right]
            mixed = layers.colour + (1 - layers.alpha[..., None]) * behind
            box[:] = np.clip(mixed + 0.5, 0, 255)
        return picture

    def _with_networks(self, vertices: Float32[np.ndarray, "V 3"]) -> Layers:
        """The layers of motion and photo with what the networks move and paint."""
        stage, crop, view = self._stage, self._crop, self._warp.view
        assert stage is not None
        seen = crop.frame(vertices)
        learned = stage.motion(seen)
        residual = None
        if learned is not None:
            # From pixels of the crop to pixels of the video.
            residual = crop.motion_view.into(learned.residual, view)
            residual = residual * np.float32(view.scale / crop.view.scale)
        layers = self._warp.paint(vertices, self._warp.motion.driven(vertices), residual)
        behind = (1 - layers.alpha[..., None]) * self._warp.plate
        whole = (layers.colour + behind) * np.float32(1 / 255)
        composite = view.into(whole, crop.painted_view)
        change = stage.change(seen, learned, composite)
        if change is None:
            return layers
        added = change.added
        from_view = crop.painted_view
        if self._refines:
            from_view = crop.large_view
            large = view.into(whole, from_view)
            added = stage.refined(large, composite, change)
        colour = layers.colour + 255 * from_view.into(added, view)
        return replace(layers, colour=np.asarray(colour, np.float32))


def _still_picture(
    portrait: Portrait, view: View, background: str
) -> tuple[UInt8[np.ndarray, "H W C"], Float32[np.ndarray, "H W 3"]]:
    """The whole picture while nothing moves, and the background behind the person, 0..255."""
    photo = np.asarray(view.cut(portrait.pixels), np.float32)
    plate = np.asarray(view.cut(portrait.plate), np.float32)
    alpha = np.clip(view.cut(portrait.person), 0, 1)[..., None]
    layer = photo - (1 - alpha) * plate
    if background == "alpha":
        straight = np.clip(layer / np.maximum(alpha, 1 / 255) + 0.5, 0, 255)
        return np.dstack([straight, alpha * 255 + 0.5]).astype(np.uint8), plate
    if background == "green":
        plate = np.broadcast_to(np.array(GREEN, np.float32), plate.shape)
    elif background == "blur":
        plate = np.asarray(cv2.GaussianBlur(plate, (0, 0), BLUR * max(plate.shape)), np.float32)
    still = np.clip(layer + (1 - alpha) * plate + 0.5, 0, 255)
    return still.astype(np.uint8), np.ascontiguousarray(plate)


def _pixel_box(
    box: tuple[float, float, float, float], scale: float, size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """The whole pixels of the video that a box of the photo covers, within the picture."""
    left, top = (max(0, int(np.floor(value * scale))) for value in box[:2])
    right = min(size[0], int(np.ceil(box[2] * scale)))
    bottom = min(size[1], int(np.ceil(box[3] * scale)))
    return left, top, right, bottom
