# SPDX-License-Identifier: GPL-3.0-or-later
"""Read any picture file or bytes as upright 8-bit RGB, or say why that is not possible."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray
from PIL import Image, ImageOps

from backend.media.pictures import (
    MAX_PIXELS,
    PHOTO_NAMES,
    NotAPictureError,
    TooManyPixelsError,
    open_picture,
)
from shared.errors import ErrorKind, VividKeysError

MAX_BYTES = 200 * 2**20
# Landmarks and texture gain nothing from a longer side, and all further steps stay fast.
WORKING_SIDE = 2048
MIN_SIDE = 32

_OTHER_PHOTO = "Choose a JPEG or PNG photo of one face."


@dataclass(frozen=True, eq=False)
class Photo:
    """Upright pixels, the sha256 of the source bytes, and warnings for the user."""

    pixels: UInt8[np.ndarray, "H W 3"]
    sha256: str
    warnings: tuple[str, ...] = field(default=())


def load_image(source: Path | str | bytes) -> Photo:
    """Read a photo from a path or from bytes.

    Rotated by its EXIF tag, on grey where transparent, the first frame of an animation, reduced
    to at most `WORKING_SIDE` pixels a side. Raises VividKeysError(bad_image, too_large).
    """
    data = _read(source)
    sha256 = hashlib.sha256(data).hexdigest()
    notes: list[str] = []
    try:
        with open_picture(data) as image:
            if getattr(image, "is_animated", False):
                notes.append("The picture is animated; its first frame was used.")
            # JPEG decodes to a smaller size at once, which saves most of the time.
            image.draft("RGB", (WORKING_SIDE, WORKING_SIDE))
            image.load()
            upright = ImageOps.exif_transpose(image)
            flat = Image.fromarray(_to_rgb(upright))
            flat.thumbnail((WORKING_SIDE, WORKING_SIDE), Image.Resampling.LANCZOS, None)
            pixels = np.ascontiguousarray(np.asarray(flat, np.uint8))
    except TooManyPixelsError as error:
        raise _too_many_pixels(error.width, error.height) from None
    except NotAPictureError:
        raise VividKeysError(
            ErrorKind.BAD_IMAGE,
            f"This file is not a picture that can be read: it is not {PHOTO_NAMES}.",
            _OTHER_PHOTO,
        ) from None
    except Exception as problem:  # Pillow's readers raise errors of many kinds
        raise VividKeysError(
            ErrorKind.BAD_IMAGE, f"The picture is damaged or incomplete ({problem}).", _OTHER_PHOTO
        ) from problem
    if min(pixels.shape[:2]) < MIN_SIDE:
        raise VividKeysError(
            ErrorKind.BAD_IMAGE,
            f"The picture is only {pixels.shape[1]} by {pixels.shape[0]} pixels.",
            "Choose one in which the face is at least 64 pixels wide.",
        )
    return Photo(pixels, sha256, tuple(notes))


def _read(source: Path | str | bytes) -> bytes:
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
        size = len(data)
    else:
        path = Path(source)
        try:
            size = path.stat().st_size
            data = path.read_bytes() if size <= MAX_BYTES else b""
        except OSError as problem:
            raise VividKeysError(
                ErrorKind.BAD_IMAGE,
                f"The picture {path.name} cannot be opened ({problem.strerror}).",
                "Check that the file exists and that you may read it.",
            ) from problem
    if size > MAX_BYTES:
        raise VividKeysError(
            ErrorKind.TOO_LARGE,
            f"The picture file has {size / 2**20:.0f} MB; at most {MAX_BYTES // 2**20} are read.",
            "Save a smaller copy of it.",
        )
    if not data:
        raise VividKeysError(ErrorKind.BAD_IMAGE, "The picture file is empty.", _OTHER_PHOTO)
    return data


def _too_many_pixels(width: int, height: int) -> VividKeysError:
    size = f"{width} by {height} pixels" if width else "far too many pixels"
    return VividKeysError(
        ErrorKind.TOO_LARGE,
        f"The picture has {size}; at most {MAX_PIXELS // 1_000_000} million pixels are read.",
        "Save a smaller copy, for example 2000 pixels wide.",
    )


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Any Pillow mode to uint8 [H,W,3]."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        grey = np.asarray(image, np.float64)
        grey = np.where(np.isfinite(grey), grey, 0.0)
        # 16-bit and float files rarely say their range; the brightest pixel decides.
        top = 65535.0 if grey.max() > 255 else 255.0 if grey.max() > 1 else 1.0
        level = np.clip(grey / top * 255.0 + 0.5, 0, 255).astype(np.uint8)
        return np.repeat(level[:, :, None], 3, axis=2)
    has_alpha = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    if has_alpha:
        over = Image.new("RGBA", image.size, (128, 128, 128, 255))
        image = Image.alpha_composite(over, image.convert("RGBA"))
    return np.ascontiguousarray(np.asarray(image.convert("RGB"), np.uint8))
