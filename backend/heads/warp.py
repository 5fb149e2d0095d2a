# SPDX-License-Identifier: GPL-3.0-or-later
"""Smooth motion of everything near a face from the motion of its landmarks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

Floats = NDArray[np.float64]

# So far, in metres, a landmark reaches: a few centimetres behind the face the warp has died away.
REACH = 0.09
# How little it matters that a landmark is met exactly; tracked landmarks jitter by about a
# millimetre, and neighbours a hair apart must not tear the skin.
SOFTNESS = 0.03


def kernel(distance: Floats, reach: float) -> Floats:
    """Wendland's C2 function: 1 at 0, smoothly 0 from `reach` on."""
    r = np.minimum(distance / reach, 1.0)
    squared = (1.0 - r) ** 2
    return np.asarray(squared * squared * (4.0 * r + 1.0))


def spread(
    points: Floats, places: Floats, values: Floats, reach: float = REACH, softness: float = SOFTNESS
) -> Floats:
    """Values [N,C] at `points` [N,3] of a smooth field that has about `values` [M,C] at `places`
    [M,3]; zero further than `reach` from all of them.
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
