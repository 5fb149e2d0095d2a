# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of the inside of the mouth is visible between parted lips."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

# Openings that count as narrow and as wide, metres.
NARROW, WIDE = 0.006, 0.016
# How much wider than at rest a mouth is when a smile begins, and how much more a full smile adds,
# as shares of its width at rest.
EASY_SMILE, FULL_SMILE = 0.03, 0.17
# The share of the inside that is visible between lips that are slightly apart.
COVER_NARROW = 0.6
# Softness of the edge towards the lips, in heights of the opening: slightly parted lips are round
# and hide more.
SOFT_NARROW, SOFT_WIDE = 0.18, 0.08
# Where no direct light falls, flesh is lit by light scattered from other flesh, and nothing in a
# mouth is much darker than this, relative to the lips.
FLESH_NARROW, FLESH_WIDE = 0.8, 0.65
# In a photo whose lips are open by less than the first value, teeth cannot be told apart: whatever
# it shows between the lips moves with them, as long as they do not open much further. From the
# second value on, the photo's own teeth are used; metres.
LITTLE_OPEN, SHOWS_TEETH = 0.003, 0.006


class Passage(NamedTuple):
    """What is visible between the lips.

    edge   softness of their edge, heights of the opening
    cover  the share of the inside that is visible, 0..1
    flesh  brightness of flesh inside relative to the lips
    """

    edge: float
    cover: float
    flesh: float


def passage_of(
    corners: Float[np.ndarray, "2 3"],
    opening: float,
    metre: float,
    rest_width: float,
    photo_gap: float,
) -> Passage:
    """What is visible of the inside at this width and `opening` of the mouth.

    corners, opening  the corners of the mouth and the gap between the lips, pixels
    metre             pixels per metre
    rest_width        width of the mouth at rest, metres
    photo_gap         the gap between the lips in the photo, metres
    """
    width = float(np.linalg.norm(corners[1] - corners[0])) / metre / rest_width
    bare = _bareness(width, opening / metre)
    cover = COVER_NARROW + (1 - COVER_NARROW) * bare
    return Passage(
        edge=SOFT_NARROW + (SOFT_WIDE - SOFT_NARROW) * bare,
        flesh=FLESH_NARROW + (FLESH_WIDE - FLESH_NARROW) * bare,
        cover=cover * (1 - _as_in_photo(opening / metre, photo_gap)),
    )


def _as_in_photo(opening: float, photo_gap: float) -> float:
    """How far the photo's own pixels between the lips can be used for this `opening`, 0..1.

    Not if the lips are open much further, nor if they show teeth, which must not be stretched.
    """
    if photo_gap <= 0.0:
        return 0.0
    near = np.clip(2.0 - opening / photo_gap, 0, 1)
    little = np.clip((SHOWS_TEETH - photo_gap) / (SHOWS_TEETH - LITTLE_OPEN), 0, 1)
    return float(near * little)


def _bareness(width: float, opening: float) -> float:
    """How exposed the inside of the mouth is, 0..1.

    0 while the lips are slightly apart, 1 for a wide open mouth and for lips drawn tight over the
    teeth by a smile. `width` is relative to the mouth at rest, `opening` in metres.
    """
    wide = (opening - NARROW) / (WIDE - NARROW)
    share = float(np.clip(max(wide, (width - 1.0 - EASY_SMILE) / FULL_SMILE), 0, 1))
    return share * share * (3 - 2 * share)
