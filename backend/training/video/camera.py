# SPDX-License-Identifier: GPL-3.0-or-later
"""What light and a camera do to a synthetic picture: lights, colour cast, blur, noise, JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8


@dataclass(frozen=True, eq=False)
class Lights:
    """Light from above and below [3] each, and from directions [N,3] with colours [N,3].

    contrast  how much of it is seen: photos used as skin have light in them already
    depth     metres into the mouth after which a third of the light is left
    """

    above: Float64[np.ndarray, " 3"]
    below: Float64[np.ndarray, " 3"]
    directions: Float64[np.ndarray, "N 3"]
    colours: Float64[np.ndarray, "N 3"]
    contrast: float
    depth: float

    def on(self, normals: Float64[np.ndarray, "V 3"]) -> Float64[np.ndarray, "V 3"]:
        """Light [V,3] on surfaces with unit normals [V,3]."""
        up = 0.5 + 0.5 * normals[:, 2:]
        light = self.below + up * (self.above - self.below)
        for direction, colour in zip(self.directions, self.colours, strict=True):
            # Skin lets light through: it goes dark a little behind the edge only.
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
    """How one camera took its pictures; the same for all pictures of a film."""

    gain: tuple[float, float, float]
    gamma: float
    blur: float
    noise: float
    quality: int


def random_camera(random: np.random.Generator) -> Camera:
    """A camera, mostly a good one."""
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
    """Linear light [H,W,3] to a picture uint8 [H,W,3] as this camera takes it."""
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
