# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes in the formats of other programs: Live Link Face CSV and Audio2Face JSON.

Live Link Face: one row per frame, timecode `HH:MM:SS:FF.mmm` at the file's frame rate, 52 weights
in PascalCase, then nine angles in radians. The signs of the head angles are a Take's: pitch up,
yaw and roll to the character's left are as in `head_rotation`. Files with degrees, or with fewer
columns, are read as well.

Audio2Face: `exportFps`, `facsNames`, `weightMat` and, where present, `rotations` and
`translations`, one row per frame.
"""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import checks
from .arkit import ARKIT_NAMES, INDEX
from .disk_errors import told_of_the_disk
from .errors import ErrorKind, VividKeysError
from .strict_json import parse_json
from .take import Take
from .whole_files import write_whole

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

# The Live Link Face app lists these two pairs right before left.
_SWAPPED = {
    "jawLeft": "jawRight",
    "jawRight": "jawLeft",
    "mouthLeft": "mouthRight",
    "mouthRight": "mouthLeft",
}
_CSV_SHAPES = tuple(_SWAPPED.get(name, name) for name in ARKIT_NAMES)
_HEAD_ANGLES = ("HeadYaw", "HeadPitch", "HeadRoll")
_EYE_ANGLES = tuple(
    f"{side}Eye{axis}" for side in ("Left", "Right") for axis in ("Yaw", "Pitch", "Roll")
)
# An eyeLook shape at full weight turns an eye by about this much.
_FULL_LOOK = math.radians(30.0)
# A head cannot turn further than this in radians; a file with larger angles holds degrees.
_LARGEST_ANGLE = math.pi


def _pascal(name: str) -> str:
    return name[0].upper() + name[1:]


def take_to_livelink_csv(take: Take) -> str:
    """The text of a Live Link Face CSV at the Take's own frame rate."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["Timecode", "BlendShapeCount", *map(_pascal, _CSV_SHAPES), *_HEAD_ANGLES, *_EYE_ANGLES]
    )
    order = [INDEX[name] for name in _CSV_SHAPES]
    pitch, roll, yaw = take.head_rotation.T
    angles = np.column_stack([yaw, pitch, roll, _eye_angles(take.weights)])
    for frame, (weights, turned) in enumerate(zip(take.weights[:, order], angles, strict=True)):
        values = [f"{value:.6f}" for value in (*weights, *turned)]
        writer.writerow([_timecode(frame, take.fps), len(values), *values])
    return text.getvalue()


def _eye_angles(weights: Float32[np.ndarray, "T 52"]) -> Float32[np.ndarray, "T 6"]:
    """Yaw, pitch, roll of the left, then of the right eye, in radians, from the look shapes."""

    def look(direction: str, side: str) -> NDArray[np.float32]:
        return weights[:, INDEX[f"eyeLook{direction}{side}"]]

    columns = []
    for side, to_the_left in (("Left", ("Out", "In")), ("Right", ("In", "Out"))):
        yaw = look(to_the_left[0], side) - look(to_the_left[1], side)
        pitch = look("Up", side) - look("Down", side)
        columns += [yaw * _FULL_LOOK, pitch * _FULL_LOOK, np.zeros_like(yaw)]
    return np.column_stack(columns)


def _timecode(frame: int, fps: float) -> str:
    """`HH:MM:SS:FF.mmm`: FF counts frames within the second, mmm thousandths of a frame."""
    seconds = int(frame / fps + 1e-9)
    within = max(frame - seconds * fps, 0.0)
    whole = int(within + 1e-6)
    part = min(int((within - whole) * 1000 + 0.5), 999) if within > whole else 0
    hours, rest = divmod(seconds, 3600)
    return f"{hours:02d}:{rest // 60:02d}:{rest % 60:02d}:{whole:02d}.{part:03d}"


def take_from_livelink_csv(
    text: str, fps: float, neutral: Float[np.ndarray, "V 3"], triangles: Any
) -> Take:
    """A Take from a Live Link Face CSV recorded at `fps`, for the face `neutral`, `triangles`.

    Columns are found by name; case and order do not matter, and missing ones are zero.
    Raises VividKeysError(bad_file).
    """
    try:
        rows = [row for row in csv.reader(io.StringIO(text.lstrip("\ufeff"))) if row]
    except csv.Error as error:
        raise _not("a Live Link Face recording") from error
    if len(rows) < 2:
        raise _not("a Live Link Face recording")
    column = {title.strip().lower(): number for number, title in enumerate(rows[0])}
    if not any(name.lower() in column for name in ARKIT_NAMES):
        raise _not("a Live Link Face recording")

    def values(title: str) -> NDArray[np.float32]:
        number = column.get(title.lower())
        if number is None:
            return np.zeros(len(rows) - 1, np.float32)
        try:
            found = _as_floats([float(row[number]) for row in rows[1:]])
        except (ValueError, IndexError, OverflowError) as error:
            raise _not("a Live Link Face recording") from error
        if not np.isfinite(found).all():
            raise _not("a Live Link Face recording")
        return found

    weights = np.clip(np.column_stack([values(name) for name in ARKIT_NAMES]), 0, 1)
    yaw, pitch, roll = (values(name) for name in _HEAD_ANGLES)
    rotation = np.column_stack([pitch, roll, yaw])
    if np.abs(rotation).max() > _LARGEST_ANGLE:
        rotation = np.radians(rotation)
    return Take(
        fps=fps,
        weights=weights,
        head_rotation=rotation,
        head_translation=np.zeros_like(rotation),
        neutral=neutral,
        triangles=triangles,
        meta={"source": "Live Link Face CSV"},
    )


