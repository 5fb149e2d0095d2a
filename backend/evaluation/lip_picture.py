# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture of the lips in several poses: weights alone against the driven mesh.

Each pose is drawn from the front and from the side.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw

from backend.audio_to_mesh.lip_motion import DrivenFace, driven_lips, face_of, linear_lips
from backend.face.lip_contact import lip_region
from backend.training.corpus.utterance import Phone
from backend.training.teacher.articulation import teach
from backend.training.teacher.driven_mesh import lesson_lips
from shared.arkit import INDEX
from shared.landmarks import (
    INNER_LIP_RING,
    LOWER_LIP,
    LOWER_LIP_EDGE,
    OUTER_LIP_RING,
    UNDER_NOSE,
    UPPER_LIP,
    UPPER_LIP_EDGE,
)
from shared.whole_files import written_whole

LINEAR, DRIVEN, TEETH = (90, 150, 255), (255, 140, 60), (210, 210, 200)
_CELL_WIDTH, _CELL_HEIGHT, _SIDE_WIDTH, _SCALE = 260, 290, 150, 4300.0
_PAPER, _INK = (24, 25, 28), (230, 230, 230)
# The profile in the middle: skin, red and inner edge of each lip, chin below.
_PROFILES = (
    (UNDER_NOSE, 164, UPPER_LIP, 11, 12, UPPER_LIP_EDGE),
    (LOWER_LIP_EDGE, 15, 16, LOWER_LIP, 18, 200),
)


@dataclass(frozen=True, eq=False)
class Pose:
    """A moment: displacement of the lips by weights alone and as they are driven, metres."""

    name: str
    linear: Float[np.ndarray, "L 3"]
    driven: Float[np.ndarray, "L 3"]


def _said(face: DrivenFace, name: str, text: str, wanted: int, place: float) -> Pose:
    """The moment `place` (0..1, or seconds after its end as 1 + s) of phone `wanted`."""
    phones = [Phone(0.0, 0.3, "sil")]
    for label in text.split():
        phones.append(Phone(phones[-1].end, phones[-1].end + 0.12, label))
    phones.append(Phone(phones[-1].end, phones[-1].end + 0.3, "sil"))
    chosen = phones[wanted + 1]
    lesson = teach(tuple(phones), np.full(round(phones[-1].end * 100) + 1, 60.0, np.float32))
    driven, linear = lesson_lips(face.lips, lesson)
    at = chosen.end + place - 1.0 if place > 1.0 else chosen.start + place * 0.12
    return Pose(name, linear[round(at * 100)], driven[round(at * 100)])


def poses(face: DrivenFace) -> list[Pose]:
    """The most telling moments."""
    held = np.zeros((1, 52), np.float32)
    held[0, INDEX["jawOpen"]] = held[0, INDEX["mouthClose"]] = 0.5
    ones, none = np.ones(1, np.float32), np.zeros(1, np.float32)
    sealed = driven_lips(face.lips, held, ones, none, 60.0, ones)[0]
    return [
        _said(face, "rest", "aa", -1, 0.2),
        Pose("p, jaw half open", linear_lips(face.lips, held)[0], sealed),
        _said(face, "p of apa", "aa p aa", 1, 0.5),
        _said(face, "m of ama", "aa m aa", 1, 0.5),
        _said(face, "f of afa", "aa f aa", 1, 0.5),
        _said(face, "w", "t w aa", 1, 0.5),
        _said(face, "aa", "t aa t", 1, 0.5),
        _said(face, "iy", "t iy t", 1, 0.5),
        _said(face, "40 ms after p", "aa p aa", 1, 1.04),
        _said(face, "60 ms after p", "aa p aa", 1, 1.06),
    ]


def _rings() -> list[list[int]]:
    return [
        list(OUTER_LIP_RING),
        list(INNER_LIP_RING),
    ]


def draw_poses(face: DrivenFace, chosen: list[Pose]) -> Image.Image:
    """All poses in rows of five."""
    columns = 5
    rows = -(-len(chosen) // columns)
    width = _CELL_WIDTH + _SIDE_WIDTH
    picture = Image.new("RGB", (columns * width, rows * _CELL_HEIGHT + 24), _PAPER)
    pen = ImageDraw.Draw(picture)
    pen.text((8, rows * _CELL_HEIGHT + 4), "weights alone", LINEAR)
    pen.text((120, rows * _CELL_HEIGHT + 4), "driven", DRIVEN)
    pen.text((190, rows * _CELL_HEIGHT + 4), "edge of the upper teeth", TEETH)
    for number, pose in enumerate(chosen):
        left, top = number % columns * width, number // columns * _CELL_HEIGHT
        pen.text((left + 8, top + 6), pose.name, _INK)
        _draw(pen, face, pose, left, top)
    return picture


def _draw(pen: ImageDraw.ImageDraw, face: DrivenFace, pose: Pose, left: int, top: int) -> None:
    middle = face.neutral[UPPER_LIP_EDGE]
    teeth = face.lips.under[face.lips.under.shape[0] // 2]
    for offsets, colour in ((pose.linear, LINEAR), (pose.driven, DRIVEN)):
        points = face.neutral.copy()
        points[lip_region()] += offsets
        away = (points - middle) * _SCALE
        front = np.stack([left + _CELL_WIDTH / 2 + away[:, 0], top + 105 - away[:, 2]], axis=1)
        side = np.stack([left + _CELL_WIDTH + 45 + away[:, 1], top + 105 - away[:, 2]], axis=1)
        for ring in _rings():
            line = [tuple(front[v]) for v in [*ring, ring[0]]]
            pen.line(line, colour, 1)
            for x, y in line:
                pen.ellipse((x - 1.6, y - 1.6, x + 1.6, y + 1.6), fill=colour)
        for profile in _PROFILES:
            line = [tuple(side[v]) for v in profile]
            pen.line(line, colour, 1)
            for x, y in line:
                pen.ellipse((x - 1.6, y - 1.6, x + 1.6, y + 1.6), fill=colour)
    edge = (teeth - middle) * _SCALE
    x, y = left + _CELL_WIDTH + 45 + edge[1], top + 105 - edge[2]
    pen.rectangle((x, y - 30, x + 10, y - 2), outline=TEETH)


def save_picture(path: Path) -> None:
    """Draw the mean face's lips into a PNG."""
    face = face_of(np.zeros(8))
    with written_whole(path) as temporary:
        draw_poses(face, poses(face)).save(temporary, format="PNG")
