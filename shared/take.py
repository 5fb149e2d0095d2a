# SPDX-License-Identifier: GPL-3.0-or-later
"""Take: one performance over time. Immutable; every edit makes a new one.

Time is `frame / fps`; frame 0 is the first audio sample. Units are seconds, metres and radians
in Blender's axes (+Z up, the face looks along -Y, the character's left is +X).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .arkit import ARKIT_NAMES
from .arrays import (
    Arrays,
    checked_floats,
    checked_triangles,
    count_of,
    json_text,
    pack_json,
    save_npz,
    unpack_json,
)
from .errors import ErrorKind, VividKeysError
from .npz import load_npz, unusable_file

if TYPE_CHECKING:
    from jaxtyping import Float32, Int32

NATIVE_FPS = 60.0
# The key of `meta` under which a Take records how its eyes were generated (see `redrawn_eyes`).
EYES_NOTE = "eyes"
_WEIGHT_TOLERANCE = 1e-4


def _no_offset_weights() -> Float32[np.ndarray, "0 0"]:
    return np.zeros((0, 0), np.float32)


def _no_offset_basis() -> Float32[np.ndarray, "0 0 3"]:
    return np.zeros((0, 0, 3), np.float32)


@dataclass(frozen=True, eq=False)
class Take:
    """T frames of a face, and the face they were made for.

    weights           in 0..1, in the order of `ARKIT_NAMES`
    head_rotation     Euler XYZ in radians (x pitch, y roll, z yaw)
    head_translation  metres
    neutral           metres; the vertices of the face at rest
    offset_basis      metres; the vertex offset of frame t is the sum over k of
                      offset_weights[t,k] * offset_basis[k]
    meta              JSON values: sha256 of the audio, seed, settings, model names and versions

    Raises VividKeysError(bad_array) when an array does not fit.
    """

    fps: float
    weights: Float32[np.ndarray, "T 52"]
    head_rotation: Float32[np.ndarray, "T 3"]
    head_translation: Float32[np.ndarray, "T 3"]
    neutral: Float32[np.ndarray, "V 3"]
    triangles: Int32[np.ndarray, "F 3"]
    offset_basis: Float32[np.ndarray, "K V 3"] = field(default_factory=_no_offset_basis)
    offset_weights: Float32[np.ndarray, "T K"] = field(default_factory=_no_offset_weights)
    meta: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (np.isfinite(self.fps) and 1.0 <= self.fps <= 1000.0):
            raise VividKeysError(
                ErrorKind.BAD_ARRAY, f"A frame rate of {self.fps} is not between 1 and 1000."
            )
        weights = checked_floats("weights", self.weights, (None, len(ARKIT_NAMES)))
        frames = len(weights)
        if frames == 0:
            raise VividKeysError(ErrorKind.BAD_ARRAY, "A Take needs at least one frame.")
        if weights.min() < -_WEIGHT_TOLERANCE or weights.max() > 1 + _WEIGHT_TOLERANCE:
            raise VividKeysError(ErrorKind.BAD_ARRAY, "Blendshape weights must lie in 0..1.")
        neutral = checked_floats("neutral", self.neutral, (None, 3))
        vertices = len(neutral)
        basis_count = count_of("offset_basis", self.offset_basis)
        basis = self.offset_basis if basis_count else np.zeros((0, vertices, 3), np.float32)
        basis_weights = self.offset_weights if basis_count else np.zeros((frames, 0), np.float32)
        for name, value in (
            ("fps", float(self.fps)),
            ("weights", weights),
            ("head_rotation", checked_floats("head_rotation", self.head_rotation, (frames, 3))),
            (
                "head_translation",
                checked_floats("head_translation", self.head_translation, (frames, 3)),
            ),
            ("neutral", neutral),
            ("triangles", checked_triangles("triangles", self.triangles, vertices)),
            ("offset_basis", checked_floats("offset_basis", basis, (None, vertices, 3))),
            (
                "offset_weights",
                checked_floats("offset_weights", basis_weights, (frames, basis_count)),
            ),
        ):
            object.__setattr__(self, name, value)

    @property
    def frame_count(self) -> int:
        return len(self.weights)

    @property
    def duration(self) -> float:
        """Seconds: frame count / fps."""
        return self.frame_count / self.fps

    def offsets(self, frame: int) -> Float32[np.ndarray, "V 3"]:
        """The vertex offsets of one frame, in metres."""
        moved = np.tensordot(self.offset_weights[frame], self.offset_basis, axes=1)
        return np.asarray(moved, np.float32)


def slice_take(take: Take, start: int, stop: int) -> Take:
    """Frames start..stop-1 as a separate Take; its frame 0 is frame `start` of this one."""
    weights = take.weights[start:stop]
    return replace(
        take,
        weights=weights,
        meta=_sliced_meta(take, range(take.frame_count)[start:stop]),
        head_rotation=take.head_rotation[start:stop],
        head_translation=take.head_translation[start:stop],
        offset_weights=take.offset_weights[start:stop],
    )


def _sliced_meta(take: Take, kept: range) -> dict[str, Any]:
    """The `meta` of a Take of which only the frames `kept` are left."""
    note = take.meta.get(EYES_NOTE)
    if not isinstance(note, dict) or note.get("fps") != take.fps or not len(kept):
        return {key: value for key, value in take.meta.items() if key != EYES_NOTE}
    first = note.get("first")
    start = (first if isinstance(first, int) else 0) + kept.start
    return {**take.meta, EYES_NOTE: {**note, "first": start, "frames": len(kept)}}


def resample_take(take: Take, fps: float) -> Take:
    """The same performance at another frame rate, by linear interpolation in time.

    Frame k of the result shows time k / fps of the source; the last one is not later than the
    source's last frame. There is no low-pass filter: it would open closed lips.
    """
    if fps == take.fps:
        return take
    if not (np.isfinite(fps) and fps > 0):
        raise VividKeysError(ErrorKind.BAD_REQUEST, f"A frame rate of {fps} cannot be used.")

    def blend(curves: Float32[np.ndarray, "T N"]) -> Float32[np.ndarray, "T2 N"]:
        return resampled_curves(curves, take.fps, fps)

    note = take.meta.get(EYES_NOTE)
    # Eyes that were resampled twice cannot be separated from the curves any more.
    known = isinstance(note, dict) and note.get("fps") == take.fps
    meta = {key: value for key, value in take.meta.items() if known or key != EYES_NOTE}
    return replace(
        take,
        fps=fps,
        meta=meta,
        weights=blend(take.weights),
        head_rotation=blend(take.head_rotation),
        head_translation=blend(take.head_translation),
        offset_weights=blend(take.offset_weights),
    )


def resampled_curves(
    curves: Float32[np.ndarray, "T N"], fps: float, wanted: float
) -> Float32[np.ndarray, "T2 N"]:
    """Curves at `fps` frames per second, resampled to `wanted`; see `resample_take`."""
    last = len(curves) - 1
    # The small tolerance keeps the last frame when 1/60 and 1/30 coincide up to rounding.
    count = int(np.floor(last / fps * wanted + 1e-6)) + 1
    position = np.minimum(np.arange(count) * (fps / wanted), last)
    before = np.floor(position + 1e-9).astype(np.int64)
    after = np.minimum(before + 1, last)
    share = np.clip(position - before, 0.0, 1.0).astype(np.float32)[:, None]
    return np.asarray(curves[before] * (1 - share) + curves[after] * share, np.float32)


_ARRAYS = (
    "weights",
    "head_rotation",
    "head_translation",
    "neutral",
    "triangles",
    "offset_basis",
    "offset_weights",
)


def take_to_arrays(take: Take) -> Arrays:
    """Named arrays (float32, int32, float64, uint8) that hold the whole Take."""
    arrays: Arrays = {name: getattr(take, name) for name in _ARRAYS}
    arrays["fps"] = np.array([take.fps], np.float64)
    arrays["meta"] = pack_json(take.meta)
    return arrays


def take_from_arrays(arrays: Mapping[str, Any]) -> Take:
    """The Take in the arrays of `take_to_arrays`. Raises VividKeysError(bad_array)."""
    missing = sorted(({*_ARRAYS, "fps", "meta"}) - set(arrays))
    if missing:
        raise VividKeysError(ErrorKind.BAD_ARRAY, f"A Take lacks {', '.join(missing)}.")
    fps = np.asarray(arrays["fps"])
    if fps.size != 1 or fps.dtype.kind not in "fiu":
        raise VividKeysError(ErrorKind.BAD_ARRAY, "A Take's frame rate is one number.")
    return Take(
        fps=float(fps.reshape(-1)[0]),
        **{name: arrays[name] for name in _ARRAYS},
        meta=unpack_json("meta", arrays["meta"]),
    )


def save_take(take: Take, path: Path) -> None:
    """Write a *.take.npz that numpy reads without pickle: `float(z["fps"])`, and `meta` is JSON.

    Two arrays differ from those of `take_to_arrays`: `fps` is a number and `meta` a text, both of
    shape (). Older files have them as `take_to_arrays` does.
    """
    arrays = take_to_arrays(take)
    arrays["fps"] = arrays["fps"].reshape(())
    arrays["meta"] = json_text(arrays["meta"])
    arrays["names"] = np.array(ARKIT_NAMES)
    save_npz(path, arrays)


def load_take(path: Path) -> Take:
    """Read a *.take.npz; raises VividKeysError(bad_file or too_large)."""
    arrays = load_npz(path, "a Take")
    named = arrays.get("names", np.zeros(0))
    names = [str(name) for name in named] if named.shape == (len(ARKIT_NAMES),) else []
    if sorted(names) != sorted(ARKIT_NAMES):
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"'{path.name}' does not name the 52 ARKit blendshapes.",
            "Choose a *.take.npz made by VividKeys.",
        )
    order = [names.index(name) for name in ARKIT_NAMES]
    weights = np.asarray(arrays.get("weights"))
    if weights.ndim == 2 and weights.shape[1] == len(order):
        arrays["weights"] = weights[:, order]
    try:
        return take_from_arrays(arrays)
    except VividKeysError as error:
        raise unusable_file(path, error) from error
