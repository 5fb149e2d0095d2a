# SPDX-License-Identifier: GPL-3.0-or-later
"""From a Take's weights to one curve per shape key."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ..contracts import arkit
from .model import Mapping
from .presets import load_presets

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64

# Enough for 15 visemes: solved for its own prototype, each viseme gets most of the strength.
SOLVER_ROUNDS = 300


def mapped_curves(
    mapping: Mapping, weights: Float32[np.ndarray, "T 52"]
) -> dict[str, Float32[np.ndarray, " T"]]:
    """Curves by shape key name, from ARKit weights."""
    curves: dict[str, Float32[np.ndarray, " T"]] = {}
    solved: dict[str, Float32[np.ndarray, "T N"]] = {}
    for rule in mapping.rules:
        if rule.viseme:
            preset, _, viseme = rule.viseme.partition(":")
            if preset not in solved:
                solved[preset] = viseme_strengths(preset, weights)
            source = solved[preset][:, _prototypes(preset)[0].index(viseme)]
        else:
            source = np.zeros(len(weights), np.float32)
            for channel, weight in rule.terms:
                source = source + np.float32(weight) * weights[:, arkit.INDEX[channel]]
        value = np.float32(rule.offset) + np.float32(rule.gain) * source
        curves[rule.key] = np.clip(value, rule.low, rule.high).astype(np.float32)
    return curves


def viseme_strengths(
    preset: str, weights: Float32[np.ndarray, "T 52"]
) -> Float32[np.ndarray, "T N"]:
    """The strengths of the N visemes whose combined mouth shape is nearest to the weights.

    Minimises |prototypes . x - weights|^2 over the mouth and jaw channels with x >= 0, by
    multiplicative updates (Lee and Seung 2001, 'Algorithms for non-negative matrix
    factorization', with one factor fixed), all frames at once. A sum above 1 is scaled to 1:
    visemes are alternatives, they do not add up.
    """
    names, table, columns = _prototypes(preset)
    target = weights[:, columns].astype(np.float64)
    gram = table @ table.T
    wanted = target @ table.T
    strengths = np.full((len(weights), len(names)), 0.1)
    for _ in range(SOLVER_ROUNDS):
        strengths *= wanted / (strengths @ gram + 1e-9)
    total = strengths.sum(axis=1, keepdims=True)
    return np.asarray(strengths / np.maximum(total, 1.0), np.float32)


@cache
def _prototypes(preset: str) -> tuple[tuple[str, ...], Float64[np.ndarray, "N C"], list[int]]:
    """Viseme names, their shapes, and the C columns of the weights (mouth, jaw and tongue)."""
    prototypes = next(p for p in load_presets() if p.name == preset).prototypes
    columns = [arkit.INDEX[name] for name in (*arkit.JAW, *arkit.MOUTH, *arkit.TONGUE)]
    full = np.zeros((len(prototypes), len(arkit.ARKIT_NAMES)))
    for row, (_, terms) in enumerate(prototypes):
        for channel, weight in terms:
            full[row, arkit.INDEX[channel]] = weight
    return tuple(name for name, _ in prototypes), full[:, columns], columns
