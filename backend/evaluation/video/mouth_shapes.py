# SPDX-License-Identifier: GPL-3.0-or-later
"""Test poses for videos: fifteen mouth shapes, and heads that turn and nod."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from backend.face.template import load_template
from shared.arkit import INDEX
from shared.take import Take

# Oculus' fifteen visemes as ARKit weights, as strong as in clear speech; a name without a side
# stands for both its left and its right shape. The add-on knows the same shapes by their keys.
VISEMES: dict[str, dict[str, float]] = {
    "sil": {},
    "PP": {"jawOpen": 0.1, "mouthClose": 0.1, "mouthPress": 0.35, "mouthRollLower": 0.25,
           "mouthRollUpper": 0.25},
    "FF": {"jawOpen": 0.08, "mouthRollLower": 0.6, "mouthUpperUp": 0.2, "mouthShrugUpper": 0.1},
    "TH": {"jawOpen": 0.15, "mouthLowerDown": 0.25, "mouthUpperUp": 0.1, "tongueOut": 0.25},
    "DD": {"jawOpen": 0.12, "mouthLowerDown": 0.35, "mouthUpperUp": 0.2, "mouthStretch": 0.1},
    "kk": {"jawOpen": 0.2, "mouthLowerDown": 0.2, "mouthStretch": 0.2, "mouthDimple": 0.1},
    "CH": {"jawOpen": 0.1, "mouthFunnel": 0.55, "mouthLowerDown": 0.3, "mouthUpperUp": 0.1},
    "SS": {"jawOpen": 0.05, "mouthLowerDown": 0.4, "mouthStretch": 0.3, "mouthSmile": 0.15},
    "nn": {"jawOpen": 0.12, "mouthLowerDown": 0.25, "mouthUpperUp": 0.15, "mouthSmile": 0.1},
    "RR": {"jawOpen": 0.12, "mouthFunnel": 0.35, "mouthPucker": 0.15, "mouthUpperUp": 0.15},
    "aa": {"jawOpen": 0.6, "mouthLowerDown": 0.2, "mouthUpperUp": 0.1},
    "E": {"jawOpen": 0.3, "mouthSmile": 0.25, "mouthStretch": 0.25, "mouthLowerDown": 0.2},
    "I": {"jawOpen": 0.12, "mouthSmile": 0.4, "mouthStretch": 0.3, "mouthLowerDown": 0.15},
    "O": {"jawOpen": 0.35, "mouthFunnel": 0.55, "mouthPucker": 0.2},
    "U": {"jawOpen": 0.12, "mouthPucker": 0.75, "mouthFunnel": 0.25},
}  # fmt: skip
# Degrees of (pitch, roll, yaw).
TURNS: dict[str, tuple[float, float, float]] = {
    **{f"yaw {angle:+d}": (0.0, 0.0, float(angle)) for angle in (-20, -10, 0, 10, 20)},
    **{f"pitch {angle:+d}": (float(angle), 0.0, 0.0) for angle in (-20, -10, 10, 20)},
    **{f"roll {angle:+d}": (0.0, float(angle), 0.0) for angle in (-20, 20)},
}
# The mouth shape while the head turns: the interior has to turn with it.
_WHILE_TURNING = "E"


def shape_weights(pose: dict[str, float]) -> Float32[np.ndarray, " 52"]:
    """The weights of a pose given by names."""
    weights = np.zeros(len(INDEX), np.float32)
    for name, value in pose.items():
        for full in (name,) if name in INDEX else (f"{name}Left", f"{name}Right"):
            weights[INDEX[full]] = value
    return weights


def poses_take(
    weights: Float32[np.ndarray, "T 52"],
    degrees: Float32[np.ndarray, "T 3"] | None = None,
    fps: float = 25.0,
) -> Take:
    """A Take of still poses: ARKit weights and angles (pitch, roll, yaw)."""
    template = load_template()
    turned = np.zeros((len(weights), 3), np.float32) if degrees is None else np.radians(degrees)
    return Take(
        fps=fps,
        weights=weights,
        head_rotation=turned.astype(np.float32),
        head_translation=np.zeros((len(weights), 3), np.float32),
        neutral=template.vertices.astype(np.float32),
        triangles=template.triangles,
    )


def viseme_take() -> Take:
    """One frame per mouth shape, in the order of `VISEMES`."""
    return poses_take(np.stack([shape_weights(pose) for pose in VISEMES.values()]))


def turning_take() -> Take:
    """One frame at rest, then one per entry of `TURNS` with the mouth half open."""
    open_mouth = shape_weights(VISEMES[_WHILE_TURNING])
    weights = np.stack([np.zeros_like(open_mouth), *[open_mouth] * len(TURNS)])
    degrees = np.array([(0.0, 0.0, 0.0), *TURNS.values()], np.float32)
    return poses_take(weights, degrees)
