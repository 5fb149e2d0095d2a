# SPDX-License-Identifier: GPL-3.0-or-later
"""The dozen fields that lips have beyond ARKit's shapes, scaled to a face."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from shared.errors import ErrorKind, VividKeysError

from .template import face_size, load_template

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

OFFSET_COUNT = 12
OFFSETS_PATH = Path(__file__).resolve().parents[1] / "models" / "lip_offsets.safetensors"


@lru_cache(maxsize=1)
def template_basis() -> Floats:
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
    return np.asarray(template_basis() * offset_scale(neutral), np.float32)
