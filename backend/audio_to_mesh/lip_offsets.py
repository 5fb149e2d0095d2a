# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lips do beyond ARKit's shapes, as a sum of a dozen displacement fields.

The network predicts the weight of each field; the fields themselves are scaled to the face.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Float32, Float64

from backend.face.lip_contact import lip_metric, lip_region
from backend.face.lip_fields import (
    OFFSET_COUNT,
    OFFSETS_PATH,
    offset_basis,
    offset_scale,
    template_basis,
)

__all__ = ["OFFSETS_PATH", "OFFSET_COUNT", "offset_basis", "offset_scale", "offset_targets"]


@lru_cache(maxsize=1)
def _solver() -> Float64[np.ndarray, "N K"]:
    """Matrix from offsets of the lip region on the mean face to weights.

    Least squares in `lip_metric`.
    """
    basis = template_basis()[:, lip_region()].reshape(OFFSET_COUNT, -1)
    weighted = basis @ lip_metric()
    return np.asarray(np.linalg.solve(weighted @ basis.T, weighted).T)


def offset_targets(
    driven: Float[np.ndarray, "T L 3"],
    linear: Float[np.ndarray, "T L 3"],
    neutral: Float[np.ndarray, "468 3"],
) -> Float32[np.ndarray, "T K"]:
    """Weights that bring the linear lips closest to the driven ones.

    Both are displacements in metres on the face with these neutral landmarks.
    """
    away = (driven - linear).reshape(len(driven), -1)
    solver = (_solver() / offset_scale(neutral)).astype(away.dtype)
    return np.asarray(away @ solver, np.float32)
