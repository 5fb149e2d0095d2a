# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose face it is, in eight numbers: principal components of neutral faces.

People smile in photos. So the mean smile is sought beside the eight components and left out, and
bony landmarks count more.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import LANDMARK_COUNT

from .close_mouth import close_mouth
from .pose import fit_similarity
from .template import load_template

Floats = NDArray[np.float64]

IDENTITY_PATH = Path(__file__).parent.parent / "models" / "face_identity.safetensors"
# An unusual photo must not become a caricature: the eight numbers are believed reluctantly, a
# smile readily. Shares of a component's mean size.
_RIDGE, _SMILE_RIDGE = 0.05, 0.005


@lru_cache(maxsize=1)
def closed_template() -> Floats:
    """The template's landmarks [468,3] in metres with lips that meet exactly."""
    return close_mouth(load_template().vertices)


@lru_cache(maxsize=1)
def _numbers() -> dict[str, Floats]:
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


def identity_modes() -> Floats:
    """Offsets [8,468,3] in metres, each of one standard deviation; symmetric."""
    return _numbers()["modes"]


def mean_smile() -> Floats:
    """What smiling for a photo does to the landmarks, [468,3] in metres; symmetric."""
    return _numbers()["smile"]


@lru_cache(maxsize=1)
def _solver() -> Floats:
    """From offsets [1404] to coefficients, by reluctant least squares, [8,1404]."""
    fields = np.concatenate([identity_modes(), mean_smile()[None]])
    fields = fields.reshape(len(fields), -1)
    weighted = fields * np.repeat(load_template().rigidity[:LANDMARK_COUNT], 3)
    gram = weighted @ fields.T
    sizes = np.full(len(gram), _RIDGE * np.trace(gram[:-1, :-1]) / (len(gram) - 1))
    sizes[-1] = _SMILE_RIDGE * sizes[0] / _RIDGE
    return np.asarray(np.linalg.solve(gram + np.diag(sizes), weighted)[:-1])


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
