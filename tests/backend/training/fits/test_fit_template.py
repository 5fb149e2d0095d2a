# SPDX-License-Identifier: GPL-3.0-or-later
"""The rest shape's fit: from faces that lie anywhere back to the shape that ships."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from backend.face.template import load_template
from backend.training.fits.template import (
    mean_shape,
    mirror_pairs,
    read_triangles,
    symmetric_triangles,
    upright,
)
from shared.landmarks import LANDMARK_COUNT


def _rest() -> np.ndarray:
    template = load_template()
    return np.concatenate([template.vertices, template.irises]).astype(np.float64)


def test_partners_and_triangles_are_those_that_ship() -> None:
    template, rest = load_template(), _rest()
    pairs = mirror_pairs(rest)
    assert np.array_equal(pairs, template.mirror)
    triangles = symmetric_triangles(read_triangles(), rest, pairs)
    assert np.array_equal(triangles, template.triangles)


def test_the_mean_of_faces_in_any_pose_and_size_is_the_shape_that_ships() -> None:
    random = np.random.default_rng(3)
    rest = _rest()
    faces = np.stack([
        Rotation.random(random_state=number).apply(rest + random.normal(0.0, 1e-4, rest.shape))
        * random.uniform(0.5, 3000.0)
        + random.normal(0.0, 50.0, 3)
        for number in range(12)
    ])  # fmt: skip
    mean, aligned = mean_shape(faces, load_template().rigidity.astype(np.float64))
    assert aligned.shape == faces.shape
    found = upright(mean, 1000.0 * rest[:LANDMARK_COUNT])
    # Symmetric, looking ahead, its origin between the ears: millimetres on a face of 140.
    assert np.abs(found[load_template().mirror] * (-1, 1, 1) - found).max() < 1e-9
    assert np.linalg.norm(found - rest, axis=1).max() < 2e-4
    assert np.linalg.norm(found - rest, axis=1).mean() < 1e-4
