# SPDX-License-Identifier: GPL-3.0-or-later
"""The first picture of a video that is being made, for the panel; nothing of it is in the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bpy.utils.previews
import numpy as np

from ..contracts import errors, requests

_NAME = "first"
_collections: list[Any] = []


def show(arrays: Mapping[str, Any]) -> None:
    """Keep the picture of a chunk; a strange one is left out, the video comes all the same."""
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
    preview.image_pixels_float.foreach_set(coloured.ravel())


def icon() -> int:
    """Its number for `UILayout.template_icon`; 0 when there is none."""
    return int(_collections[-1][_NAME].icon_id) if _collections else 0


def clear() -> None:
    """Forget the picture; also for unregister."""
    while _collections:
        bpy.utils.previews.remove(_collections.pop())
