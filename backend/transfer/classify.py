# SPDX-License-Identifier: GPL-3.0-or-later
"""What each connected part of a character is: face, eye, teeth, tongue, lashes, hair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from shared.character import Character
from shared.landmarks import (
    CHIN,
    LEFT_LID_LOWER,
    LEFT_LID_UPPER,
    LIP_CORNERS,
    LIP_EDGES,
    RIGHT_LID_LOWER,
    RIGHT_LID_UPPER,
    UNDER_NOSE,
    UPPER_LIP_EDGE,
)

from .find_landmarks import FaceLandmarks
from .head_parts import Parts, take_apart

_BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
_NAMED = {"lashes", "brows", "hair", "other", "tongue", "upper_teeth", "lower_teeth"}


@dataclass(frozen=True, eq=False)
class Component:
    """Connected vertices, in rising order, and what they are.

    The role is face, eye_left, eye_right, upper_teeth, lower_teeth, tongue, mouth (one part that
    belongs to both jaws, e.g. gums and tongue in one), lashes, brows, hair or other.
    """

    vertices: Int64[np.ndarray, " N"]
    role: str


@dataclass(frozen=True, eq=False)
class _Box:
    """A component's bounding box and its points, in the template's frame (metres)."""

    middle: Float64[np.ndarray, " 3"]
    size: Float64[np.ndarray, " 3"]
    points: Float64[np.ndarray, "N 3"]


def component_roles(character: Character, landmarks: FaceLandmarks) -> list[Component]:
    """All connected parts of a character, largest first; vertices without faces belong to none.

    The name of a piece decides first (never that of piece 0), then position and shape.
    """
    parts = take_apart(character)
    frontal = landmarks.to_frontal.apply(character.vertices.astype(np.float64))
    points = landmarks.to_frontal.apply(landmarks.places)
    face = _face_component(character, parts, landmarks)
    order = np.argsort(parts.label, kind="stable")
    order = order[np.searchsorted(parts.label[order], 0) :]
    members = np.split(order, np.cumsum(parts.sizes)[:-1])
    found: list[str] = []
    for number, rows in enumerate(members):
        name = parts.roles[number]
        if number == face:
            found.append("face")
        elif name in _NAMED:
            found.append(name)
        else:
            place = frontal[rows]
            low, high = place.min(axis=0), place.max(axis=0)
            box = _Box((low + high) / 2, high - low, place)
            found.append(_role(box, points, name, number in parts.balls))
    found = _split_teeth(found, members, frontal, points)
    return [Component(rows, role) for rows, role in zip(members, found, strict=True)]


def _face_component(character: Character, parts: Parts, landmarks: FaceLandmarks) -> int:
    """The component to which most landmarks belong."""
    used = np.flatnonzero(parts.label >= 0)
    _, near = cKDTree(character.vertices[used]).query(landmarks.places)
    return int(np.bincount(parts.label[used[near]]).argmax())


def _role(box: _Box, points: Float64[np.ndarray, "468 3"], name: str, is_ball: bool) -> str:
    for side, rings in (
        ("eye_right", (RIGHT_LID_UPPER, RIGHT_LID_LOWER)),
        ("eye_left", (LEFT_LID_UPPER, LEFT_LID_LOWER)),
    ):
        role = _at_eye(box, points, [*rings[0], *rings[1]], side, name, is_ball)
        if role:
            return role
    if _in_mouth(box, points) or name == "teeth":
        return "teeth" if name == "teeth" else _mouth_part(box, points)
    return _at_brows(box, points) or "other"


def _at_eye(
    box: _Box,
    points: Float64[np.ndarray, "468 3"],
    ring: list[int],
    side: str,
    name: str,
    is_ball: bool,
) -> str:
    """The role of a part at one eye: `side`, lashes or brows; "" for a part elsewhere."""
    lids = points[ring]
    width = float(np.ptp(lids[:, 0]))
    middle = lids.mean(axis=0)
    off = np.abs(box.middle - middle) / width
    if off[0] > 0.7 or off[2] > 0.7 or off[1] > 1.3 or box.size.max() > 2.6 * width:
        return ""
    behind = (box.middle[1] - float(np.median(lids[:, 1]))) / width
    across, high = box.size[0], max(float(box.size[2]), 1e-9)
    disc = 0.67 < across / high < 1.5 and across < 0.8 * width
    if is_ball or name == "eye" or behind > 0.3 or (disc and off[2] < 0.25):
        return side
    if box.middle[2] - middle[2] > 0.45 * width:
        return "brows"
    return "lashes"


def _at_brows(box: _Box, points: Float64[np.ndarray, "468 3"]) -> str:
    brows = points[list(_BROWS)]
    low, high = brows.min(axis=0), brows.max(axis=0)
    room = 0.35 * (high[0] - low[0]) * np.array([0.3, 0.3, 0.2])
    inside = ((box.middle > low - room) & (box.middle < high + room)).all()
    return "brows" if inside and box.size[2] < 0.5 * (high[0] - low[0]) else ""


def _mouth_frame(points: Float64[np.ndarray, "468 3"]) -> tuple[Float64[np.ndarray, " 3"], float]:
    """The middle of the lip line, and the mouth's width."""
    corners = points[list(LIP_CORNERS)]
    return points[list(LIP_EDGES)].mean(axis=0), float(np.linalg.norm(corners[1] - corners[0]))


def _in_mouth(box: _Box, points: Float64[np.ndarray, "468 3"]) -> bool:
    middle, width = _mouth_frame(points)
    high = points[UNDER_NOSE, 2] + 0.1 * width
    low = points[CHIN, 2]
    return bool(
        abs(box.middle[0] - middle[0]) < 0.75 * width
        and low < box.middle[2] < high
        and -0.05 * width < box.middle[1] - points[UPPER_LIP_EDGE, 1] < 2.2 * width
        and box.size[0] < 1.7 * width
    )


def _mouth_part(box: _Box, points: Float64[np.ndarray, "468 3"]) -> str:
    """teeth, tongue or mouth."""
    middle, width = _mouth_frame(points)
    low, high = box.points[:, 2].min() - middle[2], box.points[:, 2].max() - middle[2]
    if box.size[0] > 0.5 * width and high > 0.2 * width and low < -0.2 * width:
        return "mouth"
    if box.size[0] < 0.4 * width:
        return "teeth"
    # An arc of teeth or gum is hollow behind its front; a tongue is solid all the way back.
    from_front = (box.points[:, 1] - box.points[:, 1].min()) / max(float(box.size[1]), 1e-9)
    central = np.abs(box.points[:, 0] - box.middle[0]) < 0.22 * box.size[0]
    return "tongue" if (central & (from_front > 0.9)).mean() > 0.01 else "teeth"


def _split_teeth(
    roles: list[str],
    members: list[NDArray[np.int64]],
    frontal: Float64[np.ndarray, "V 3"],
    points: Float64[np.ndarray, "468 3"],
) -> list[str]:
    """Tell upper from lower teeth by the middle of all the teeth, or by the lip line."""
    height = {
        number: float(frontal[rows, 2].mean())
        for number, (rows, role) in enumerate(zip(members, roles, strict=True))
        if role == "teeth"
    }
    if not height:
        return roles
    middle, width = _mouth_frame(points)
    line = float(middle[2])
    if max(height.values()) - min(height.values()) > 0.1 * width:
        line = (max(height.values()) + min(height.values())) / 2
    return [
        ("upper_teeth" if height[number] > line else "lower_teeth") if number in height else role
        for number, role in enumerate(roles)
    ]
