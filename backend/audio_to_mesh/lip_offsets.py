# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lips do beyond ARKit's shapes, as a sum of a dozen fields.

The network says how much of each field there is; the fields themselves are scaled to the face.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from backend.face.lip_contact import lip_metric, lip_region
from backend.face.template import face_size, load_template
from shared.errors import ErrorKind, VividKeysError

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

OFFSET_COUNT = 12
OFFSETS_PATH = Path(__file__).resolve().parents[1] / "models" / "lip_offsets.safetensors"


@lru_cache(maxsize=1)
def _template_basis() -> Floats:
    """The fields on the mean face, [K,468,3] in metres."""
    try:
        numbers = load_file(OFFSETS_PATH)
    except Exception as problem:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"The lip fields {OFFSETS_PATH.name} are missing or damaged.",
            "Install VividKeys again.",
        ) from problem
    return numbers["basis"].astype(np.float64) / 1000.0


def offset_scale(neutral: NDArray[np.floating]) -> float:
    """How large the mouth's motions are on this face [468,3] against the mean face."""
    return face_size(np.asarray(neutral, np.float64)) / face_size(load_template().vertices)


def offset_basis(neutral: NDArray[np.floating]) -> Singles:
    """Fields [K,468,3] in metres for a face's neutral landmarks [468,3].

    Zero outside the lower face. A weight of 1 is about one standard deviation over speech.
    """
    return np.asarray(_template_basis() * offset_scale(neutral), np.float32)


@lru_cache(maxsize=1)
def _solver() -> Floats:
    """From offsets of the region on the mean face [L*3] to weights: [L*3,K], least squares in
    `lip_metric`."""
    basis = _template_basis()[:, lip_region()].reshape(OFFSET_COUNT, -1)
    weighted = basis @ lip_metric()
    return np.asarray(np.linalg.solve(weighted @ basis.T, weighted).T)


def offset_targets(driven: Singles, linear: Singles, neutral: NDArray[np.floating]) -> Singles:
    """Weights [T,K] that bring the linear lips closest to the driven ones, both [T,L,3] in
    metres on the face with these neutral landmarks [468,3]."""
    away = (driven - linear).reshape(len(driven), -1)
    return np.asarray(away @ (_solver() / offset_scale(neutral)).astype(np.float32))
