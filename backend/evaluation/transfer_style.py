# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a transfer's error is the style of the hand-made shapes it is compared with.

ARKit names its shapes and shows pictures; two artists make different ones. So there are two more
figures: how far two hand-made sets agree with each other, and how well a head gets its own shapes
back when it is given them at the landmarks alone (everything in between is the transfer's work).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from scipy.spatial import cKDTree

from backend.transfer.find_landmarks import FaceLandmarks
from backend.transfer.shape_source import ShapeSource
from shared.arkit import ARKIT_NAMES, INDEX


def source_of(
    name: str,
    vertices: Float64[np.ndarray, "V 3"],
    shapes: dict[str, Float64[np.ndarray, "V 3"]],
    landmarks: FaceLandmarks,
) -> ShapeSource:
    """A head's shapes by name, read at its landmarks, in metres and frontal."""
    moved = np.any([offset.any(axis=1) for offset in shapes.values()], axis=0)
    at = np.flatnonzero(moved)[cKDTree(vertices[moved]).query(landmarks.places)[1]]
    frame = landmarks.to_frontal
    fields = np.zeros((len(ARKIT_NAMES), len(at), 3))
    for shape, offset in shapes.items():
        fields[INDEX[shape]] = frame.scale * offset[at] @ frame.rotation.T
    return ShapeSource(name, frame.apply(landmarks.places), fields)


def shared_shapes(
    one: ShapeSource, other: ShapeSource
) -> list[tuple[str, Float64[np.ndarray, "468 3"], Float64[np.ndarray, "468 3"]]]:
    """Name and both motions of every shape that both heads have."""
    lacking = {*one.missing, *other.missing}
    return [
        (name, one.shapes[number], other.shapes[number])
        for number, name in enumerate(ARKIT_NAMES)
        if name not in lacking
    ]
