# SPDX-License-Identifier: GPL-3.0-or-later
"""Find skin in a photo, and remove part of the photo's lighting from it.

The light of a photo is baked into a texture, and a renderer adds its own. So the soft gradients
from side to side and from top to bottom are reduced, not removed; the shadows of nose, lips and
lids, which define a face, stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, Float64
from numpy.typing import NDArray

from .texels import mirrored

# Shares of the gradients and of the highlights that are removed.
SIDE_SHARE, TOP_SHARE, HIGHLIGHT_SHARE = 0.62, 0.55, 0.55
# Scales over which soft light and highlights change, coarse texels (about 0.7 mm on the face).
SOFT_LIGHT, HIGHLIGHT = 22.0, 11.0
# How much brighter than around it skin must be to count as a highlight (natural logarithm).
HIGHLIGHT_FROM = 0.07
MOST_GAIN = np.log(2.2)
LUMINANCE = np.array((0.299, 0.587, 0.114), np.float32)


@dataclass(frozen=True, eq=False)
class SkinModel:
    """Mean and spread of log red/green, log blue/green and log luminance."""

    mean: Float64[np.ndarray, " 3"]
    spread: Float64[np.ndarray, " 3"]

    def likeness(self, image: Float32[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "H W"]:
        """How much each pixel looks like this skin, 0..1."""
        return smooth_step(2.6 - self.distance(image), 0.0, 1.0)

    def distance(
        self, image: Float32[np.ndarray, "H W 3"], dark: float = 0.75
    ) -> Float32[np.ndarray, "H W"]:
        """How far each pixel is from this skin, in its spreads.

        `dark` is the weight of darker luminance: skin in shade is still skin.
        """
        away = (_logs(image) - self.mean.astype(np.float32)) / self.spread.astype(np.float32)
        away[..., 2] *= np.where(away[..., 2] < 0, dark, 1.0)
        return np.asarray(np.linalg.norm(away, axis=-1), np.float32)


def skin_model(
    image: Float32[np.ndarray, "H W 3"], weight: Float32[np.ndarray, "H W"]
) -> SkinModel:
    """Model the skin of an image where `weight` is above a half (forehead, cheeks, nose)."""
    values = _logs(image)[weight > 0.5]
    if len(values) < 50:
        values = _logs(image).reshape(-1, 3)
    mean = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - mean), axis=0)
    return SkinModel(
        mean.astype(np.float64), np.clip(1.6 * spread, (0.07, 0.07, 0.22), (0.2, 0.2, 0.5))
    )


def _logs(image: NDArray[np.float32]) -> NDArray[np.float32]:
    level = np.log(image + 8.0)
    return np.stack(
        [level[..., 0] - level[..., 1], level[..., 2] - level[..., 1], level @ LUMINANCE], axis=-1
    )


def smooth_step(
    value: Float[np.ndarray, "*shape"], start: float, end: float
) -> Float32[np.ndarray, "*shape"]:
    """0 below `start`, 1 above `end`, smooth between."""
    t = np.clip((value - start) / (end - start), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)


def blurred(image: Float32[np.ndarray, "H W *C"], sigma: float) -> Float32[np.ndarray, "H W *C"]:
    """Gaussian blur; wide ones at a lower resolution, where they are cheap."""
    if sigma <= 6.0:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.float32)
    factor = 2 ** int(np.log2(sigma / 3.0))
    height, width = image.shape[:2]
    small = cv2.resize(image, (width // factor, height // factor), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma / factor)
    return np.asarray(
        cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.float32
    )


def known_mean(
    image: Float32[np.ndarray, "H W *C"],
    weight: Float32[np.ndarray, "H W"],
    sigma: float,
    rest: float | Float32[np.ndarray, " colours"] = 0.0,
) -> Float32[np.ndarray, "H W *C"]:
    """Local mean of an image where `weight` is high, and `rest` far from there."""
    wide = weight[..., None] if image.ndim == 3 else weight
    total = blurred(np.ascontiguousarray(image * wide), sigma)
    amount = blurred(weight, sigma)
    amount = amount[..., None] if image.ndim == 3 else amount
    return np.asarray((total + 1e-3 * rest) / (amount + 1e-3), np.float32)


def light_gain(
    image: Float32[np.ndarray, "C C 3"],
    skin: Float32[np.ndarray, "C C"],
    upward: Float32[np.ndarray, "C C"],
    sideward: Float32[np.ndarray, "C C"],
    measured: Float32[np.ndarray, "C C"] | None = None,
) -> Float32[np.ndarray, "C C"]:
    """Factor that flattens the light on a coarse texture.

    skin      0..1, where skin is visible
    upward    how much the head's surface faces up, -1..1
    sideward  how much it faces to either side, 0..1
    measured  where skin keeps its mean brightness; all skin if not given
    """
    level = np.log(image @ LUMINANCE + 4.0)
    weight = np.ascontiguousarray(skin * (skin > 0.3))
    if weight.sum() < 200:
        return np.ones_like(level)
    soft = known_mean(level, weight, SOFT_LIGHT)
    known = np.asarray(np.clip(blurred(weight, SOFT_LIGHT) * 6.0, 0, 1), np.float32)
    other = mirrored(soft)
    both = np.minimum(known, mirrored(known))
    odd = 0.5 * (soft - other) * both
    # Where only one side is known, nearby values are extended.
    odd = known_mean(odd, both * both, 2 * SOFT_LIGHT)
    even = level - odd
    up, side = blurred(upward, 8.0), blurred(sideward * sideward, 8.0)
    by_up, by_side = _slopes(even, up, side, weight)
    log_gain = -SIDE_SHARE * odd - TOP_SHARE * (by_up * up + by_side * side)
    flat = level + log_gain
    shine = flat - known_mean(flat, weight, HIGHLIGHT)
    excess = np.maximum(shine - HIGHLIGHT_FROM, 0.0) * skin
    log_gain -= HIGHLIGHT_SHARE * blurred(np.asarray(excess, np.float32), 0.8)
    log_gain = np.clip(log_gain, -MOST_GAIN, MOST_GAIN)
    # The mean brightness of the skin does not change.
    kept = weight if measured is None or (measured * weight).sum() < 50 else measured * weight
    before = float((np.exp(level) * kept).sum())
    after = float((np.exp(level + log_gain) * kept).sum())
    return np.asarray(np.exp(log_gain) * (before / after), np.float32)


def _slopes(
    level: NDArray[np.float32],
    up: NDArray[np.float32],
    side: NDArray[np.float32],
    weight: NDArray[np.float32],
) -> tuple[float, float]:
    """How much lighter skin is per unit of `up` and of `side`; robust against stubble."""
    strong = weight > 0.6
    known = np.stack([up[strong], side[strong], np.ones(strong.sum(), np.float32)], axis=1)
    value = level[strong]
    found = np.zeros(3)
    if len(value) < 100:
        return 0.0, 0.0
    for _ in range(3):
        found = np.linalg.lstsq(known, value, rcond=None)[0]
        rest = np.abs(value - known @ found)
        keep = rest < 2.5 * np.median(rest) + 1e-6
        known, value = known[keep], value[keep]
    return float(np.clip(found[0], -0.6, 0.6)), float(np.clip(found[1], -0.6, 0.2))
