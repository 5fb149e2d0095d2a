# SPDX-License-Identifier: GPL-3.0-or-later
"""Random states of a talking face: ARKit weights and the pose of the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from shared.arkit import ARKIT_NAMES, INDEX

# Mouth shapes of running speech, somewhat exaggerated so that the networks see the full range.
# Names without a side stand for both.
MOUTHS: dict[str, dict[str, float]] = {
    "rest": {},
    "closed": {"jawOpen": 0.08, "mouthClose": 0.08, "mouthPress": 0.35},
    "pressed": {"mouthRollLower": 0.4, "mouthRollUpper": 0.3, "jawOpen": 0.1, "mouthClose": 0.1},
    "teeth_on_lip": {"jawOpen": 0.1, "mouthRollLower": 0.5, "mouthUpperUp": 0.3},
    "open": {"jawOpen": 0.5, "mouthLowerDown": 0.25, "mouthUpperUp": 0.12},
    "wide": {"jawOpen": 0.38, "mouthLowerDown": 0.3, "mouthUpperUp": 0.2, "mouthStretch": 0.3},
    "spread": {"jawOpen": 0.16, "mouthStretch": 0.35, "mouthSmile": 0.25, "mouthLowerDown": 0.25,
               "mouthUpperUp": 0.15},
    "hiss": {"jawOpen": 0.09, "mouthStretch": 0.25, "mouthLowerDown": 0.4, "mouthUpperUp": 0.3},
    "round": {"jawOpen": 0.2, "mouthPucker": 0.4, "mouthFunnel": 0.3},
    "narrow": {"jawOpen": 0.1, "mouthPucker": 0.65, "mouthFunnel": 0.2},
    "funnel": {"jawOpen": 0.14, "mouthFunnel": 0.5, "mouthLowerDown": 0.15},
    "tongue": {"jawOpen": 0.2, "mouthLowerDown": 0.2, "tongueOut": 0.12, "mouthUpperUp": 0.1},
    "laugh": {"jawOpen": 0.35, "mouthSmile": 0.75, "mouthUpperUp": 0.3, "cheekSquint": 0.5},
    "yawn": {"jawOpen": 0.85, "mouthLowerDown": 0.2},
}  # fmt: skip
_SHARES = {"rest": 1.0, "closed": 1.5, "pressed": 0.7, "teeth_on_lip": 1.0, "laugh": 0.8,
           "yawn": 0.4, "open": 2.0, "wide": 2.0, "hiss": 1.5, "spread": 1.5}  # fmt: skip
# Limits and standard deviations of the head's rotation, radians (pitch, roll, yaw).
LIMITS = np.radians((12.0, 10.0, 20.0))
_SPREAD = np.radians((4.5, 3.5, 9.0))
# The next frame of a film: range of the step towards another state, and the head's rotation.
_NEAR = (0.05, 0.2)
_NEAR_TURN = np.radians(0.7)


@dataclass(frozen=True, eq=False)
class State:
    """ARKit weights and the head's angles in radians (pitch, roll, yaw)."""

    weights: Float64[np.ndarray, " 52"]
    angles: Float64[np.ndarray, " 3"]


def both_sides(values: dict[str, float]) -> Float64[np.ndarray, " 52"]:
    """Weights of shapes given by name; a name without a side stands for both."""
    weights = np.zeros(len(ARKIT_NAMES))
    for name, value in values.items():
        for full in (name, f"{name}Left", f"{name}Right"):
            if full in INDEX:
                weights[INDEX[full]] = value
    return weights


def with_contacts(weights: Float64[np.ndarray, " 52"]) -> Float64[np.ndarray, " 52"]:
    """The weights clipped to 0..1, with mouthClose no larger than jawOpen."""
    kept = np.asarray(np.clip(weights, 0.0, 1.0))
    kept[INDEX["mouthClose"]] = min(kept[INDEX["mouthClose"]], kept[INDEX["jawOpen"]])
    return kept


def random_mouth(random: np.random.Generator) -> Float64[np.ndarray, " 52"]:
    """A random mouth shape, possibly blended with another, of random strength and asymmetry."""
    names = list(MOUTHS)
    shares = np.array([_SHARES.get(name, 1.0) for name in names])
    first, second = random.choice(len(names), 2, p=shares / shares.sum())
    mix = random.uniform(0.0, 0.6) if random.random() < 0.5 else 0.0
    weights = (1 - mix) * both_sides(MOUTHS[names[first]])
    weights = weights + mix * both_sides(MOUTHS[names[second]])
    weights *= random.uniform(0.5, 1.25)
    return np.asarray(weights * random.uniform(0.85, 1.15, len(weights)))


def random_state(random: np.random.Generator, calm: bool = False) -> State:
    """A random state of a talking face; a `calm` one is like most photos."""
    if calm and random.random() < 0.6:
        weights = both_sides({"mouthSmile": max(0.0, random.normal(0.15, 0.25))})
    else:
        weights = random_mouth(random)
        if random.random() < 0.3:
            weights = weights + both_sides({"mouthSmile": random.uniform(0.0, 0.5)})
    weights = weights + _upper_face(random, calm)
    share = 0.6 if calm else 1.0
    angles = np.clip(random.normal(0.0, _SPREAD * share), -LIMITS, LIMITS)
    if not calm and random.random() < 0.35:
        angles = random.uniform(-LIMITS, LIMITS)
    return State(with_contacts(weights), angles)


def _upper_face(random: np.random.Generator, calm: bool) -> Float64[np.ndarray, " 52"]:
    """Random weights of brows, lids and eyes."""
    brow, squint = random.uniform(-0.6, 0.6), random.uniform(0.0, 0.4)
    values = {
        "browInnerUp": max(brow, 0.0), "browOuterUp": max(brow, 0.0) * random.uniform(0.3, 1.0),
        "browDown": max(-brow, 0.0), "eyeSquint": squint * float(random.random() < 0.4),
        "eyeWide": random.uniform(0.0, 0.5) * float(random.random() < 0.15),
    }  # fmt: skip
    if random.random() < (0.03 if calm else 0.15):
        values["eyeBlink"] = random.uniform(0.3, 1.0)
    weights = both_sides(values)
    across, down = random.normal(0.0, 0.18, 2)
    for side, toward in (("Left", 1.0), ("Right", -1.0)):
        weights[INDEX[f"eyeLookOut{side}"]] = max(0.0, across * toward)
        weights[INDEX[f"eyeLookIn{side}"]] = max(0.0, -across * toward)
        weights[INDEX[f"eyeLookDown{side}"]] = max(0.0, down)
        weights[INDEX[f"eyeLookUp{side}"]] = max(0.0, -down)
    return weights


def next_state(state: State, random: np.random.Generator) -> State:
    """A state that the next frame of a film may show: a step towards another state."""
    aim = random_state(random)
    step = random.uniform(*_NEAR)
    weights = state.weights + step * (aim.weights - state.weights)
    angles = np.clip(state.angles + random.normal(0.0, _NEAR_TURN, 3), -LIMITS, LIMITS)
    return State(with_contacts(weights), angles)
