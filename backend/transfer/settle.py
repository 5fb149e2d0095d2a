# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks that were seen badly are put where the template and their neighbours say."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from backend.face.identity import closed_template
from backend.face.pose import Similarity
from backend.face.surface import laplacian
from backend.face.template import face_size, load_template

Floats = NDArray[np.float64]

# How stiff the template is against a well seen landmark, and how far (share of the eye distance)
# one may be off its neighbours before it is doubted.
_STIFF, _DOUBT = 0.25, 0.025


@lru_cache(maxsize=1)
def _bending() -> Floats:
    template = load_template()
    smooth = laplacian(template.vertices, template.triangles)
    return np.asarray(smooth.T @ smooth)


def settled(
    places: Floats,
    weights: Floats,
    to_frontal: Similarity,
    stiff: float = _STIFF,
    doubt: float = _DOUBT,
) -> tuple[Floats, Floats]:
    """Places [468,3] in the character's space made smooth, and how far [468] each one was off
    its neighbours (share of the eye distance).

    The template is bent so that it passes the landmarks, those with large `weights` [468] (0..1)
    closely; landmarks that disagree with all their neighbours lose their weight.
    """
    template = closed_template()
    wanted = to_frontal.apply(places) - template
    unit = face_size(template)
    trust = weights.copy()
    bent: NDArray[np.floating] = wanted
    for _ in range(6):
        bent = np.linalg.solve(
            np.diag(trust + 1e-6) + stiff * _bending(), (trust + 1e-6)[:, None] * wanted
        )
        off = np.linalg.norm(wanted - bent, axis=1) / unit
        trust = weights / (1.0 + (off / doubt) ** 2)
    inverse = (template + bent - to_frontal.shift) @ to_frontal.rotation / to_frontal.scale
    return inverse, off
