# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's face in eight numbers: principal components of neutral faces.

People smile in photos. So the mean smile is estimated along with the eight components and then
left out, and bony landmarks count more.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Float64
from numpy.typing import NDArray
from safetensors.numpy import load_file

from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import LANDMARK_COUNT

from .close_mouth import close_mouth
from .pose import fit_similarity
from .template import load_template

IDENTITY_PATH = Path(__file__).parent.parent / "models" / "face_identity.safetensors"
# Regularisation, as shares of a component's mean size: strong for the eight numbers, so that an
# unusual photo does not become a caricature, weak for the smile.
_RIDGE, _SMILE_RIDGE = 0.05, 0.005


@lru_cache(maxsize=1)
def closed_template() -> Float64[np.ndarray, "468 3"]:
    """The template's landmarks with lips that meet exactly, metres."""
    return close_mouth(load_template().vertices)


@lru_cache(maxsize=1)
def _numbers() -> dict[str, NDArray[np.float64]]:
    """`modes` [8,468,3] and `smile` [468,3] in metres."""
    try:
        numbers = load_file(IDENTITY_PATH)
        return {name: numbers[name].astype(np.float64) / 1000.0 for name in ("modes", "smile")}
    except Exception as problem:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"The table of faces {IDENTITY_PATH.name} is missing or damaged.",
            "Install VividKeys again.",
        ) from problem


def identity_modes() -> Float64[np.ndarray, "8 468 3"]:
    """Offsets in metres, one standard deviation each; symmetric."""
    return _numbers()["modes"]


def mean_smile() -> Float64[np.ndarray, "468 3"]:
    """Mean offset of the landmarks when people smile for a photo, metres; symmetric."""
    return _numbers()["smile"]


@lru_cache(maxsize=1)
def _solver() -> NDArray[np.float64]:
    """The matrix [8,1404] from offsets to coefficients, by regularised least squares."""
    fields = np.concatenate([identity_modes(), mean_smile()[None]])
    fields = fields.reshape(len(fields), -1)
    weighted = fields * np.repeat(load_template().rigidity[:LANDMARK_COUNT], 3)
    gram = weighted @ fields.T
    sizes = np.full(len(gram), _RIDGE * np.trace(gram[:-1, :-1]) / (len(gram) - 1))
    sizes[-1] = _SMILE_RIDGE * sizes[0] / _RIDGE
    return np.asarray(np.linalg.solve(gram + np.diag(sizes), weighted)[:-1])


def aligned_landmarks(landmarks: Float[np.ndarray, "V 3"]) -> Float64[np.ndarray, "468 3"]:
    """Move, rotate and scale landmarks onto the template by their bony points.

    Only the first 468 are used, so tracked irises or further vertices may follow them.
    """
    template = load_template()
    points = np.asarray(landmarks, np.float64)[:LANDMARK_COUNT]
    rigidity = template.rigidity[:LANDMARK_COUNT]
    return np.asarray(fit_similarity(points, template.vertices, rigidity).apply(points))


def identity_coefficients(landmarks: Float[np.ndarray, "V 3"]) -> Float32[np.ndarray, " 8"]:
    """Coefficients, in standard deviations, of a neutral face's landmarks.

    Position, rotation and size of the face do not matter; the mean face has zeros.
    """
    away = aligned_landmarks(np.asarray(landmarks, np.float64)) - closed_template()
    partner = load_template().mirror[:LANDMARK_COUNT]
    symmetric = (away + away[partner] * (-1, 1, 1)) / 2
    return np.asarray(_solver() @ symmetric.reshape(-1), np.float32)


def landmarks_of(coefficients: Float[np.ndarray, " 8"]) -> Float64[np.ndarray, "468 3"]:
    """Neutral landmarks of identity coefficients, lips closed, metres."""
    return np.asarray(closed_template() + np.tensordot(coefficients, identity_modes(), axes=1))
