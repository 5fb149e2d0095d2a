# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts other than the skin: eyes turn, lower teeth and tongue follow the jaw, lashes the lids.

A part of unknown role follows the skin if it lies on it, and otherwise stays still.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64, Shaped
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from backend.face.arkit_basis import hinge_point, jaw_motion
from backend.face.head.eyes import LOOK
from backend.face.head.mouth import TONGUE_REACH
from backend.face.muscles import load_table
from backend.face.surface import fade
from shared.arkit import INDEX
from shared.landmarks import (
    LEFT_LID_LOWER,
    LEFT_LID_UPPER,
    LIP_EDGES,
    RIGHT_LID_LOWER,
    RIGHT_LID_UPPER,
)

# A part follows the skin if most of its points are this near; points farther out follow less.
_NEAR_SKIN, _BEYOND_SKIN = 0.006, 0.016
# How many nearest points of skin move a point, and over what distance their influence fades.
_SKIN_AROUND, _SKIN_BLUR = 16, 0.002
_TONGUE_JAW = 0.92
# Gums and tongue in one part: at these heights above the lip line it follows the jaw not at all,
# and in full; metres on the template.
_UPPER_JAW, _LOWER_JAW = 0.005, -0.006
_LIDS = {
    "left": [*LEFT_LID_UPPER, *LEFT_LID_LOWER],
    "right": [*RIGHT_LID_UPPER, *RIGHT_LID_LOWER],
}


@dataclass(frozen=True, eq=False)
class Eye:
    """A ball in the socket: its centre, radius in metres, and the rows of its points."""

    side: str
    centre: Float64[np.ndarray, " 3"]
    radius: float
    points: Int64[np.ndarray, " N"]


def find_eyes(
    points: Float64[np.ndarray, "P 3"],
    roles: Shaped[np.ndarray, " P"],
    landmarks: Float64[np.ndarray, "468 3"],
) -> list[Eye]:
    """The eyes; parts of one side (ball, cornea, iris) form one eye."""
    eyes = []
    for side, ring in _LIDS.items():
        members = np.flatnonzero(roles == f"eye_{side}")
        if len(members) < 8:
            continue
        width = float(np.ptp(landmarks[ring][:, 0]))
        centre, radius = _ball(points[members])
        wild = np.linalg.norm(centre - points[members].mean(axis=0)) > width
        if wild or not 0.3 * width < radius < 1.6 * width:
            # A shell rather than a ball: taken to be as deep as it is wide.
            low, high = points[members].min(axis=0), points[members].max(axis=0)
            radius = float(max(high[0] - low[0], high[2] - low[2]) / 2)
            centre = np.array([(low[0] + high[0]) / 2, low[1] + radius, (low[2] + high[2]) / 2])
        eyes.append(Eye(side, centre, radius, members))
    return eyes


def _ball(points: Float64[np.ndarray, "N 3"]) -> tuple[Float64[np.ndarray, " 3"], float]:
    """Centre and radius of the least-squares sphere."""
    middle = points.mean(axis=0)
    away = points - middle
    system = np.column_stack([2 * away, np.ones(len(away))])
    solution = np.linalg.lstsq(system, (away**2).sum(axis=1), rcond=1e-6)[0]
    return middle + solution[:3], float(np.sqrt(max(solution[3] + solution[:3] @ solution[:3], 0)))


def eye_looks(
    eye: Eye, points: Float64[np.ndarray, "N 3"]
) -> dict[str, Float64[np.ndarray, "N 3"]]:
    """Offsets of points of an eye by shape name: rotations about its centre."""
    away = points - eye.centre
    outward = 1.0 if eye.side == "left" else -1.0
    turns = {
        "Up": _turn(0, -LOOK["Up"]),
        "Down": _turn(0, LOOK["Down"]),
        "Out": _turn(2, outward * LOOK["Out"]),
        "In": _turn(2, -outward * LOOK["In"]),
    }
    name = eye.side.capitalize()
    return {f"eyeLook{look}{name}": away @ turn.T - away for look, turn in turns.items()}


