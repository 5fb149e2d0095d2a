# SPDX-License-Identifier: GPL-3.0-or-later
"""Characters that are always there: our own head and its bare landmark mesh, without keys."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.face.from_photo import template_neutral
from backend.face.pose import fit_similarity
from backend.face.template import load_template
from backend.transfer.find_landmarks import FaceLandmarks
from shared.arkit import ARKIT_NAMES, INDEX
from shared.character import Character, FaceKeys

Floats = NDArray[np.float64]


def known(places: Floats) -> FaceLandmarks:
    """Landmarks [468,3] as if they had been found; the tracker takes seconds."""
    template = load_template()
    frame = fit_similarity(places, template.vertices, template.rigidity[:468])
    return FaceLandmarks(places, np.ones(468), frame, "rendered")


def character(vertices: NDArray[np.floating], triangles: NDArray[np.integer]) -> Character:
    return Character(
        vertices.astype(np.float32),
        triangles.astype(np.int32),
        np.zeros(len(vertices), np.int32),
        ("head",),
    )


def mask() -> tuple[Floats, NDArray[np.int64]]:
    """The landmark mesh alone: lips that touch and are parted, eyes as holes, nothing inside."""
    return template_neutral(), load_template().triangles.astype(np.int64)


def full_shapes(keys: FaceKeys, count: int) -> Floats:
    """Shapes [52,V,3] of all vertices."""
    shapes = np.zeros((len(ARKIT_NAMES), count, 3))
    shapes[:, keys.rows] = keys.shapes
    return shapes


def shape(keys: FaceKeys, name: str, count: int) -> Floats:
    return np.asarray(full_shapes(keys, count)[INDEX[name]])
