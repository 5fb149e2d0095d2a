# SPDX-License-Identifier: GPL-3.0-or-later
"""Soft masks of mouth and eyes in a driven picture.

They are derived from the coordinate code, in which each point of a face has about the same colour
in every face and pose.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from backend.face.template import load_template
from shared import landmarks

# Half the extent of each region in the code's coordinates: across, down.
_MOUTH = (0.26, 0.15)
_EYE = (0.15, 0.08)
_FACTOR = 4


@dataclass(frozen=True)
class Regions:
    """Soft masks in 0..1."""

    face: Float[Tensor, "N 1 H W"]
    mouth: Float[Tensor, "N 1 H W"]
    eyes: Float[Tensor, "N 1 H W"]


@cache
def _centres() -> tuple[tuple[float, float], ...]:
    """Code coordinates (across, down) of mouth, right eye and left eye on the template."""
    vertices = load_template().vertices[: landmarks.LANDMARK_COUNT]
    places = np.stack([vertices[:, 0], -vertices[:, 2]], axis=1)
    least, most = places.min(axis=0), places.max(axis=0)
    found = []
    for rows in (
        landmarks.OUTER_LIP_UPPER + landmarks.OUTER_LIP_LOWER,
        landmarks.RIGHT_LID_UPPER + landmarks.RIGHT_LID_LOWER,
        landmarks.LEFT_LID_UPPER + landmarks.LEFT_LID_LOWER,
    ):
        across, down = (places[list(rows)].mean(axis=0) - least) / (most - least)
        found.append((float(across), float(down)))
    return tuple(found)


def regions(
    code: Float[Tensor, "N 3 H W"], face: Float[Tensor, "N 1 H W"], inside: Float[Tensor, "N 4 H W"]
) -> Regions:
    """The masks, from the code, the face mask and the mouth's interior (RGBA).

    They are computed at a quarter of the size, which is enough for soft masks.
    """
    side = face.shape[-2:]
    share = functional.avg_pool2d(face, _FACTOR)
    # At the rim of the face the code is averaged with the zeros outside.
    small = functional.avg_pool2d(code, _FACTOR) / share.clamp(min=0.05)
    mouth, right, left = (
        _bump(small, centre, extent) * share
        for centre, extent in zip(_centres(), (_MOUTH, _EYE, _EYE), strict=True)
    )
    # An open mouth is a hole in the code.
    cover = functional.avg_pool2d(inside[:, 3:], _FACTOR)
    cover = functional.max_pool2d(cover, 3, stride=1, padding=1)
    found = torch.cat([torch.maximum(share, cover), torch.maximum(mouth, cover), right + left], 1)
    large = functional.interpolate(found, size=side, mode="bilinear", align_corners=False)
    return Regions(large[:, 0:1], large[:, 1:2], large[:, 2:3])


def _bump(
    code: Float[Tensor, "N 3 H W"], centre: tuple[float, float], extent: tuple[float, float]
) -> Float[Tensor, "N 1 H W"]:
    across = (code[:, 0:1] - centre[0]) / extent[0]
    down = (code[:, 1:2] - centre[1]) / extent[1]
    return torch.exp(-((across * across + down * down) ** 2))
