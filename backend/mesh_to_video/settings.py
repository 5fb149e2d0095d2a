# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be chosen about a video, and which parts of the pipeline make it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

BACKGROUNDS = ("keep", "blur", "green", "alpha")
# The side of the square around the face that the networks see, pixels.
NETWORK_SIDE = 256
# The square of it that is painted in: its corner (left, top) and side. The face is at the same
# place in all of them, with this much room to move in.
PAINTED_CORNER, PAINTED_SIDE = (32, 40), 192
# The side of what the motion-VAE sees and decodes, pixels.
MOTION_SIDE = 64
# Maps of the lips: outer and inner edge, upper and lower, each in its left and right half.
LIP_MAPS = 8


@dataclass(frozen=True)
class Parts:
    """Parts that may be left out, to see what they are worth.

    Without any of them the photo is warped by the exact motion of the mesh and nothing else.
    """

    motion_vae: bool = True
    lip_branch: bool = True
    generator: bool = True
    mouth: bool = True
    soft_lips: bool = True


GEOMETRY_ONLY = Parts(motion_vae=False, lip_branch=False, generator=False, soft_lips=False)
PLAIN_WARP = replace(GEOMETRY_ONLY, mouth=False)


@dataclass(frozen=True)
class RenderSettings:
    """How a video is to look.

    size        the longer side of the video in pixels; 0 for the photo's own. Never more than
                the photo has
    fps         frames per second
    background  one of `BACKGROUNDS`; "alpha" gives pictures with four channels
    mark        write a visible sign into the picture that it is generated
    device      "auto", "cpu" or a torch device such as "cuda:0"
    """

    size: int = 0
    fps: float = 25.0
    background: str = "keep"
    mark: bool = False
    device: str = "auto"
    parts: Parts = field(default_factory=Parts)
