# SPDX-License-Identifier: GPL-3.0-or-later
"""How a talking video looks and where it goes: properties of the scene and of the operator."""

from __future__ import annotations

from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from ..contracts import requests

MOST_PIXELS = requests.FILM_SIDES[1]


class VideoProperties:
    """Mixed into the scene's settings and into the operator that sends a photo and a Take."""

    video_photo: StringProperty(
        name="Photo",
        description="The photo that is to speak; default: the one a head was made from",
        subtype="FILE_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    video_size: IntProperty(
        name="Size",
        description="The longer side in pixels; 0 for the photo's own. Never more than it has",
        default=720,
        min=0,
        max=MOST_PIXELS,
        subtype="PIXEL",
    )
    video_background: EnumProperty(
        name="Background",
        items=(
            ("KEEP", "Photo", "The photo's own background; an mp4"),
            ("BLUR", "Blurred", "The photo's own background out of focus; an mp4"),
            ("GREEN", "Green", "A green screen; an mp4"),
            ("ALPHA", "Transparent", "Only the person, to be put over something else; a mov"),
        ),
        default="KEEP",
    )
    video_mark: BoolProperty(
        name="Visible Mark",
        description="Write in the picture that it is generated; the file says so in any case",
        default=False,
    )
    video_preview: BoolProperty(
        name="Preview First",
        description="Add a small video first; the full one takes its place",
        default=True,
    )
    video_replace: BoolProperty(
        name="Replace Earlier Video",
        description="Remove the strips of an earlier video of the same target. The files stay",
        default=False,
    )


def container_of(background: str) -> str:
    """Only ProRes in a mov keeps a transparent background."""
    return "mov" if background == "ALPHA" else "mp4"
