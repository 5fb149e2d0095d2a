# SPDX-License-Identifier: GPL-3.0-or-later
"""Open an untrusted picture.

Pillow knows some seventy formats; by default it passes PostScript to an interpreter (so that a
picture is a program that runs), and old formats to readers that are hardly maintained. Here only
common formats of photos and textures are accepted.
"""

from __future__ import annotations

import io
import warnings

from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 120_000_000

# JPEG includes MPO, in which phones store further views behind the first.
PHOTO_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
# Targa files have no signature, so the format is tried last, and for textures only.
TEXTURE_FORMATS = (*PHOTO_FORMATS, "TGA")
PHOTO_NAMES = "JPEG, PNG, WebP, TIFF, BMP, GIF or AVIF"


class NotAPictureError(ValueError):
    """Not one of the accepted formats."""


class TooManyPixelsError(ValueError):
    """A picture that would decode to more than `MAX_PIXELS`.

    `width` and `height` are in pixels, 0 if they are unknown.
    """

    def __init__(self, width: int = 0, height: int = 0) -> None:
        super().__init__(f"{width} by {height} pixels")
        self.width, self.height = width, height


def open_picture(data: bytes, formats: tuple[str, ...] = PHOTO_FORMATS) -> Image.Image:
    """Read a picture's header; its pixels are decoded when they are first used.

    Raises NotAPictureError, TooManyPixelsError, and Pillow's own errors for a damaged file.
    """
    try:
        with warnings.catch_warnings():
            # The size is checked below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=formats)
    except Image.DecompressionBombError as error:
        raise TooManyPixelsError from error
    except UnidentifiedImageError as error:
        raise NotAPictureError("not an accepted format") from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        picture.close()
        raise TooManyPixelsError(width, height)
    return picture
