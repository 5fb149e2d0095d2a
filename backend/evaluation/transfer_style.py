# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a transfer's error is the style of the hand-made shapes it is held against.

ARKit names its shapes and shows pictures; two artists make different ones. So two more figures:
how far two hand-made sets agree with each other, and how a head gets its own shapes back when it
is given them at the landmarks alone (everything between these is the transfer's work).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from backend.transfer.find_landmarks import FaceLandmarks
from backend.transfer.shape_source import ShapeSource
from shared.arkit import ARKIT_NAMES, INDEX

Floats = NDArray[np.float64]


def source_of(
    name: str, vertices: Floats, shapes: dict[str, Floats], landmarks: FaceLandmarks
) -> ShapeSource:
    """A head's shapes [V,3] by name, read at its landmarks, in metres and frontal."""
    moved = np.any([offset.any(axis=1) for offset in shapes.values()], axis=0)
    at = np.flatnonzero(moved)[cKDTree(vertices[moved]).query(landmarks.places)[1]]
    frame = landmarks.to_frontal
    fields = np.zeros((len(ARKIT_NAMES), len(at), 3))
    for shape, offset in shapes.items():
        fields[INDEX[shape]] = frame.scale * offset[at] @ frame.rotation.T
    return ShapeSource(name, frame.apply(landmarks.places), fields)


def shared_shapes(one: ShapeSource, other: ShapeSource) -> list[tuple[str, Floats, Floats]]:
    """Name and motions [468,3] of every shape that both heads have."""
    lacking = {*one.missing, *other.missing}
    return [
        (name, one.shapes[number], other.shapes[number])
        for number, name in enumerate(ARKIT_NAMES)
        if name not in lacking
    ]
