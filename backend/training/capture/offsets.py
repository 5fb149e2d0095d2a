# SPDX-License-Identifier: GPL-3.0-or-later
"""The motion around the lips that the 52 shapes miss, as a few fields of vertex offsets."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

from backend.face.template import load_template
from shared.landmarks import (
    LIP_LANDMARKS,
)

MOST_FIELDS = 12
# Shipped fields are scaled to weights of about 1; noise must not drive them far beyond that.
_SHIPPED_RIDGE = 0.02
# Fields beyond this share of the residual's energy are tracker noise.
_ENOUGH = 0.92
# At most this many frames of a long film are decomposed.
_ENOUGH_FRAMES = 3000
# Full effect within `_CORE` of the lips (the vermilion), none beyond `_REACH`; metres along skin.
_CORE, _REACH = 0.004, 0.026
# One camera hardly sees depth, so the residual along y is mostly error.
_AXES = (1.0, 0.3, 1.0)


def lip_region() -> Float64[np.ndarray, " 468"]:
    """How much each landmark belongs to the lip region, 0..1."""
    lips = LIP_LANDMARKS
    away = load_template().distances[list(lips)].min(axis=0)
    share = np.clip((_REACH - away) / (_REACH - _CORE), 0.0, 1.0)
    return np.asarray(share * share * (3.0 - 2.0 * share))


def shipped_fields(neutral: Float64[np.ndarray, "468 3"]) -> Float64[np.ndarray, "K 468 3"] | None:
    """The shipped network's offset fields on this face, metres; None where none are shipped."""
    try:
        from backend.audio_to_mesh.lip_offsets import (  # type: ignore[import-not-found,unused-ignore]
            offset_basis,
        )
    except ImportError:
        return None
    return np.asarray(offset_basis(neutral), np.float64)


def weights_on(
    fields: Float64[np.ndarray, "K 468 3"], residual: Float64[np.ndarray, "T 468 3"]
) -> Float64[np.ndarray, "T K"]:
    """The weights with which `fields` approximate `residual` best (ridge regression)."""
    emphasis = (lip_region()[:, None] * np.array(_AXES)).ravel()
    shapes = fields.reshape(len(fields), -1) * emphasis
    target = residual.reshape(len(residual), -1) * emphasis
    gram = shapes @ shapes.T
    ridge = _SHIPPED_RIDGE * np.trace(gram) / max(len(gram), 1)
    return np.asarray(np.linalg.solve(gram + ridge * np.eye(len(gram)), shapes @ target.T).T)


def offset_fields(
    residual: Float64[np.ndarray, "T 468 3"], valid: Bool[np.ndarray, " T"]
) -> tuple[Float64[np.ndarray, "K 468 3"], Float64[np.ndarray, "T K"]]:
    """Basis (metres) and weights of the `residual` motion, K <= 12.

    The fields are the residual's principal directions over the `valid` frames; the weights are
    scaled to a root mean square of 1. A residual of zero gives K = 0.
    """
    local = residual * lip_region()[:, None] * np.array(_AXES)
    frames = len(local)
    flat = local.reshape(frames, -1)
    learned = flat[valid] if valid.any() else flat
    learned = learned[:: max(len(learned) // _ENOUGH_FRAMES, 1)]
    _, size, directions = np.linalg.svd(learned, full_matrices=False)
    energy = size**2
    if energy.sum() <= 1e-18:
        return np.zeros((0, *residual.shape[1:])), np.zeros((frames, 0))
    explained = np.cumsum(energy) / energy.sum()
    count = min(int(np.searchsorted(explained, _ENOUGH)) + 1, MOST_FIELDS, len(size))
    scale = size[:count] / np.sqrt(len(learned))
    keep = scale > 1e-9
    directions, scale = directions[:count][keep], scale[keep]
    weights = flat @ directions.T / scale
    basis = (directions * scale[:, None]).reshape(-1, *residual.shape[1:])
    return basis, weights
