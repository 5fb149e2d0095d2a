# SPDX-License-Identifier: GPL-3.0-or-later
"""Smooth motion of everything near a face, interpolated from its landmarks."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

# How far a landmark reaches, in metres: a few centimetres behind the face the warp fades out.
REACH = 0.09
# Regularisation, as landmarks need not be met exactly: tracked landmarks jitter by about a
# millimetre, and neighbours very close together must not tear the skin.
SOFTNESS = 0.03


def kernel(distance: Float64[np.ndarray, "N M"], reach: float) -> Float64[np.ndarray, "N M"]:
    """Wendland's C2 function: 1 at 0, smoothly 0 from `reach` on."""
    r = np.minimum(distance / reach, 1.0)
    squared = (1.0 - r) ** 2
    return np.asarray(squared * squared * (4.0 * r + 1.0))


def spread(
    points: Float64[np.ndarray, "N 3"],
    places: Float64[np.ndarray, "M 3"],
    values: Float64[np.ndarray, "M C"],
    reach: float = REACH,
    softness: float = SOFTNESS,
) -> Float64[np.ndarray, "N C"]:
    """A smooth field with about the given `values` at `places`, evaluated at `points`.

    It is zero farther than `reach` from all the places.
    """
    weights = np.linalg.solve(
        kernel(cdist(places, places), reach) + softness * np.eye(len(places)), values
    )
    found = np.zeros((len(points), values.shape[1]))
    near = cKDTree(places).query(points, distance_upper_bound=reach)[0] < reach
    rows = np.flatnonzero(near)
    for part in np.array_split(rows, max(1, len(rows) // 4000)):
        found[part] = kernel(cdist(points[part], places), reach) @ weights
    return found
