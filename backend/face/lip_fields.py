# SPDX-License-Identifier: GPL-3.0-or-later
"""The dozen lip fields beyond ARKit's shapes, scaled to a face."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Float64
from safetensors.numpy import load_file

from shared.errors import ErrorKind, VividKeysError

from .template import face_size, load_template

OFFSET_COUNT = 12
OFFSETS_PATH = Path(__file__).resolve().parents[1] / "models" / "lip_offsets.safetensors"


@lru_cache(maxsize=1)
def template_basis() -> Float64[np.ndarray, "K 468 3"]:
    """Read the fields on the mean face, in metres."""
    try:
        numbers = load_file(OFFSETS_PATH)
    except Exception as problem:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"The lip fields {OFFSETS_PATH.name} are missing or damaged.",
            "Install VividKeys again.",
        ) from problem
    return np.asarray(numbers["basis"], np.float64) / 1000.0


def offset_scale(neutral: Float[np.ndarray, "468 3"]) -> float:
    """How large the mouth's motions are on this face, relative to the mean face."""
    return face_size(np.asarray(neutral, np.float64)) / face_size(load_template().vertices)


def offset_basis(neutral: Float[np.ndarray, "468 3"]) -> Float32[np.ndarray, "K 468 3"]:
    """Scale the fields to a face's neutral landmarks, all in metres.

    Zero outside the lower face. A weight of 1 is about one standard deviation over speech.
    """
    return np.asarray(template_basis() * offset_scale(neutral), np.float32)
