# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose face it is, in eight numbers: principal components of neutral faces."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from shared.errors import ErrorKind, VividKeysError

from .neutral import close_mouth
from .pose import fit_similarity
from .template import load_template
from .topology import LANDMARK_COUNT

Floats = NDArray[np.float64]

IDENTITY_PATH = Path(__file__).parent.parent / "models" / "face_identity.safetensors"
# An unusual photo must not become a caricature, nor pull the eight numbers far out.
_RIDGE = 0.02


@lru_cache(maxsize=1)
def closed_template() -> Floats:
    """The template's landmarks [468,3] in metres with lips that meet exactly."""
    return close_mouth(load_template().vertices)


@lru_cache(maxsize=1)
def identity_modes() -> Floats:
    """Offsets [8,468,3] in metres, each of one standard deviation; symmetric."""
    try:
        numbers = load_file(IDENTITY_PATH)
    except Exception as problem:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"The table of faces {IDENTITY_PATH.name} is missing or damaged.",
            "Install VividKeys again.",
        ) from problem
    return numbers["modes"].astype(np.float64) / 1000.0


@lru_cache(maxsize=1)
def _solver() -> Floats:
    """From offsets [1404] to coefficients: least squares, a little reluctant, [8,1404]."""
    modes = identity_modes().reshape(len(identity_modes()), -1)
    gram = modes @ modes.T
    ridge = _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    return np.asarray(np.linalg.solve(gram + ridge, modes))


def aligned_landmarks(landmarks: Floats) -> Floats:
    """Landmarks [468,3] moved, turned and scaled onto the template by their bony points."""
    template = load_template()
    points = np.asarray(landmarks, np.float64)[:LANDMARK_COUNT]
    rigidity = template.rigidity[:LANDMARK_COUNT]
    return np.asarray(fit_similarity(points, template.vertices, rigidity).apply(points))


def identity_coefficients(landmarks: NDArray[np.floating]) -> NDArray[np.float32]:
    """Coefficients [8] in standard deviations of a neutral face's landmarks [468,3].

    Place, turn and size of the face do not matter; the mean face has zeros.
    """
    away = aligned_landmarks(np.asarray(landmarks, np.float64)) - closed_template()
    partner = load_template().mirror[:LANDMARK_COUNT]
    symmetric = (away + away[partner] * (-1, 1, 1)) / 2
    return np.asarray(_solver() @ symmetric.reshape(-1), np.float32)


def landmarks_of(coefficients: NDArray[np.floating]) -> Floats:
    """Neutral landmarks [468,3] in metres, lips closed, of coefficients [8]."""
    return np.asarray(closed_template() + np.tensordot(coefficients, identity_modes(), axes=1))
