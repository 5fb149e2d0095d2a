# SPDX-License-Identifier: GPL-3.0-or-later
"""Curves that follow one another, closures that are kept, poses that are measured."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from backend.evaluation.phones import Phone
from backend.evaluation.video.curves import closures, following, gain
from backend.evaluation.video.lip_sync import SWING_DEGREES, axis_figures, swinging
from backend.evaluation.video.tracked import bone_distance, motion_of
from backend.face.template import load_template
from shared.landmarks import INNER_LIP_LOWER
from shared.take import Take

FPS = 25.0


def wobble(frames: int = 120, shift: float = 0.0) -> np.ndarray:
    time = (np.arange(frames) - shift) / FPS
    return 1 + np.sin(9.1 * time) + 0.7 * np.sin(21.3 * time + 1) + 0.4 * np.sin(31 * time)


@pytest.mark.parametrize("lag", [-3, 0, 1, 4])
def test_a_shifted_curve_has_that_lag(lag: int) -> None:
    found = following(2 * wobble(shift=lag) + 5, wobble())
    assert found.lag == pytest.approx(lag, abs=0.02) and found.peak == pytest.approx(1.0, abs=1e-3)
    assert (found.correlation < 0.999) == (lag != 0)


def test_a_lag_of_half_a_frame_lies_between() -> None:
    assert following(wobble(shift=0.5), wobble()).lag == pytest.approx(0.5, abs=0.1)


def test_a_curve_that_stands_still_has_no_lag() -> None:
    assert np.isnan(following(np.ones(100), wobble(100)).correlation)


def test_gain_is_how_far_the_curve_goes() -> None:
    assert gain(0.6 * wobble() + 3, wobble()) == pytest.approx(0.6)


def test_closures_that_the_video_leaves_open_are_not_kept() -> None:
    meant = np.ones(100)
    meant[20:23] = meant[50:53] = meant[80:83] = 0.0
    seen = meant + 0.05
    seen[50:53] = 0.5
    phones = [
        Phone(0.0, 0.8, "aa"), Phone(0.8, 0.92, "p"), Phone(0.92, 2.0, "aa"),
        Phone(2.0, 2.12, "b"), Phone(2.12, 3.2, "aa"), Phone(3.2, 3.32, "m"),
        Phone(3.32, 3.6, "sil"), Phone(3.6, 4.0, "aa"),
    ]  # fmt: skip
    with_phones = closures(seen, meant, FPS, phones)
    # The m next to the silence proves nothing.
    assert (with_phones.asked, with_phones.made, with_phones.kept) == (2, 2, 1)
    without = closures(seen, meant, FPS)
    assert (without.made, without.kept) == (3, 2) and without.share == pytest.approx(2 / 3)


def test_a_closure_that_the_mesh_does_not_make_is_not_asked_of_the_video() -> None:
    meant = np.ones(100)
    phones = [Phone(0.0, 2.0, "aa"), Phone(2.0, 2.12, "b"), Phone(2.12, 4.0, "aa")]
    found = closures(meant, meant, FPS, phones)
    assert (found.asked, found.made) == (1, 0) and np.isnan(found.share)


def pixels(points: np.ndarray) -> np.ndarray:
    """Points of a head (metres) in a picture."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1) * 2500 + (
        300,
        300,
        0,
    )


def test_known_poses_and_gaps_are_measured() -> None:
    face = load_template().vertices
    frames = []
    opening = 0.004 * (1 + np.sin(np.arange(60) / 5))
    turns = np.radians(20) * np.sin(np.arange(60)[:, None] / (7, 9, 11))
    for gap, turn in zip(opening, turns, strict=True):
        moved = face.copy()
        moved[list(INNER_LIP_LOWER[1:-1]), 2] -= gap
        frames.append(pixels(moved @ Rotation.from_euler("xyz", turn).as_matrix().T))
    found = motion_of(np.array(frames))
    assert np.corrcoef(found.gap, opening)[0, 1] > 0.9999
    figures = axis_figures(found.angles, np.degrees(turns))
    assert [row.axis for row in figures] == ["pitch", "roll", "yaw"]
    for row in figures:
        assert (
            row.correlation > 0.999 and row.error < 0.3 and row.gain == pytest.approx(1, abs=0.02)
        )
    assert found.apart.max() < 0.5


def test_bones_that_are_elsewhere_are_measured_in_millimetres() -> None:
    face = load_template().vertices
    turned = face @ Rotation.from_euler("z", 10, degrees=True).as_matrix().T
    assert bone_distance(turned, face) == pytest.approx(0.0, abs=1e-6)
    random = np.random.default_rng(0)
    noisy = face + random.normal(0, 0.001, face.shape)
    assert bone_distance(noisy, face) == pytest.approx(np.sqrt(3), rel=0.15)


def test_the_head_swings_on_one_axis_after_the_other(small_take: Take) -> None:
    swings = swinging(small_take)
    highest = np.degrees(np.abs(swings.head_rotation)).max(axis=0)
    assert highest == pytest.approx([SWING_DEGREES] * 3, abs=0.05)
    assert (np.count_nonzero(np.abs(swings.head_rotation) > 1e-6, axis=1) <= 1).all()
    assert swings.frame_count == 3 * 180
