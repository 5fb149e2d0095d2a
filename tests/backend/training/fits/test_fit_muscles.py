# SPDX-License-Identifier: GPL-3.0-or-later
"""The muscle table's fit: known pulls are found, and the table that ships can be made again."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from backend.face.arkit_basis import jaw_motion
from backend.face.muscles import TABLE_PATH, JawMotion
from backend.face.surface import fade
from backend.face.template import load_template
from backend.training.fits.muscles import (
    HINGE,
    MORE_PULLS,
    Dictionary,
    Fitted,
    fit_jaw,
    fit_pulls,
    rebuild,
    targets,
    write_entry,
)
from shared.landmarks import EARS


@pytest.fixture(scope="module")
def sided() -> Dictionary:
    return Dictionary(load_template(), middle=False)


def test_a_motion_of_two_pulls_is_explained_by_a_few(sided: Dictionary) -> None:
    made = Fitted([(334, 25.0), (291, 40.0)], np.array([(1.0, -2.0, 4.0), (5.0, 0.0, 3.0)]))
    target = rebuild(sided, made)
    largest = float(np.linalg.norm(target, axis=1).max())
    found = fit_pulls(sided, target, 5, largest)
    rest = np.sqrt(((rebuild(sided, found) - target) ** 2).sum(axis=1).mean())
    assert 2 <= len(found.atoms) <= 5 and rest < 0.02 * largest


def test_what_is_written_is_what_was_fitted(sided: Dictionary) -> None:
    fitted = Fitted([(334, 25.0), (291, 40.0)], np.array([(1.0, -2.0, 4.0), (5.0, 0.0, 3.0)]))
    jaw = JawMotion(12.0, (0.0, -1.0, 2.0), 199, 15.0, 70.0)
    text = "\n".join(write_entry("mouthSmile", False, jaw, fitted, load_template()))
    entry = tomllib.loads(text)["left"]["mouthSmile"]
    assert [(pull["at"], pull["reach"]) for pull in entry["pulls"]] == [(291, 40.0), (334, 25.0)]
    assert entry["pulls"][0]["move"] == [5.0, 0.0, 3.0]
    assert entry["jaw"]["degrees"] == 12.0 and entry["jaw"]["at"] == 199


def test_a_turn_of_the_jaw_is_found() -> None:
    template = load_template()
    hinge = template.vertices[list(EARS)].mean(axis=0) * (0, 1, 1) + np.array(HINGE) / 1000
    jaw = JawMotion(18.0, (0.0, -2.0, 1.0), 200, 15.0, 60.0)
    share = fade(template.distances[200] * 1000.0, jaw.reach, jaw.core)
    target = share[:, None] * jaw_motion(jaw, template.vertices, hinge, 1.0) * 1000
    found = fit_jaw(target, template, turns=True, middle=True)
    assert found.degrees == pytest.approx(18.0, abs=2.0)
    share = fade(template.distances[found.at] * 1000.0, found.reach, found.core)
    again = share[:, None] * jaw_motion(found, template.vertices, hinge, 1.0) * 1000
    assert np.abs(again - target).max() < 0.05 * np.abs(target).max()


@pytest.mark.parametrize("stem", ["eyeWide", "browDown"])
def test_the_table_that_ships_is_made_again(
    shared_data: Path, sided: Dictionary, stem: str
) -> None:
    template = load_template()
    target = targets(shared_data / "heads/arkit52_on_landmarks468.npz", template)[stem]
    largest = float(np.linalg.norm(target, axis=1).max())
    fitted = fit_pulls(sided, target, 7 + MORE_PULLS.get(stem, 0), largest)
    text = "\n".join(write_entry(stem, False, None, fitted, template))
    made = tomllib.loads(text)["left"][stem]["pulls"]
    ships = tomllib.loads(TABLE_PATH.read_text("utf-8"))["left"][stem]["pulls"]
    shipped = Fitted(
        [(pull["at"], pull["reach"]) for pull in ships], np.array([p["move"] for p in ships])
    )
    remade = Fitted(
        [(pull["at"], pull["reach"]) for pull in made], np.array([p["move"] for p in made])
    )
    # Another library may round a tie the other way; the motion is the same.
    assert np.abs(rebuild(sided, remade) - rebuild(sided, shipped)).max() < 0.05 * largest