def _as_floats(values: Any) -> NDArray[np.float32]:
    """Numbers as float32; those that are too large become infinite, which the callers refuse."""
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float64).astype(np.float32)


def take_to_audio2face_json(take: Take) -> str:
    """The text of an Audio2Face blendshape file."""
    return json.dumps(
        {
            "exportFps": take.fps,
            "trackPath": "",
            "numPoses": len(ARKIT_NAMES),
            "numFrames": take.frame_count,
            "facsNames": list(ARKIT_NAMES),
            "weightMat": np.round(take.weights.astype(float), 6).tolist(),
            "joints": ["head"],
            "rotations": np.round(take.head_rotation.astype(float), 6)[:, None].tolist(),
            "translations": np.round(take.head_translation.astype(float), 6)[:, None].tolist(),
        },
        allow_nan=False,
    )


def take_from_audio2face_json(text: str, neutral: Float[np.ndarray, "V 3"], triangles: Any) -> Take:
    """A Take from an Audio2Face blendshape file. Raises VividKeysError(bad_file)."""
    try:
        data = parse_json(text.removeprefix("\ufeff"), deepest=None, duplicates=True)
        if not isinstance(data, dict) or not isinstance(data.get("facsNames"), list):
            raise ValueError("it is not a table of shapes")
        fps = checks.number(1.0, 1000.0)(data.get("exportFps"))
        names = [name.lower() for name in map(checks.text(200), data["facsNames"])]
        if not any(name.lower() in names for name in ARKIT_NAMES):
            raise ValueError("it has no ARKit shape")
        matrix = _rows(data.get("weightMat"))
        if matrix.ndim != 2 or not len(matrix) or matrix.shape[1] != len(names):
            raise ValueError("weightMat does not fit facsNames")
        rotation = _one_joint(data.get("rotations"), len(matrix))
        translation = _one_joint(data.get("translations"), len(matrix))
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _not("an Audio2Face blendshape file") from error
    weights = np.zeros((len(matrix), len(ARKIT_NAMES)), np.float32)
    for position, name in enumerate(ARKIT_NAMES):
        if name.lower() in names:
            weights[:, position] = matrix[:, names.index(name.lower())]
    return Take(
        fps=fps,
        weights=np.clip(weights, 0, 1),
        head_rotation=rotation,
        head_translation=translation,
        neutral=neutral,
        triangles=triangles,
        meta={"source": "Audio2Face JSON"},
    )


def _rows(rows: Any) -> NDArray[np.float32]:
    """Lists of lists of numbers as float32; ValueError or TypeError for anything else."""
    # Converting to float directly would also accept numbers in texts.
    values = np.asarray(rows)
    if values.size and values.dtype.kind not in "iuf":
        raise ValueError("a row holds something other than numbers")
    floats = _as_floats(values)
    if not np.isfinite(floats).all():
        raise ValueError("a number is too large")
    return floats


def _one_joint(rows: Any, frames: int) -> Float32[np.ndarray, "T 3"]:
    """The only joint's triple of every frame; zero when the file has none that fits."""
    values = _rows(rows or [])
    if values.ndim == 3 and values.shape[0] == frames and values.shape[1:] == (1, 3):
        return values[:, 0]
    return np.zeros((frames, 3), np.float32)


def _not(what: str) -> VividKeysError:
    return VividKeysError(
        ErrorKind.BAD_FILE, f"This is not {what}, or it is damaged.", "Export it again."
    )


def save_livelink_csv(take: Take, path: Path) -> None:
    """Write a Live Link Face CSV, all or nothing."""
    with told_of_the_disk(path):
        write_whole(path, take_to_livelink_csv(take))


def save_audio2face_json(take: Take, path: Path) -> None:
    """Write an Audio2Face blendshape file, all or nothing."""
    with told_of_the_disk(path):
        write_whole(path, take_to_audio2face_json(take))
