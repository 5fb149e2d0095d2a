# SPDX-License-Identifier: GPL-3.0-or-later
"""All landmarks from the few points that the user sets by hand."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64, Int32
from numpy.typing import NDArray

from backend.face.identity import closed_template, identity_modes
from backend.face.pose import fit_similarity
from backend.face.template import face_size
from shared.errors import ErrorKind, VividKeysError

# Ridge weight of the identity modes' coefficients against squared point errors in metres.
_RIDGE = 2e-6
# How far a point's remaining correction reaches along the face, a share of the eye distance.
_REACH = 0.55


def fit_points(
    ids: Int32[np.ndarray, " N"], places: Float[np.ndarray, "N 3"]
) -> Float64[np.ndarray, "468 3"]:
    """All landmarks, in the space of at least four given ones.

    The template and its identity modes are moved, rotated and scaled onto the points; what remains
    is spread over their neighbourhood. Raises VividKeysError(no_face) if the points lie on one
    line or are too few.
    """
    ids, first = np.unique(ids, return_index=True)
    target = np.asarray(places, np.float64)[first]
    shape = closed_template()
    size = np.linalg.svd(target - target.mean(axis=0), compute_uv=False)
    if len(ids) < 4 or size[1] < 0.05 * size[0]:
        raise VividKeysError(
            ErrorKind.NO_FACE,
            "There are too few face points, or they lie on one line.",
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


def follow_points(
    places: Float64[np.ndarray, "468 3"],
    ids: Int32[np.ndarray, " N"],
    targets: Float[np.ndarray, "N 3"],
) -> Float64[np.ndarray, "468 3"]:
    """Landmarks moved so that those with `ids` reach their targets and their neighbours follow.

    A smooth warp with Gaussian kernels around the points, narrow enough that the rest stays.
    """
    if not len(ids):
        return places
    ids, first = np.unique(ids, return_index=True)
    shape = closed_template()
    reach = _REACH * face_size(shape)

    def kernel(
        one: Float64[np.ndarray, "N 3"], other: Float64[np.ndarray, "M 3"]
    ) -> Float64[np.ndarray, "N M"]:
        gap = np.linalg.norm(one[:, None] - other[None], axis=2)
        return np.asarray(np.exp(-((gap / reach) ** 2)))

    step = np.asarray(targets, np.float64)[first] - places[ids]
    near = kernel(shape[ids], shape[ids]) + 1e-3 * np.eye(len(ids))
    return np.asarray(places + kernel(shape, shape[ids]) @ np.linalg.solve(near, step))
