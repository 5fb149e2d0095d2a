# SPDX-License-Identifier: GPL-3.0-or-later
"""Contact sheets: people by mouth shapes, turned heads, and the frames where methods fail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image, ImageDraw

from backend.evaluation.video.pictures import luminance
from shared.landmarks import FACE_OVAL, LIP_CORNERS
from shared.whole_files import written_whole

CELL = 200
_MARGIN, _HEADER = 0, 18
_PAPER, _INK = (24, 25, 28), (235, 235, 235)
# Side of a cell in sizes of the face: it shows the head with hair, neck and some background.
_AROUND = 1.75
# Errors are brightened by this factor.
_ERROR_GAIN = 4.0


def sheet(
    rows: Sequence[tuple[str, Sequence[UInt8[np.ndarray, "h w 3"]]]], columns: Sequence[str]
) -> UInt8[np.ndarray, "H W 3"]:
    """Labelled rows of equally large pictures under labelled columns."""
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


def around_face(
    picture: UInt8[np.ndarray, "H W 3"], landmarks: Float64[np.ndarray, "L 3"], side: int = CELL
) -> UInt8[np.ndarray, "{side} {side} 3"]:
    """A square piece of a frame around the face, `side` pixels wide."""
    oval = landmarks[list(FACE_OVAL), :2]
    low, high = oval.min(axis=0), oval.max(axis=0)
    return square(picture, (low + high) / 2, _AROUND * float(max(high - low)), side)


def around_mouth(
    picture: UInt8[np.ndarray, "H W 3"], landmarks: Float64[np.ndarray, "L 3"], side: int = CELL
) -> UInt8[np.ndarray, "{side} {side} 3"]:
    """A square piece of a frame around the mouth, about twice the mouth's width."""
    corners = landmarks[list(LIP_CORNERS), :2]
    wide = float(np.hypot(*(corners[1] - corners[0])))
    return square(picture, corners.mean(axis=0), 2.2 * wide, side)


def square(
    picture: UInt8[np.ndarray, "H W C"], middle: Float64[np.ndarray, " 2"], wide: float, side: int
) -> UInt8[np.ndarray, "{side} {side} 3"]:
    """A square piece around a point, filled with the sheet's background outside the picture."""
    left, top = float(middle[0] - wide / 2), float(middle[1] - wide / 2)
    piece = Image.fromarray(np.ascontiguousarray(picture[..., :3])).transform(
        (side, side),
        Image.Transform.EXTENT,
        (left, top, left + wide, top + wide),
        Image.Resampling.BICUBIC,
        fillcolor=_PAPER,
    )
    return np.asarray(piece, np.uint8)


def error_picture(
    one: UInt8[np.ndarray, "H W 3"], other: UInt8[np.ndarray, "H W 3"]
) -> UInt8[np.ndarray, "H W 3"]:
    """Absolute difference of luminance, brightened."""
    away = np.abs(luminance(one) - luminance(other)) * _ERROR_GAIN
    return np.repeat(np.clip(away, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def save(pixels: UInt8[np.ndarray, "H W 3"], path: Path) -> Path:
    """Write a sheet as PNG."""
    with written_whole(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
    return path
