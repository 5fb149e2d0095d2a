# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves badly seen landmarks to where the template and their neighbours place them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from backend.face.identity import closed_template
from backend.face.pose import Similarity
from backend.face.surface import laplacian
from backend.face.template import face_size, load_template

# How stiff the template is relative to a well seen landmark, and how far (share of the eye
# distance) a landmark may deviate from its neighbours before it loses weight.
_STIFF, _DOUBT = 0.25, 0.025


@lru_cache(maxsize=1)
def _bending() -> Float64[np.ndarray, "468 468"]:
    template = load_template()
    smooth = laplacian(template.vertices, template.triangles)
    return np.asarray(smooth.T @ smooth)


def settled(
    places: Float64[np.ndarray, "468 3"],
    weights: Float64[np.ndarray, " 468"],
    to_frontal: Similarity,
    stiff: float = _STIFF,
    doubt: float = _DOUBT,
) -> tuple[Float64[np.ndarray, "468 3"], Float64[np.ndarray, " 468"]]:
    """Smoothed landmarks in the character's space, and how far each one was from its neighbours.

    The distances are shares of the eye distance. The template is bent towards the landmarks, most
    closely to those with large `weights` (0..1); landmarks that disagree with all their neighbours
    lose their weight.
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
