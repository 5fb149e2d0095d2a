# SPDX-License-Identifier: GPL-3.0-or-later
"""Measurements taken from the landmarks directly, without shapes: lip gap, lid opening, gaze."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64

from backend.face.head.eyes import LOOK, RADIUS
from backend.face.template import face_size, load_template
from shared.arkit import INDEX
from shared.landmarks import (
    INNER_LIP_LOWER,
    INNER_LIP_UPPER,
    LEFT_IRIS,
    LEFT_LID_LOWER,
    LEFT_LID_UPPER,
    RIGHT_IRIS,
    RIGHT_LID_LOWER,
    RIGHT_LID_UPPER,
)

# The pairs in the middle of the lips; towards the corners the gap carries little information.
MIDDLE_PAIRS = slice(3, 8)
LIDS: dict[str, tuple[tuple[int, ...], tuple[int, ...], int]] = {
    "Left": (LEFT_LID_UPPER, LEFT_LID_LOWER, LEFT_IRIS[0]),
    "Right": (RIGHT_LID_UPPER, RIGHT_LID_LOWER, RIGHT_IRIS[0]),
}


def lip_gap(points: Float64[np.ndarray, "T N 3"]) -> Float64[np.ndarray, " T"]:
    """Mean height between the inner lip edges, from points without head pose; N >= 468."""
    height = points[:, :, 2]
    upper, lower = list(INNER_LIP_UPPER)[MIDDLE_PAIRS], list(INNER_LIP_LOWER)[MIDDLE_PAIRS]
    return np.asarray((height[:, upper] - height[:, lower]).mean(axis=1))


def lid_opening(points: Float64[np.ndarray, "T N 3"], side: str) -> Float64[np.ndarray, " T"]:
    """Height of an eye's opening as a fraction of the eye's width; `side` is Left or Right."""
    upper, lower, _ = LIDS[side]
    width = np.linalg.norm(points[:, upper[0]] - points[:, upper[-1]], axis=1)
    gap = points[:, list(upper[3:6])] - points[:, list(lower[3:6])]
    return np.asarray(np.linalg.norm(gap.mean(axis=1), axis=1) / width)


def look_weights(
    points: Float64[np.ndarray, "T 478 3"], calm: Bool[np.ndarray, " T"]
) -> Float64[np.ndarray, "T 52"]:
    """The eight look shapes from the irises, as weights that are zero elsewhere.

    `points` are without head pose. Straight ahead is the median gaze over the `calm` frames,
    because the camera's position is not known. While a lid is closed the gaze is interpolated.
    """
    weights = np.zeros((len(points), 52))
    scale = face_size(np.median(points, axis=0)) / face_size(load_template().vertices)
    radius = RADIUS * scale
    turns = []
    for side, (upper, _, iris) in LIDS.items():
        corners = (points[:, upper[0]] + points[:, upper[-1]]) / 2
        away = (points[:, iris] - corners)[:, [0, 2]]
        opening = lid_opening(points, side)
        shut = opening < 0.55 * np.median(opening)
        away = _hold(away, shut)
        away = away - np.median(away[calm & ~shut] if (calm & ~shut).any() else away, axis=0)
        turns.append(np.degrees(np.arcsin(np.clip(away / radius, -0.8, 0.8))))
    # Both eyes share their elevation and nearly their azimuth: the mean reduces the noise.
    mean = np.mean(turns, axis=0)
    for side, outward in (("Left", 1.0), ("Right", -1.0)):
        out, up = outward * mean[:, 0], mean[:, 1]
        for name, turn in (("Out", out), ("In", -out), ("Up", up), ("Down", -up)):
            weights[:, INDEX[f"eyeLook{name}{side}"]] = np.clip(turn / LOOK[name], 0.0, 1.0)
    return weights


def _hold(
    curves: Float64[np.ndarray, "T C"], away: Bool[np.ndarray, " T"]
) -> Float64[np.ndarray, "T C"]:
    """The curves, interpolated linearly over the frames that are `away`."""
    if away.all() or not away.any():
        return curves
    index = np.arange(len(curves))
    columns = [np.interp(index, index[~away], column[~away]) for column in curves.T]
    return np.stack(columns, axis=1)
