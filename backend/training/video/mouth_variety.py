# SPDX-License-Identifier: GPL-3.0-or-later
"""How mouths differ from person to person, and where the tongue is while they speak.

No two people show the same teeth when they talk, and a mesh says nothing about the tongue; a
network that has seen one head's mouth only would paint that one everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from shared.arkit import INDEX
from shared.landmarks import INNER_LIP_LOWER, INNER_LIP_UPPER

from .head_cache import TEETH, TrainingHead

# How far up teeth may sit against the head's own, and how far forward, metres.
_UPPER, _LOWER, _FORWARD = (-0.001, 0.004), (-0.002, 0.004), (0.0, 0.003)
# By which share of the opening the tongue rises, and how far it comes forward, metres.
_RISES, _TONGUE_FORWARD = (0.0, 0.9), (0.0, 0.008)


@dataclass(frozen=True)
class Mouth:
    """One person's: how far up the teeth of skull and jaw sit, and how far forward, metres;
    flesh: in which share of the lips' own light (linear) what lies deep is seen; in_shadow: how
    much light is left under the upper lip, and shadow_falls: how far its shadow falls, in reaches
    of the lips' shadow.
    """

    upper: float
    lower: float
    forward: float
    flesh: float
    in_shadow: float
    shadow_falls: float


def random_mouth_of(random: np.random.Generator) -> Mouth:
    """A person's mouth."""
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
    """Vertices [V,3] of a posed head with this person's teeth and the tongue of some sound."""
    moved = posed.copy()
    teeth = np.unique(head.triangles[head.kind == TEETH])
    down = -head.shapes[INDEX["jawOpen"], teeth, 2]
    of_jaw = down > 0.3 * max(float(down.max()), 1.0)
    moved[teeth, 2] += np.where(of_jaw, mouth.lower, mouth.upper)
    moved[teeth, 1] -= mouth.forward
    # The tongue is what tongueOut moves, its tip the most; heads without it keep theirs.
    tip = np.linalg.norm(head.shapes[INDEX["tongueOut"]].astype(np.float64), axis=1)
    if tip.max() > 0:
        lips = head.landmarks(posed)
        gap = float((lips[list(INNER_LIP_UPPER), 2] - lips[list(INNER_LIP_LOWER), 2]).max())
        share = np.sqrt(tip / tip.max())
        moved[:, 2] += share * random.uniform(*_RISES) * max(gap, 0.0)
        moved[:, 1] -= share * random.uniform(*_TONGUE_FORWARD)
    return moved
