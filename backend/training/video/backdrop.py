# SPDX-License-Identifier: GPL-3.0-or-later
"""Backgrounds, shoulders and clothes for synthetic heads."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8

_AROUND, _DOWN = 48, 22
_CLOTH_SIDE = 256


@dataclass(frozen=True, eq=False)
class Body:
    """Static shoulders, metres, with a texture of clothes and of the skin above them."""

    vertices: Float64[np.ndarray, "V 3"]
    triangles: Int32[np.ndarray, "F 3"]
    uvs: Float32[np.ndarray, "F 3 2"]
    texture: UInt8[np.ndarray, "T T 3"]


def random_background(
    random: np.random.Generator,
    size: tuple[int, int],
    pictures: list[UInt8[np.ndarray, "_ _ 3"]] | None = None,
) -> UInt8[np.ndarray, "H W 3"]:
    """A background for a picture of `size` (width, height).

    Given `pictures`, it is often a crop of one of them.
    """
    width, height = size
    if pictures and random.random() < 0.5:
        chosen = pictures[random.integers(len(pictures))]
        share = random.uniform(0.5, 1.0)
        rows, columns = (max(8, round(n * share)) for n in chosen.shape[:2])
        top = random.integers(chosen.shape[0] - rows + 1)
        left = random.integers(chosen.shape[1] - columns + 1)
        picture = cv2.resize(chosen[top : top + rows, left : left + columns], size,
                             interpolation=cv2.INTER_CUBIC).astype(np.float64)  # fmt: skip
        return np.clip(picture * random.uniform(0.7, 1.2), 0, 255).astype(np.uint8)
    picture = _gradient(random, width, height)
    if random.random() < 0.6:
        _furnish(random, picture)
    if random.random() < 0.7:
        picture = picture + _cloud(random, width, height) * random.uniform(3, 30)
    blur = random.choice([0.0, 1.0, 3.0, 8.0])
    if blur:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), blur))
    return np.clip(picture, 0, 255).astype(np.uint8)


def _gradient(random: np.random.Generator, width: int, height: int) -> Float64[np.ndarray, "H W 3"]:
    base = random.uniform(25, 235) + random.normal(0, 14, 3)
    other = base + random.normal(0, 25) + random.normal(0, 10, 3)
    angle = random.uniform(0, 2 * np.pi)
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, width), np.linspace(-0.5, 0.5, height))
    share = np.clip(0.5 + x * np.cos(angle) + y * np.sin(angle), 0, 1)
    return np.asarray(base + share[..., None] * (other - base))


def _furnish(random: np.random.Generator, picture: Float64[np.ndarray, "H W 3"]) -> None:
    """Draw boxes, lines and spots with hard edges, like furniture, into `picture`."""
    height, width = picture.shape[:2]
    for _ in range(random.integers(2, 12)):
        colour = tuple(
            float(c) for c in np.clip(random.normal(125, 60) + random.normal(0, 28, 3), 0, 255)
        )
        x, y = int(random.integers(width)), int(random.integers(height))
        w, h = (int(n) for n in random.uniform(0.02, 0.5, 2) * (width, height))
        kind = random.random()
        if kind < 0.6:
            cv2.rectangle(picture, (x, y), (x + w, y + h), colour, -1)
        elif kind < 0.8:
            cv2.line(picture, (x, y), (int(random.integers(width)), int(random.integers(height))),
                     colour, int(random.integers(1, 6)))  # fmt: skip
        else:
            cv2.circle(picture, (x, y), max(2, w // 3), colour, -1)


def _cloud(random: np.random.Generator, width: int, height: int) -> Float64[np.ndarray, "H W 1"]:
    """Noise at several scales, about -1..1."""
    total = np.zeros((height, width))
    for cells in (3, 8, 24, 64):
        noise = random.standard_normal((cells, cells))
        large = np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC))
        total += large.astype(np.float64) / cells**0.35
    return np.asarray(total[..., None] / 2)


def random_body(
    random: np.random.Generator, collar: Float64[np.ndarray, "N 3"], skin: Float64[np.ndarray, " 3"]
) -> Body:
    """Shoulders below a neck that is thinnest at the points `collar`, metres."""
    centre = (collar.min(axis=0) + collar.max(axis=0)) / 2
    radius = np.maximum(np.ptp(collar, axis=0)[:2] / 2, 0.04)
    # The body begins just inside the neck.
    wide, deep = random.uniform(0.19, 0.25), random.uniform(0.095, 0.125)
    slope = random.uniform(0.05, 0.09)
    angle = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
    share = np.linspace(0.0, 1.0, _DOWN)
    rings = []
    for t in share:
        # First outward over the shoulders, then down along the arms.
        out = np.clip(t / 0.55, 0, 1)
        bow = np.sin(out * np.pi / 2)
        half_x = 0.9 * radius[0] + (wide - 0.9 * radius[0]) * bow
        half_y = 0.9 * radius[1] + (deep - 0.9 * radius[1]) * bow**0.8
        level = collar[:, 2].mean() + 0.012 - slope * out**1.6 - 0.05 * out**6
        level -= 0.42 * np.clip((t - 0.5) / 0.5, 0, 1)
        power = 0.9
        x = half_x * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
        y = half_y * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power
        # In front the surface drops below the collar bone and lies lower than the back.
        front = np.clip(-np.sin(angle), 0, 1)
        z = level - 0.035 * front * np.sin(np.pi * np.clip(t / 0.6, 0, 1)) - 0.02 * front
        rings.append(np.stack([centre[0] + x, centre[1] + 0.01 + y, z], axis=-1))
    vertices = np.concatenate(rings)
    corners, places = [], []
    for ring in range(_DOWN - 1):
        for step in range(_AROUND):
            a, b = ring * _AROUND + step, ring * _AROUND + (step + 1) % _AROUND
            c, d = a + _AROUND, b + _AROUND
            left, right = step / _AROUND, (step + 1) / _AROUND
            top, bottom = 1 - share[ring], 1 - share[ring + 1]
            corners += [(a, c, b), (b, c, d)]
            places += [[(left, top), (left, bottom), (right, top)],
                       [(right, top), (left, bottom), (right, bottom)]]  # fmt: skip
    return Body(
        vertices,
        np.array(corners, np.int32),
        np.array(places, np.float32),
        _clothes(random, skin),
    )


def _clothes(
    random: np.random.Generator, skin: Float64[np.ndarray, " 3"]
) -> UInt8[np.ndarray, "T T 3"]:
    """A texture of clothes; u runs around the body (right arm 0.5, chest 0.75), v downwards."""
    side = _CLOTH_SIDE
    u, v = np.meshgrid((np.arange(side) + 0.5) / side, (np.arange(side) + 0.5) / side)
    # Distance from the middle of the front, in units of half the chest.
    across = np.abs((u - 0.75 + 0.5) % 1.0 - 0.5) * 4
    cloth = _cloth(random, u, v)
    picture = cloth
    style = random.random()
    if style < 0.4:
        # A suit: a shirt in an opening that narrows downwards, perhaps with a tie.
        opening = np.clip(0.75 - 1.1 * v, 0, 1) * random.uniform(0.7, 1.2)
        shirt = np.clip(random.normal(215, 25) + random.normal(0, 10, 3), 60, 250)
        inside = across < opening
        picture = np.where(inside[..., None], shirt, picture)
        edge = np.abs(across - opening) < 0.03
        picture = np.where(edge[..., None], picture * 0.7, picture)
        if random.random() < 0.6:
            tie = across < 0.05 + 0.09 * v
            picture = np.where((tie & (v > 0.08))[..., None], _cloth(random, 3 * u, 2 * v), picture)
        bare = v < 0.05
    elif style < 0.75:
        bare = v < random.uniform(0.04, 0.16) - 0.02 * across
    else:
        depth, width = random.uniform(0.2, 0.5), random.uniform(0.25, 0.6)
        bare = v < np.maximum(depth * np.clip(1 - across / width, 0, 1), 0.07)
    picture = np.where(bare[..., None], skin, picture)
    rim = cv2.dilate(bare.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) & ~bare
    picture = np.where(rim[..., None], picture * random.uniform(0.6, 1.1), picture)
    return np.asarray(np.clip(picture, 0, 255).astype(np.uint8))


def _cloth(
    random: np.random.Generator, u: Float64[np.ndarray, "T T"], v: Float64[np.ndarray, "T T"]
) -> Float64[np.ndarray, "T T 3"]:
    """Plain, striped, checked or patterned cloth with folds."""
    colour = np.clip(random.choice([25, 60, 120, 200]) + random.normal(0, 30, 3), 5, 250)
    other = np.clip(colour + random.normal(0, 45, 3), 0, 255)
    kind = random.random()
    if kind < 0.5:
        share = np.zeros_like(u)
    elif kind < 0.7:
        share = (np.sin(u * np.pi * 2 * random.integers(20, 60)) > 0.3).astype(np.float64)
    elif kind < 0.85:
        count = random.integers(15, 40)
        share = 0.5 * (np.sin(u * np.pi * 4 * count) > 0.4) + 0.5 * (
            np.sin(v * np.pi * 2 * count) > 0.4
        )
    else:
        share = np.clip(_cloud(random, u.shape[1], u.shape[0])[..., 0] * 2, 0, 1)
    folds = 1.0 + 0.12 * _cloud(random, u.shape[1], u.shape[0])
    return np.asarray((colour + share[..., None] * (other - colour)) * folds)
