# SPDX-License-Identifier: GPL-3.0-or-later
"""Lights and camera of synthetic pictures: colour cast, blur, noise, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8


@dataclass(frozen=True, eq=False)
class Lights:
    """Hemisphere light from above and below, and directional lights.

    contrast  strength of the shading: photos used as skin already contain some
    depth     metres into the mouth at which the light has fallen to 1/e
    """

    above: Float64[np.ndarray, " 3"]
    below: Float64[np.ndarray, " 3"]
    directions: Float64[np.ndarray, "N 3"]
    colours: Float64[np.ndarray, "N 3"]
    contrast: float
    depth: float

    def on(self, normals: Float64[np.ndarray, "V 3"]) -> Float64[np.ndarray, "V 3"]:
        """Light on surfaces with these unit normals."""
        up = 0.5 + 0.5 * normals[:, 2:]
        light = self.below + up * (self.above - self.below)
        for direction, colour in zip(self.directions, self.colours, strict=True):
            # Skin scatters light: it darkens only slightly beyond the terminator.
            light = light + np.clip((normals @ direction + 0.2) / 1.2, 0, 1)[:, None] * colour
        return np.asarray(light)


def random_lights(random: np.random.Generator) -> Lights:
    """Daylight, lamps or a studio."""
    warm = random.normal(0.0, 0.05, 3)
    count = random.integers(1, 4)
    directions = np.stack(
        [random.normal(0, 0.8, count), -random.uniform(0.3, 1.2, count),
         random.normal(0.5, 0.5, count)], axis=-1,
    )  # fmt: skip
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    strength = random.uniform(0.2, 1.2, (count, 1))
    return Lights(
        above=random.uniform(0.5, 1.0) * (1 + warm),
        below=random.uniform(0.2, 0.6) * (1 + random.normal(0, 0.05, 3)),
        directions=directions,
        colours=strength * (1 + random.normal(0, 0.06, (count, 3))),
        contrast=random.uniform(0.2, 0.9),
        depth=float(np.exp(random.uniform(*np.log((0.014, 0.12))))),
    )


@dataclass(frozen=True)
class Camera:
    """The properties of a camera, the same for all frames of a film."""

    gain: tuple[float, float, float]
    gamma: float
    blur: float
    noise: float
    quality: int


def random_camera(random: np.random.Generator) -> Camera:
    """A random camera, mostly a good one."""
    cast = random.uniform(0.8, 1.15) * (1 + random.normal(0, 0.05, 3))
    return Camera(
        gain=(float(cast[0]), float(cast[1]), float(cast[2])),
        gamma=float(random.uniform(0.85, 1.15)),
        blur=float(max(0.0, random.normal(0.15, 0.3))),
        noise=float(abs(random.normal(0, 1.5))),
        quality=int(random.integers(70, 99)),
    )


def photographed(
    light: Float32[np.ndarray, "H W 3"], camera: Camera, random: np.random.Generator
) -> UInt8[np.ndarray, "H W 3"]:
    """The picture that this camera takes of linear light."""
    exposed = np.clip(light * np.array(camera.gain, np.float32), 0.0, 1.0)
    # sRGB is close to a power of 2.2, and the camera has a curve of its own.
    picture = 255.0 * exposed ** np.float32(camera.gamma / 2.2)
    if camera.blur > 0.1:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), camera.blur), np.float32)
    if camera.noise > 0.1:
        grain = random.standard_normal(picture.shape, dtype=np.float32)
        picture = picture + camera.noise * grain
    taken = np.asarray(np.clip(picture + 0.5, 0, 255).astype(np.uint8))
    if camera.quality >= 97:
        return taken
    options = [int(cv2.IMWRITE_JPEG_QUALITY), camera.quality]
    coded = cv2.imencode(".jpg", taken[..., ::-1], options)[1]
    decoded = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])
