# SPDX-License-Identifier: GPL-3.0-or-later
"""Who people are and how they look into a camera: known parts are found again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.face.identity import closed_template
from backend.face.photo_model import TURN, load_photo_model
from backend.face.template import load_template
from backend.training.fits.photo_model import (
    bony,
    components,
    full_model,
    learned,
    mirrored,
    outside,
    rank_one,
    tracked_people,
    turned_fields,
)

COUNT = 478


def _rest() -> np.ndarray:
    return np.concatenate([closed_template(), load_template().irises])


def test_components_are_found_and_the_rest_lies_outside_them() -> None:
    random = np.random.default_rng(1)
    axes, _ = np.linalg.qr(random.normal(0.0, 1.0, (3 * COUNT, 2)))
    fields = axes.T.reshape(2, COUNT, 3)
    offsets = np.tensordot(random.normal(0.0, 1.0, (60, 2)) * (3.0, 1.0), fields, axes=1)
    found = components(offsets, 2)
    assert np.linalg.norm(found.reshape(2, -1), axis=1) == pytest.approx([3.0, 1.0], rel=0.3)
    other = random.normal(0.0, 1.0, (4, COUNT, 3))
    rest = outside(offsets[:4] + other, found)
    assert np.abs(rest.reshape(4, -1) @ axes).max() < 1e-9
    assert outside(offsets[:4], found) == pytest.approx(0.0, abs=1e-9)


def test_what_a_turned_head_gets_wrong_is_found() -> None:
    random = np.random.default_rng(2)
    odd, even = random.normal(0.0, 1e-3, (2, COUNT, 3))
    # A mirror turns the odd part over and leaves the even one.
    odd, even = (odd - mirrored(odd)) / 2, (even + mirrored(even)) / 2
    bone = load_template().rigidity
    odd, even = (field - np.average(field, axis=0, weights=bone) for field in (odd, even))
    angles = np.radians([-30.0, -15.0, 10.0, 25.0, 40.0])
    turn = (np.sin(angles) / TURN)[:, None, None]
    along = random.normal(0.0, 0.1, (5, 1, 3))  # where the head is says nothing
    found = turned_fields(angles, turn * odd + turn**2 * even + along)
    assert found[0] == pytest.approx(odd, abs=1e-9)
    assert found[1] == pytest.approx(even, abs=1e-9)


def test_a_smile_and_faces_at_rest_are_learned() -> None:
    random = np.random.default_rng(3)
    people = random.normal(0.0, 1e-3, (3, COUNT, 3)).cumsum(axis=1) / 20
    rest = _rest() + np.tensordot(random.normal(0.0, 1.0, (30, 3)), people, axes=1)
    smile = random.normal(0.0, 5e-4, (COUNT, 3))
    smile = (smile + mirrored(smile)) / 2
    model = learned(rest, rest + smile)
    flat, found = smile.ravel(), model.smile.ravel()
    # Closed mouths at rest make the little difference.
    assert found @ flat / np.linalg.norm(found) / np.linalg.norm(flat) > 0.95
    assert np.linalg.norm(model.mean - _rest(), axis=1).mean() < 1e-3


def test_real_people_smile_as_the_model_that_ships(shared_data: Path, tmp_path: Path) -> None:
    people = []
    for kind in ("neutral", "smiling"):
        folder = tmp_path / kind
        folder.mkdir()
        for photo in sorted((shared_data / "faces/london" / kind).glob("*.jpg"))[:8]:
            (folder / photo.name).symlink_to(photo)
        people.append(tracked_people(folder))
    (names, neutral), (others, smiling) = people
    assert [n.name[:3] for n in names] == [n.name[:3] for n in others]
    assert np.linalg.norm(bony(neutral[0]) - _rest(), axis=1).mean() < 0.004
    shipped = load_photo_model()
    model = full_model(neutral, smiling, neutral[:0], np.asarray(shipped.turned, np.float64))
    flat, known = model.smile.ravel(), np.asarray(shipped.smile, np.float64).ravel()
    assert flat @ known / np.linalg.norm(flat) / np.linalg.norm(known) > 0.9
    assert rank_one(smiling, neutral, model, np.arange(8)) == 1.0