def _turn(axis: int, degrees: float) -> Float64[np.ndarray, "3 3"]:
    """The rotation about +X (0) or +Z (2) by the right-hand rule."""
    a = np.radians(degrees)
    c, s = np.cos(a), np.sin(a)
    if axis == 0:
        return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def jaw_motions(
    points: Float64[np.ndarray, "N 3"], landmarks: Float64[np.ndarray, "468 3"], scale: float
) -> dict[str, Float64[np.ndarray, "N 3"]]:
    """The full motion of points that move rigidly with the jaw, by shape name."""
    hinge = hinge_point(landmarks)
    return {
        name: jaw_motion(muscle.jaw, points, hinge, scale)
        for name, muscle in load_table().muscles.items()
        if muscle.jaw is not None
    }


def mouth_part(
    points: Float64[np.ndarray, "N 3"],
    role: str,
    landmarks: Float64[np.ndarray, "468 3"],
    scale: float,
) -> dict[str, Float64[np.ndarray, "N 3"]]:
    """Offsets of lower teeth, a tongue, or a mouth in one part, by shape name."""
    share = np.full(len(points), _TONGUE_JAW if role == "tongue" else 1.0)
    if role == "mouth":
        height = (points[:, 2] - landmarks[list(LIP_EDGES), 2].mean()) / scale
        t = np.clip((_UPPER_JAW - height) / (_UPPER_JAW - _LOWER_JAW), 0.0, 1.0)
        share = t * t * (3.0 - 2.0 * t)
    motions = jaw_motions(points, landmarks, scale)
    shapes = {name: share[:, None] * motion for name, motion in motions.items()}
    if role == "tongue":
        tip, root = points[:, 1].min(), points[:, 1].max()
        forward = (1.0 - (points[:, 1] - tip) / max(root - tip, 1e-9)) ** 1.3
        out = np.zeros_like(points)
        # Far enough to show in front of the lips, wherever the tongue rests.
        lips = float(landmarks[list(LIP_EDGES), 1].mean())
        reach = max(TONGUE_REACH * scale, tip - lips + 0.018 * scale)
        out[:, 1] = -reach * forward
        out[:, 2] = (0.0065 * np.sin(np.pi * forward) - 0.0015 * forward) * scale
        shapes["tongueOut"] = out
    return shapes


def skin_share(
    points: Float64[np.ndarray, "N 3"], skin: Float64[np.ndarray, "K 3"], role: str, scale: float
) -> tuple[csr_matrix, bool]:
    """How a loose part's points follow the skin: sparse weights [N,K], and whether they do."""
    count = min(_SKIN_AROUND, len(skin))
    away, nearest = cKDTree(skin).query(points, k=count)
    away, nearest = away.reshape(len(points), count), nearest.reshape(len(points), count)
    near = away[:, 0] / scale
    if role in ("lashes", "brows"):
        share = np.ones(len(points))
    elif np.mean(near < _NEAR_SKIN) < 0.6 or role == "hair":
        return csr_matrix((len(points), len(skin))), False
    else:
        share = fade(near, _BEYOND_SKIN, _NEAR_SKIN)
    weight = np.exp(-(((away - away[:, :1]) / (_SKIN_BLUR * scale)) ** 2))
    weight *= (share / weight.sum(axis=1))[:, None]
    row = np.repeat(np.arange(len(points)), count)
    return csr_matrix(
        (weight.reshape(-1), (row, nearest.reshape(-1))), shape=(len(points), len(skin))
    ), True


def apply_by_name(
    shapes: Float32[np.ndarray, "S P 3"],
    rows: Int64[np.ndarray, " N"],
    offsets: dict[str, Float64[np.ndarray, "N 3"]],
) -> None:
    """Write offsets by shape name into the `rows` of `shapes`, in place."""
    for name, offset in offsets.items():
        shapes[INDEX[name], rows] = offset
