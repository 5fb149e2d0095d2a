# SPDX-License-Identifier: GPL-3.0-or-later
"""Separates the person in a photo from the background, and fills in what is behind the person."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from backend.face.texture.photo_crop import person_mask

# Of the guided filter: its radius as a share of the face's height, and the contrast from which an
# edge of the photo is kept, in grey levels of 0..1.
GUIDE_RADIUS, GUIDE_EDGE = 0.035, 0.012
# Above the first value of the matte a pixel is all person, below the second all background.
SURE, NOT = 0.92, 0.08
# How far stray hair may reach beyond the matte, in heights of the face.
STRAY = 0.06


def person_matte(
    pixels: UInt8[np.ndarray, "H W 3"], face_box: tuple[float, float, float, float]
) -> Float32[np.ndarray, "H W"]:
    """Where the person is, 0..1; `face_box` is left, top, right, bottom of the face.

    The whole picture is segmented, and then the surroundings of the head once more, in detail.
    """
    height, width = pixels.shape[:2]
    matte = np.asarray(person_mask(pixels), np.float32)
    left, top, right, bottom = face_box
    tall = bottom - top
    centre = (left + right) / 2
    x0, x1 = (int(np.clip(centre + side * 1.45 * tall, 0, width)) for side in (-1, 1))
    y0, y1 = int(np.clip(top - 0.9 * tall, 0, height)), int(np.clip(bottom + tall, 0, height))
    piece = np.ascontiguousarray(pixels[y0:y1, x0:x1])
    near = np.asarray(person_mask(piece), np.float32)
    share = _inner_share(near.shape, (x0 > 0, y0 > 0, x1 < width, y1 < height))
    matte[y0:y1, x0:x1] = share * near + (1 - share) * matte[y0:y1, x0:x1]
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.float32) / np.float32(255)
    radius = max(2, round(GUIDE_RADIUS * tall))
    matte = guided(grey, matte, radius, GUIDE_EDGE**2)
    matte = np.clip((matte - NOT) / (SURE - NOT), 0, 1)
    return np.asarray(matte, np.float32)


def _inner_share(
    shape: tuple[int, ...], fades: tuple[bool, bool, bool, bool]
) -> Float32[np.ndarray, "h w"]:
    """1 in the middle of a piece, fading to 0 at the sides beyond which the photo continues."""
    height, width = shape[:2]
    reach = max(4.0, 0.08 * min(height, width))
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    share_x, share_y = np.ones(width), np.ones(height)
    if fades[0]:
        share_x = np.minimum(share_x, x / reach)
    if fades[2]:
        share_x = np.minimum(share_x, (width - x) / reach)
    if fades[1]:
        share_y = np.minimum(share_y, y / reach)
    if fades[3]:
        share_y = np.minimum(share_y, (height - y) / reach)
    return np.asarray(np.outer(np.clip(share_y, 0, 1), np.clip(share_x, 0, 1)), np.float32)


def guided(
    guide: Float32[np.ndarray, "H W"],
    values: Float32[np.ndarray, "H W"],
    radius: int,
    edge: float,
) -> Float32[np.ndarray, "H W"]:
    """`values` smoothed along the edges of `guide`; `radius` in pixels, `edge` a squared contrast.

    He, Sun, Tang, "Guided image filtering", 2013.
    """
    size = (2 * radius + 1, 2 * radius + 1)

    def mean(picture: Float32[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W"]:
        return np.asarray(cv2.blur(picture, size, borderType=cv2.BORDER_REFLECT), np.float32)

    mean_guide, mean_values = mean(guide), mean(values)
    slope = (mean(guide * values) - mean_guide * mean_values) / (
        mean(guide * guide) - mean_guide**2 + edge
    )
    offset = mean_values - slope * mean_guide
    return np.asarray(mean(slope) * guide + mean(offset))


def background_plate(
    pixels: UInt8[np.ndarray, "H W 3"], person: Float32[np.ndarray, "H W"], tall: float
) -> UInt8[np.ndarray, "H W 3"]:
    """The photo without the person, whose area is filled in from its surroundings.

    `person` is the matte, 0..1; `tall` the height of the face, pixels. Only the parts that a
    turning head uncovers are ever seen.
    """
    # Half-covered pixels and stray hairs that the matte misses belong to the person, too: they
    # must not stay behind when the head moves.
    size = 2 * max(2, round(STRAY * tall)) + 1
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    covered = cv2.dilate((person > 0.02).astype(np.uint8), around)
    known = (1 - covered).astype(np.float32)
    if not known.any():
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), 0.1 * max(person.shape)), np.uint8)
    filled = filled_from_around(pixels.astype(np.float32), known)
    soft = known[..., None]
    plate = pixels * soft + filled * (1 - soft)
    return np.clip(plate + 0.5, 0, 255).astype(np.uint8)


def filled_from_around(
    values: Float32[np.ndarray, "H W C"], known: Float32[np.ndarray, "H W"]
) -> Float32[np.ndarray, "H W C"]:
    """`values` where `known` is 1, and smoothly extrapolated where it is 0.

    Each pixel takes the average over the smallest surroundings that are known (pull-push;
    Gortler et al., "The lumigraph", 1996).
    """
    sums = [values * known[..., None]]
    weights = [known]
    while max(weights[-1].shape) > 2:
        size = ((weights[-1].shape[1] + 1) // 2, (weights[-1].shape[0] + 1) // 2)
        smaller = cv2.resize(sums[-1], size, interpolation=cv2.INTER_AREA)
        sums.append(np.asarray(smaller, np.float32).reshape(size[1], size[0], -1))
        weights.append(
            np.asarray(cv2.resize(weights[-1], size, interpolation=cv2.INTER_AREA), np.float32)
        )
    guess = sums[-1] / np.maximum(weights[-1], 1e-6)[..., None]
    for total, weight in zip(sums[-2::-1], weights[-2::-1], strict=True):
        size = (weight.shape[1], weight.shape[0])
        coarse = cv2.resize(guess, size, interpolation=cv2.INTER_LINEAR).reshape(*weight.shape, -1)
        # Partly known pixels count in part.
        share = np.clip(weight, 0, 1)[..., None]
        guess = coarse * (1 - share) + total / np.maximum(weight, 1e-6)[..., None] * share
    return np.asarray(guess, np.float32)
