# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes as they come: split at every seam, with debris, or without a mouth."""

from __future__ import annotations

import numpy as np
import pytest
from bare_heads import Floats, character, full_shapes, known, mask, shape

from backend.transfer.make_keys import make_keys
from shared.character import Character
from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import INNER_LIP_LOWER, INNER_LIP_UPPER


@pytest.fixture(scope="module")
def plain() -> Floats:
    vertices, triangles = mask()
    return full_shapes(make_keys(character(vertices, triangles), landmarks=known(vertices)), 468)


def test_lips_that_touch_still_part(plain: Floats) -> None:
    vertices, triangles = mask()
    middle = vertices[[13, 14]]
    assert np.abs(middle[0] - middle[1]).max() < 1e-9, "the lips of the mask should touch"
    keys = make_keys(character(vertices, triangles), landmarks=known(vertices))
    opened = shape(keys, "jawOpen", 468)
    assert opened[13, 2] - opened[14, 2] > 0.02
    assert keys.meta["mouth_opens"] is True


def test_doubled_vertices_move_as_one(plain: Floats) -> None:
    """A seam down the middle of the face, as a texture with two halves has it."""
    vertices, triangles = mask()
    left = vertices[triangles].mean(axis=1)[:, 0] > 0
    doubled = np.concatenate([vertices, vertices])
    split = np.where(left[:, None], triangles + 468, triangles)
    keys = make_keys(character(doubled, split), landmarks=known(vertices))
    made = full_shapes(keys, 936)
    right_used, left_used = np.unique(triangles[~left]), np.unique(triangles[left])
    assert np.abs(made[:, right_used] - plain[:, right_used]).max() < 0.0005
    assert np.abs(made[:, 468 + left_used] - plain[:, left_used]).max() < 0.0005
    both = np.intersect1d(right_used, left_used)
    assert np.abs(made[:, both] - made[:, both + 468]).max() < 1e-5


def test_every_triangle_for_itself(plain: Floats) -> None:
    vertices, triangles = mask()
    crumbs = vertices[triangles.reshape(-1)]
    keys = make_keys(
        character(crumbs, np.arange(len(crumbs)).reshape(-1, 3)),
        landmarks=known(vertices),
        surface_only=True,
    )
    assert len(keys.rows) > 0.8 * len(crumbs)


def test_debris_does_not_matter(plain: Floats) -> None:
    """Isolated vertices, triangles without area, a fin on an edge, a T-junction, one twice."""
    vertices, triangles = mask()
    a, b, c = triangles[100]
    middle = (vertices[a] + vertices[b]) / 2
    more = np.array([[0.0, 5.0, 0.0], [0.0, 0.0, 0.01], middle, vertices[a] + (0.0, -0.004, 0.004)])
    extra = np.array(
        [(a, a, b), (a, 470, b), (a, b, 471), (470, b, c), (a, b, c), (a, b, c)], np.int64
    )
    keys = make_keys(
        character(np.concatenate([vertices, more]), np.concatenate([triangles, extra])),
        landmarks=known(vertices),
    )
    assert 468 not in keys.rows and 469 not in keys.rows
    error = np.abs(full_shapes(keys, 472)[:, :468] - plain).max(axis=(0, 2))
    away = np.linalg.norm(vertices - middle, axis=1) > 0.02
    assert error[away].max() < 0.0006


def _welded() -> Character:
    """One row of lips instead of two."""
    vertices, triangles = mask()
    same = np.arange(468)
    same[list(INNER_LIP_LOWER)] = INNER_LIP_UPPER
    return character(vertices, same[triangles])


def test_a_mouth_that_cannot_open_is_an_error_with_a_way_out() -> None:
    with pytest.raises(VividKeysError) as problem:
        make_keys(_welded(), landmarks=known(mask()[0]))
    assert problem.value.kind is ErrorKind.MOUTH_CLOSED
    assert "surface-only shapes" in problem.value.next_step


def test_surface_only_moves_the_skin_without_tearing(plain: Floats) -> None:
    keys = make_keys(_welded(), landmarks=known(mask()[0]), surface_only=True)
    assert keys.meta["mouth_opens"] is False and keys.meta["warnings"]
    opened = shape(keys, "jawOpen", 468)
    # The chin sinks a little, the lips hardly.
    assert -0.02 < opened[152, 2] < -0.004
    assert np.linalg.norm(opened[152]) < 0.5 * np.linalg.norm(plain[17, 152])


def test_something_without_skin_at_the_landmarks_is_no_face() -> None:
    vertices, _ = mask()
    few = np.array([[0, 0, 0], [0.001, 0, 0], [0, 0, 0.001], [0.001, 0, 0.002]])
    with pytest.raises(VividKeysError) as problem:
        make_keys(character(few, np.array([[0, 1, 2], [1, 3, 2]])), landmarks=known(vertices))
    assert problem.value.kind is ErrorKind.NO_FACE and problem.value.next_step
