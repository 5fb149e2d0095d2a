# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be chosen about a video, and which parts of the pipeline make it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

BACKGROUNDS = ("keep", "blur", "green", "alpha")
# The side of the square around the face that the networks see, pixels.
NETWORK_SIDE = 256
# The part of that square that the generator repaints: its corner (left, top) and side, pixels. The
# face is at the same place in every frame, with this much room to move.
PAINTED_CORNER, PAINTED_SIDE = (32, 40), 192
# Side of the motion-VAE's input and output, pixels.
MOTION_SIDE = 64
# Maps of the lips: outer and inner edge, upper and lower, each in its left and right half.
LIP_MAPS = 8


@dataclass(frozen=True)
class Parts:
    """Parts of the pipeline that can be switched off, for ablations.

    Without any of them the photo is only warped, by the exact motion of the mesh.
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
    """How a video should look.

    size        the longer side of the video in pixels; 0 for the photo's own. Photos are never
                enlarged
    fps         frames per second
    background  one of `BACKGROUNDS`; "alpha" gives pictures with four channels
    mark        draw a visible label saying that the video is AI-generated
    device      "auto", "cpu" or a torch device such as "cuda:0"
    """

    size: int = 0
    fps: float = 25.0
    background: str = "keep"
    mark: bool = False
    device: str = "auto"
    parts: Parts = field(default_factory=Parts)
