# SPDX-License-Identifier: GPL-3.0-or-later
"""Characters for the tests: our own head, whose landmarks are known, and installed ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from known_characters import one_piece

from shared.character import Character


@pytest.fixture(scope="session")
def own_head() -> Character:
    """Our mean face as a character; its first 468 vertices are its landmarks."""
    from backend.face import template_face

    face = template_face()
    return one_piece(face.vertices.astype(np.float64), face.triangles)


@pytest.fixture(scope="session")
def own_landmarks(own_head):  # type: ignore[no-untyped-def]
    from backend.transfer.find_landmarks import find_landmarks

    return find_landmarks(own_head)


@pytest.fixture(scope="session")
def ict_head(shared_data: Path) -> tuple[Character, np.ndarray]:
    """The ICT head (centimetres) and its landmarks [468,3]."""
    files = [
        shared_data / "heads" / name for name in ("ict_facekit.npz", "arkit52_on_landmarks468.npz")
    ]
    for file in files:
        if not file.is_file():
            pytest.skip(f"no {file.name}")
    with np.load(files[0], allow_pickle=False) as head:
        vertices, faces = head["neutral"].astype(np.float64), head["faces"]
    with np.load(files[1], allow_pickle=False) as table:
        corners, shares = table["ict_triangles"], table["barycentric"]
    vertices = np.stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]], axis=1)
    second = faces[faces[:, 3] >= 0][:, [0, 2, 3]]
    character = one_piece(vertices, np.concatenate([faces[:, :3], second]))
    return character, (vertices[corners] * shares[..., None]).sum(axis=1)


@pytest.fixture(scope="session")
def makehuman_body(shared_data: Path) -> Character:
    """A whole body without eyeballs (decimetres)."""
    file = shared_data / "heads" / "mpfb_hm08_arkit52_viseme15.npz"
    if not file.is_file():
        pytest.skip(f"no {file.name}")
    with np.load(file, allow_pickle=False) as body:
        vertices, quads = body["vertices"].astype(np.float64), body["body_quads"]
    vertices = np.stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]], axis=1)
    return one_piece(vertices, np.concatenate([quads[:, :3], quads[:, [0, 2, 3]]]))
