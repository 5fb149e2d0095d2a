# SPDX-License-Identifier: GPL-3.0-or-later
"""Contact sheet: a face at rest, turned, in all 52 shapes and in important combinations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image, ImageDraw

from shared.arkit import ARKIT_NAMES, INDEX
from shared.face import FaceMesh
from shared.performance.style import MOODS, mood_table

from .draw import draw_face

Pose = dict[str, float]


def _both(stem: str, weight: float) -> Pose:
    return {stem + "Left": weight, stem + "Right": weight}


# What a face has to do in speech, by sound, and other common poses.
COMBINATIONS: dict[str, Pose] = {
    "rest": {},
    "ah": {"jawOpen": 0.6, **_both("mouthLowerDown", 0.2)},
    "jawOpen + mouthClose": {"jawOpen": 0.35, "mouthClose": 0.35},
    "p b m": {"jawOpen": 0.12, "mouthClose": 0.12, **_both("mouthPress", 0.5)},
    "f v": {"jawOpen": 0.08, "mouthRollLower": 0.55, **_both("mouthUpperUp", 0.3)},
    "oo": {"mouthPucker": 0.8, "jawOpen": 0.08},
    "oh": {"mouthFunnel": 0.6, "jawOpen": 0.25},
    "jawOpen + mouthFunnel": {"jawOpen": 0.5, "mouthFunnel": 1.0},
    "jawOpen + mouthPucker": {"jawOpen": 0.5, "mouthPucker": 1.0},
    "sh": {"mouthFunnel": 0.4, "mouthPucker": 0.3, "jawOpen": 0.1},
    "ee": {"jawOpen": 0.15, **_both("mouthStretch", 0.4), **_both("mouthSmile", 0.25)},
    "th": {"jawOpen": 0.2, "tongueOut": 0.4, **_both("mouthLowerDown", 0.2)},
    "smile": {**_both("mouthSmile", 0.8), **_both("cheekSquint", 0.4)},
    "smile, teeth": {**_both("mouthSmile", 0.7), **_both("mouthUpperUp", 0.5),
                     **_both("mouthLowerDown", 0.4)},
    "blink": _both("eyeBlink", 1.0),
    "half blink": _both("eyeBlink", 0.5),
    "blink + squint": {**_both("eyeBlink", 1.0), **_both("eyeSquint", 1.0)},
    "blink, looking down": {**_both("eyeBlink", 1.0), **_both("eyeLookDown", 0.5)},
    "look left": {"eyeLookOutLeft": 0.8, "eyeLookInRight": 0.8},
    "look up": {**_both("eyeLookUp", 0.8), "browInnerUp": 0.4},
    "look down": _both("eyeLookDown", 0.8),
    "tongue": {"jawOpen": 0.5, "tongueOut": 1.0},
}  # fmt: skip


def mood_pose(mood: str, strength: float = 0.7) -> Pose:
    """The weights that a mood adds to a face at rest."""
    pose: Pose = {}
    for name, amount in mood_table()[mood][0].items():
        value = amount * strength
        pose.update({name: value} if name in INDEX else _both(name, value))
    return pose


def pose_weights(pose: Pose) -> Float64[np.ndarray, " 52"]:
    """The ARKit weights of a pose that is given by names."""
    weights = np.zeros(len(ARKIT_NAMES))
    for name, value in pose.items():
        weights[INDEX[name]] = value
    return weights


def contact_sheet(
    face: FaceMesh, *, size: int = 256, columns: int = 8
) -> UInt8[np.ndarray, "H W 3"]:
    """All views in one picture: three sides, the combinations, then every shape alone."""
    tiles = [
        (label, draw_face(face, yaw=yaw, size=size))
        for label, yaw in (("front", 0), ("three quarters", 40), ("side", 88))
    ]
    poses = {**COMBINATIONS, **{mood: mood_pose(mood) for mood in MOODS}}
    for name in ARKIT_NAMES:
        # On its own mouthClose has no meaning: it closes what jawOpen opens.
        poses[name] = {name: 1.0, "jawOpen": 1.0} if name == "mouthClose" else {name: 1.0}
    tiles += [
        (label, draw_face(face, pose_weights(pose), size=size, view_height=0.19, centre_z=0.01))
        for label, pose in poses.items()
    ]
    return lay_out(tiles, columns)


def lay_out(
    tiles: list[tuple[str, UInt8[np.ndarray, "side side 3"]]], columns: int
) -> UInt8[np.ndarray, "H W 3"]:
    """Lay out labelled pictures of one size in rows."""
    size = tiles[0][1].shape[0]
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * size, rows * size))
    pen = ImageDraw.Draw(sheet)
    for index, (label, picture) in enumerate(tiles):
        corner = (index % columns * size, index // columns * size)
        sheet.paste(Image.fromarray(picture), corner)
        pen.text((corner[0] + 5, corner[1] + 4), label, fill=(240, 240, 240))
    return np.asarray(sheet, np.uint8)


def save_sheet(face: FaceMesh, path: Path) -> None:
    """Write the contact sheet as a picture file."""
    Image.fromarray(contact_sheet(face)).save(path)
