# SPDX-License-Identifier: GPL-3.0-or-later
"""All landmarks from the few points that a user sets by hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.face.identity import closed_template, identity_modes
from backend.face.pose import fit_similarity
from backend.face.template import face_size
from shared.errors import ErrorKind, VividKeysError

Floats = NDArray[np.float64]

# How reluctantly identity modes are used, against one square of a point's error in metres.
_RIDGE = 2e-6
# How far a point's own correction reaches along the face, a share of the eye distance.
_REACH = 0.55


def fit_points(ids: NDArray[np.int32], places: NDArray[np.floating]) -> Floats:
    """Landmarks [468,3] in the points' space from at least four of them.

    The template and its identity modes are moved, turned and scaled onto the points; what is
    left is carried to the neighbourhood. Raises VividKeysError(no_face) where the points lie on
    one line.
    """
    ids, first = np.unique(ids, return_index=True)
    target = np.asarray(places, np.float64)[first]
    shape = closed_template()
    size = np.linalg.svd(target - target.mean(axis=0), compute_uv=False)
    if len(ids) < 4 or size[1] < 0.05 * size[0]:
        raise VividKeysError(
            ErrorKind.NO_FACE,
            "The face points are too few, or lie on one line.",
            "Set at least four points: both eyes, the mouth and the chin.",
        )
    modes = identity_modes()
    weights = np.ones(len(ids))
    coefficients: NDArray[np.floating] = np.zeros(len(modes))
    for _ in range(4):
        shape = closed_template() + np.tensordot(coefficients, modes, axes=1)
        move = fit_similarity(target, shape[ids], weights)
        wanted = (move.apply(target) - closed_template()[ids]).reshape(-1)
        columns = modes[:, ids].reshape(len(modes), -1)
        gram = columns @ columns.T + _RIDGE * np.eye(len(modes))
        coefficients = np.linalg.solve(gram, columns @ wanted)
    shape = closed_template() + np.tensordot(coefficients, modes, axes=1)
    move = fit_similarity(target, shape[ids], weights)
    back = (shape - move.shift) @ move.rotation / move.scale
    return follow_points(back, ids, target)


def follow_points(places: Floats, ids: NDArray[np.int32], targets: NDArray[np.floating]) -> Floats:
    """Landmarks [468,3] moved so that those with `ids` come to their targets, neighbours along.

    A smooth warp: Gaussian kernels about the points, narrow enough that the rest stays.
    """
    if not len(ids):
        return places
    ids, first = np.unique(ids, return_index=True)
    shape = closed_template()
    reach = _REACH * face_size(shape)

    def kernel(one: Floats, other: Floats) -> Floats:
        gap = np.linalg.norm(one[:, None] - other[None], axis=2)
        return np.asarray(np.exp(-((gap / reach) ** 2)))

    step = np.asarray(targets, np.float64)[first] - places[ids]
    near = kernel(shape[ids], shape[ids]) + 1e-3 * np.eye(len(ids))
    return np.asarray(places + kernel(shape, shape[ids]) @ np.linalg.solve(near, step))
