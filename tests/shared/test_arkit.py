# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from shared.arkit import ARKIT_NAMES, INDEX, LEFT_RIGHT_PAIRS


def test_there_are_52_names_and_each_is_unique() -> None:
    assert len(ARKIT_NAMES) == len(set(ARKIT_NAMES)) == 52
    assert ARKIT_NAMES[0] == "eyeBlinkLeft"
    assert ARKIT_NAMES[17] == "jawOpen"
    assert ARKIT_NAMES[-1] == "tongueOut"


def test_every_pair_exists_on_both_sides() -> None:
    assert len(LEFT_RIGHT_PAIRS) == 20
    assert all(left in INDEX and right in INDEX for left, right in LEFT_RIGHT_PAIRS)
