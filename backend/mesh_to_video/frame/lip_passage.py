# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a mouth lips let through that are a little or far apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Singles = NDArray[np.float32]

# Openings that count as narrow and as wide, metres.
NARROW, WIDE = 0.006, 0.016
# By how much wider than at rest a mouth is that begins to smile, and how much more a full smile
# adds, as shares of its width.
EASY_SMILE, FULL_SMILE = 0.03, 0.17
# Of what is behind lips that are a little apart so much is seen.
COVER_NARROW = 0.6
# The edge towards the lips is this soft, in heights of the opening: lips that part a little are
# round and hide more.
SOFT_NARROW, SOFT_WIDE = 0.18, 0.08
# Where no light comes flesh is seen in the light that other flesh scatters, and nothing in a mouth
# is much darker: so bright against the lips.
FLESH_NARROW, FLESH_WIDE = 0.8, 0.65
# A photo whose lips are open by less than the first shows no teeth that could be told apart: what
# it shows between them is moved with the lips, as long as they are not much further open. From
# the second on its teeth are its own; metres.
LITTLE_OPEN, SHOWS_TEETH = 0.003, 0.006


class Passage(NamedTuple):
    """What lips let through: the softness of their edge in heights of the opening, the share of
    what is behind them that is seen, and how bright flesh is in there against the lips.
    """

    edge: float
    cover: float
    flesh: float


def passage_of(
    corners: Singles, opening: float, metre: float, rest_width: float, photo_gap: float
) -> Passage:
    """What lips let through with the corners of the mouth [2,3] and so large an `opening`, both in
    pixels, of which a metre has `metre`; `photo_gap` is their opening in the photo, metres.
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
    """How well what the photo shows between its lips serves for lips that are open by `opening`,
    0..1: not where they are much further open, nor where it shows teeth, which must not be
    stretched.
    """
    if photo_gap <= 0.0:
        return 0.0
    near = np.clip(2.0 - opening / photo_gap, 0, 1)
    little = np.clip((SHOWS_TEETH - photo_gap) / (SHOWS_TEETH - LITTLE_OPEN), 0, 1)
    return float(near * little)


def _bareness(width: float, opening: float) -> float:
    """How freely light and looks pass the lips: 0 while they are a little apart, 1 for a wide open
    mouth, and for lips that a smile draws tightly over the teeth. The mouth's `width` against that
    at rest, its `opening` in metres.
    """
    wide = (opening - NARROW) / (WIDE - NARROW)
    share = float(np.clip(max(wide, (width - 1.0 - EASY_SMILE) / FULL_SMILE), 0, 1))
    return share * share * (3 - 2 * share)
