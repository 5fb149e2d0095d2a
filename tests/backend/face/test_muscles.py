# SPDX-License-Identifier: GPL-3.0-or-later
"""The muscle table: readable, complete, mirrored by construction."""

from __future__ import annotations

import numpy as np
import pytest

from backend.face.muscles import TABLE_PATH, load_table, parse_table, pull_field
from backend.face.template import load_template
from shared.arkit import ARKIT_NAMES, LEFT_RIGHT_PAIRS
from shared.errors import ErrorKind, VividKeysError


def test_the_table_has_all_shapes_in_a_handful_of_pulls_each():
    table = load_table()
    assert tuple(table.muscles) == ARKIT_NAMES
    counts = [len(muscle.pulls) for muscle in table.muscles.values()]
    assert max(counts) <= 12
    assert np.mean(counts) <= 8


def test_sides_mirror_each_other():
    table, template = load_table(), load_template()
    partner = template.mirror[:468]
    for left, right in LEFT_RIGHT_PAIRS:
        made = pull_field(table.muscles[left], template)
        other = pull_field(table.muscles[right], template)
        assert np.allclose(other, made[partner] * (-1, 1, 1), atol=1e-9), left
    for name, muscle in table.muscles.items():
        if muscle.mirrored:
            field = pull_field(muscle, template)
            assert np.allclose(field, field[partner] * (-1, 1, 1), atol=1e-9), name


@pytest.mark.parametrize(
    ("find", "replace"),
    [
        ("[middle.jawOpen]", "[middle.jawOpenn]"),
        ('lips = "sealing"', 'lips = "glued"'),
        ("], reach =", "], raech ="),
        ("[jaw]", "[jow]"),
        ("\npulls = [", "\npull = ["),
        ("{ at = ", "{ at = 9"),
    ],
)
def test_a_mistake_in_the_table_is_named(find, replace):
    text = TABLE_PATH.read_text("utf-8")
    assert find in text
    with pytest.raises(VividKeysError) as caught:
        parse_table(text.replace(find, replace, 1))
    assert caught.value.kind is ErrorKind.BAD_FILE


def test_editing_a_number_changes_that_shape_only():
    text = TABLE_PATH.read_text("utf-8")
    start = text.index("[left.browDown]")
    spot = text.index("move = [", start)
    edited = text[:spot] + "move = [  9.00, " + text[spot + len("move = [") :].split(",", 1)[1]
    table, changed, template = load_table(), parse_table(edited), load_template()
    for name in ARKIT_NAMES:
        same = np.allclose(
            pull_field(table.muscles[name], template), pull_field(changed.muscles[name], template)
        )
        assert same == (not name.startswith("browDown")), name
