# SPDX-License-Identifier: GPL-3.0-or-later
"""Opening a picture of which nothing is known.

Pillow knows some seventy formats; left to choose, it hands PostScript to an interpreter (a picture
is then a program that runs), and old formats to readers that nobody looks after. Here only those
that people have photos and textures in are let in.
"""

from __future__ import annotations

import io
import warnings

from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 120_000_000

# What phones write with further views behind the first (MPO) is among the JPEGs.
PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
# Nothing in a Targa file says that it is one, so it is asked last, and for textures alone.
TEXTURE_FORMATS = (*PHOTO_FORMATS, "TGA")
PHOTO_NAMES = "JPEG, PNG, WebP, TIFF, BMP, GIF or AVIF"


class NotAPictureError(ValueError):
    """None of the formats that are let in."""


class TooManyPixelsError(ValueError):
    """A picture that would unpack to more than `MAX_PIXELS`; `width` and `height` in pixels,
    0 where they are beyond counting."""

    def __init__(self, width: int = 0, height: int = 0) -> None:
        super().__init__(f"{width} by {height} pixels")
        self.width, self.height = width, height


def open_picture(data: bytes, formats: tuple[str, ...] = PHOTO_FORMATS) -> Image.Image:
    """A picture's head; its pixels are unpacked when they are asked for.

    Raises NotAPictureError, TooManyPixelsError, and for a damaged file what Pillow raises.
    """
    try:
        with warnings.catch_warnings():
            # The size is checked below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=formats)
    except Image.DecompressionBombError as error:
        raise TooManyPixelsError from error
    except UnidentifiedImageError as error:
        raise NotAPictureError("no format that is read") from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        picture.close()
        raise TooManyPixelsError(width, height)
    return picture
