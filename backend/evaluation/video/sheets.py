# SPDX-License-Identifier: GPL-3.0-or-later
"""Contact sheets to look at: people by mouth shapes, turned heads, and where methods lose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from backend.evaluation.video.pictures import Pixels, luminance
from backend.evaluation.video.regions import FACE_OVAL
from shared.landmarks import LIP_CORNERS
from shared.whole_files import written_whole

Floats = NDArray[np.float64]

CELL = 200
_MARGIN, _HEADER = 0, 18
_PAPER, _INK = (24, 25, 28), (235, 235, 235)
# A cell shows the head with hair, neck and some background, in sizes of the face.
_AROUND = 1.75
# Errors are shown this much brighter than they are.
_ERROR_GAIN = 4.0


def sheet(rows: Sequence[tuple[str, Sequence[Pixels]]], columns: Sequence[str]) -> Pixels:
    """Labelled rows of pictures of one height under labelled columns."""
    height, width = rows[0][1][0].shape[:2]
    across, down = len(columns) * width, _HEADER + len(rows) * height
    page = Image.new("RGB", (across, down), _PAPER)
    pen = ImageDraw.Draw(page)
    for number, name in enumerate(columns):
        pen.text((number * width + 5, 3), name, fill=_INK)
    for place, (name, pictures) in enumerate(rows):
        top = _HEADER + place * height
        for number, picture in enumerate(pictures):
            page.paste(Image.fromarray(picture), (number * width, top))
        pen.text((5, top + 4), name, fill=_INK)
    return np.asarray(page, np.uint8)


def around_face(picture: Pixels, landmarks: Floats, side: int = CELL) -> Pixels:
    """A square piece of a frame around the face with landmarks [>=468,3], `side` pixels wide."""
    oval = landmarks[list(FACE_OVAL), :2]
    low, high = oval.min(axis=0), oval.max(axis=0)
    return square(picture, (low + high) / 2, _AROUND * float(max(high - low)), side)


def around_mouth(picture: Pixels, landmarks: Floats, side: int = CELL) -> Pixels:
    """A square piece around the mouth, twice as wide as it."""
    corners = landmarks[list(LIP_CORNERS), :2]
    wide = float(np.hypot(*(corners[1] - corners[0])))
    return square(picture, corners.mean(axis=0), 2.2 * wide, side)


def square(picture: Pixels, middle: Floats, wide: float, side: int) -> Pixels:
    """A square piece around a point, beyond the edges filled with the sheet's paper."""
    left, top = float(middle[0] - wide / 2), float(middle[1] - wide / 2)
    piece = Image.fromarray(np.ascontiguousarray(picture[..., :3])).transform(
        (side, side),
        Image.Transform.EXTENT,
        (left, top, left + wide, top + wide),
        Image.Resampling.BICUBIC,
        fillcolor=_PAPER,
    )
    return np.asarray(piece, np.uint8)


def error_picture(one: Pixels, other: Pixels) -> Pixels:
    """Absolute difference of luminance, brightened."""
    away = np.abs(luminance(one) - luminance(other)) * _ERROR_GAIN
    return np.repeat(np.clip(away, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def save(pixels: Pixels, path: Path) -> Path:
    """Write a sheet as PNG."""
    with written_whole(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
    return path
