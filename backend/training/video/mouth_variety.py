# SPDX-License-Identifier: GPL-3.0-or-later
"""Variation of mouths between people, and of the tongue while they speak.

No two people show the same teeth when they talk, and a mesh says nothing about the tongue; a
network that has only seen one head's mouth would paint it everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from shared.arkit import INDEX
from shared.landmarks import INNER_LIP_LOWER, INNER_LIP_UPPER

from .head_cache import TEETH, TrainingHead

# Ranges of the offset of upper and lower teeth upwards, and of both forwards, metres.
_UPPER, _LOWER, _FORWARD = (-0.001, 0.004), (-0.002, 0.004), (0.0, 0.003)
# Ranges of the tongue's rise, as a share of the lip gap, and of its advance, metres.
_RISES, _TONGUE_FORWARD = (0.0, 0.9), (0.0, 0.008)


@dataclass(frozen=True)
class Mouth:
    """One person's mouth.

    upper, lower  how far up the upper and the lower teeth sit, metres
    forward       how far forward both sit, metres
    flesh         light scattered onto deep parts, as a share of the lips' linear colour
    in_shadow     how much light is left under the upper lip
    shadow_falls  how far down its shadow falls, in units of the shadow's reach
    """

    upper: float
    lower: float
    forward: float
    flesh: float
    in_shadow: float
    shadow_falls: float


def random_mouth_of(random: np.random.Generator) -> Mouth:
    """The mouth of a random person."""
    return Mouth(
        float(random.uniform(*_UPPER)),
        float(random.uniform(*_LOWER)),
        float(random.uniform(*_FORWARD)),
        float(random.uniform(0.12, 0.65)),
        float(random.uniform(0.08, 0.35)),
        float(random.uniform(0.3, 1.2)),
    )


def speaking(
    head: TrainingHead, posed: Float64[np.ndarray, "V 3"], mouth: Mouth, random: np.random.Generator
) -> Float64[np.ndarray, "V 3"]:
    """A posed head's vertices with this person's teeth and a random position of the tongue."""
    moved = posed.copy()
    teeth = np.unique(head.triangles[head.kind == TEETH])
    down = -head.shapes[INDEX["jawOpen"], teeth, 2]
    of_jaw = down > 0.3 * max(float(down.max()), 1.0)
    moved[teeth, 2] += np.where(of_jaw, mouth.lower, mouth.upper)
    moved[teeth, 1] -= mouth.forward
    # The tongue is what tongueOut moves, the tip most; without that shape it stays as it is.
    tip = np.linalg.norm(head.shapes[INDEX["tongueOut"]].astype(np.float64), axis=1)
    if tip.max() > 0:
        lips = head.landmarks(posed)
        gap = float((lips[list(INNER_LIP_UPPER), 2] - lips[list(INNER_LIP_LOWER), 2]).max())
        share = np.sqrt(tip / tip.max())
        moved[:, 2] += share * random.uniform(*_RISES) * max(gap, 0.0)
        moved[:, 1] -= share * random.uniform(*_TONGUE_FORWARD)
    return moved
