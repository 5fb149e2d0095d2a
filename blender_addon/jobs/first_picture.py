# SPDX-License-Identifier: GPL-3.0-or-later
"""The first picture of a video that is being made, for the panel; the file has nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import bpy.utils.previews
import numpy as np

from ..contracts import errors, requests

if TYPE_CHECKING:
    from ..contracts import arrays as array_contract

_NAME = "first"
_collections: list[bpy.utils.previews.ImagePreviewCollection] = []


def show(arrays: array_contract.Arrays) -> None:
    """Keep the picture of a chunk; an invalid one is left out, the video does not depend on it."""
    try:
        pixels = requests.first_picture(arrays).pixels
    except errors.VividKeysError:
        return
    clear()
    collection = bpy.utils.previews.new()
    _collections.append(collection)
    preview = collection.new(_NAME)
    height, width = pixels.shape[:2]
    coloured = np.ones((height, width, 4), np.float32)
    coloured[..., :3] = pixels[::-1].astype(np.float32) / 255.0  # Blender's first row is the lowest
    preview.image_size = (width, height)
    preview.image_pixels_float.foreach_set(coloured.ravel())  # type: ignore[attr-defined]


def icon() -> int:
    """The picture's number for `UILayout.template_icon`; 0 when there is none."""
    return int(_collections[-1][_NAME].icon_id) if _collections else 0


def clear() -> None:
    """Forget the picture; also for unregister."""
    while _collections:
        bpy.utils.previews.remove(_collections.pop())
