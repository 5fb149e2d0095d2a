# SPDX-License-Identifier: GPL-3.0-or-later
"""A small label in the lower right corner saying that the picture is AI-generated."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

TEXT = "AI-generated"
SHORT_TEXT = "AI"  # where the longer text would cover too much
# Height of the letters as a share of the picture's shorter side, and the least legible one, pixels.
_LETTERS, _SMALLEST_LETTERS = 0.034, 10
_DISTANCE = 0.025  # from the edges, as a share of the shorter side
_WIDEST = 0.5  # of the picture's width
# Drawn larger and scaled down, for smooth edges.
_OVERSAMPLING = 4
_PLATE_OPACITY = 0.55


class VisibleMark:
    """The label for pictures of one size; drawn once, composited over each frame.

    White letters on a dark, translucent plate: legible on light and dark pictures.
    `box` is where it is drawn, as (left, top, right, bottom) in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        letters = max(_SMALLEST_LETTERS, round(_LETTERS * min(width, height)))
        sign = _drawn(TEXT, letters)
        if sign.width > _WIDEST * width:
            sign = _drawn(SHORT_TEXT, letters)
        distance = max(2, round(_DISTANCE * min(width, height)))
        left = max(0, width - distance - sign.width)
        top = max(0, height - distance - sign.height)
        values = np.asarray(sign, np.float32)[: height - top, : width - left] / 255.0
        self.box = (left, top, left + values.shape[1], top + values.shape[0])
        self._opacity = values[:, :, 3:]
        self._colour = values[:, :, :3] * self._opacity  # premultiplied

    def over(self, pixels: UInt8[np.ndarray, "H W C"]) -> UInt8[np.ndarray, "H W C"]:
        """A copy of `pixels`, RGB or RGBA with straight alpha, with the label on it."""
        left, top, right, bottom = self.box
        marked = pixels.copy()
        below = pixels[top:bottom, left:right].astype(np.float32) / 255.0
        rest = 1.0 - self._opacity
        if pixels.shape[2] == 3:
            mixed = self._colour + below * rest
        else:
            opacity = self._opacity + below[:, :, 3:] * rest
            colour = self._colour + below[:, :, :3] * below[:, :, 3:] * rest
            mixed = np.concatenate([colour / np.maximum(opacity, 1e-6), opacity], axis=2)
        marked[top:bottom, left:right] = np.clip(mixed * 255.0 + 0.5, 0, 255).astype(np.uint8)
        return marked


def _drawn(text: str, letters: int) -> Image.Image:
    """The label as RGBA, its letters about `letters` pixels high."""
    scale = letters * _OVERSAMPLING
    font = ImageFont.load_default(scale)
    left, top, right, bottom = font.getbbox(text)
    side, above = round(0.5 * scale), round(0.32 * scale)
    # A whole number of pixels after scaling down.
    width = -(-round(right - left + 2 * side) // _OVERSAMPLING) * _OVERSAMPLING
    height = -(-round(bottom - top + 2 * above) // _OVERSAMPLING) * _OVERSAMPLING
    plate = Image.new("L", (width, height))
    ImageDraw.Draw(plate).rounded_rectangle(
        (0, 0, width - 1, height - 1), radius=round(0.4 * scale), fill=round(255 * _PLATE_OPACITY)
    )
    word = Image.new("L", (width, height))
    ImageDraw.Draw(word).text(
        ((width - right - left) / 2, (height - bottom - top) / 2), text, fill=255, font=font
    )
    # Opaque white where a letter is, translucent black on the plate around it.
    small = (width // _OVERSAMPLING, height // _OVERSAMPLING)
    plate, word = (layer.resize(small, Image.Resampling.BOX) for layer in (plate, word))
    white = np.asarray(word, np.float32) / 255.0
    dark = np.asarray(plate, np.float32) / 255.0 * (1.0 - white)
    opacity = white + dark
    shade = white / np.maximum(opacity, 1e-6)
    layers = [shade, shade, shade, opacity]
    return Image.fromarray(np.round(255 * np.stack(layers, axis=2)).astype(np.uint8), "RGBA")
