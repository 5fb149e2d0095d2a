# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures of transferred shapes: what they say of motions that are known."""

from __future__ import annotations

import numpy as np
import pytest

from backend.evaluation.bench_transfer import subdivided_head
from backend.evaluation.transfer import TransferHead, TransferRow, _compare, transfer_tables


@pytest.mark.parametrize(("degrees", "size"), [(0.0, 1.0), (20.0, 1.3), (90.0, 0.5)])
def test_a_turned_and_scaled_motion_is_measured_as_such(degrees: float, size: float) -> None:
    reference = np.zeros((50, 3))
    reference[:20, 2] = np.linspace(0.3, 1.0, 20)
    angle = np.radians(degrees)
    made = size * reference[:, [2]] * np.array([np.sin(angle), 0.0, np.cos(angle)])
    direction, ratio = _compare(made, reference)
    assert direction == pytest.approx(degrees, abs=1e-5)
    assert ratio == pytest.approx(size)


def test_shapes_that_are_not_right_are_marked() -> None:
    rows = [TransferRow("a", "jawOpen", 5.0, 1.0), TransferRow("a", "cheekPuff", 5.0, 1.7)]
    assert [row.right for row in rows] == [True, False]
    tables = transfer_tables([TransferHead("a", 10, 1, 2, 0.0, 1.0)], rows)
    cells = list(tables[1].columns[1].cells)
    assert cells == ["5.0, 1.00", "5.0, 1.70 !"]


def test_the_bench_cuts_a_head_to_the_size_it_names() -> None:
    character = subdivided_head(12_000)
    assert len(character.vertices) == 12_000
    assert np.unique(character.triangles).size == 12_000
