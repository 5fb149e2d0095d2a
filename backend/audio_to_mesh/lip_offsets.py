# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lips do beyond ARKit's shapes, as a sum of a dozen fields.

The network says how much of each field there is; the fields themselves are scaled to the face.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from backend.face.lip_contact import lip_metric, lip_region
from backend.face.lip_fields import (
    OFFSET_COUNT,
    OFFSETS_PATH,
    offset_basis,
    offset_scale,
    template_basis,
)

__all__ = ["OFFSETS_PATH", "OFFSET_COUNT", "offset_basis", "offset_scale", "offset_targets"]

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


@lru_cache(maxsize=1)
def _solver() -> Floats:
    """From offsets of the region on the mean face [L*3] to weights: [L*3,K], least squares in
    `lip_metric`.
    """
    basis = template_basis()[:, lip_region()].reshape(OFFSET_COUNT, -1)
    weighted = basis @ lip_metric()
    return np.asarray(np.linalg.solve(weighted @ basis.T, weighted).T)


def offset_targets(
    driven: NDArray[np.floating], linear: NDArray[np.floating], neutral: NDArray[np.floating]
) -> Singles:
    """Weights [T,K] that bring the linear lips closest to the driven ones, both [T,L,3] in
    metres on the face with these neutral landmarks [468,3].
    """
    away = (driven - linear).reshape(len(driven), -1)
    solver = (_solver() / offset_scale(neutral)).astype(away.dtype)
    return np.asarray(away @ solver, np.float32)
