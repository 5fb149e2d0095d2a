# SPDX-License-Identifier: GPL-3.0-or-later
"""Generates the eyes of a finished Take again, without the voice.

A Take records under `meta["eyes"]` how its eyes were generated: seed, dials, phrase ends, and which
of the generated frames it holds. Their share of the curves is subtracted and generated again; what
the voice itself did to lids and cheeks stays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arkit import ARKIT_NAMES, INDEX
from ..take import EYES_NOTE, Take, resampled_curves
from .eyes import EyeProcess

if TYPE_CHECKING:
    from jaxtyping import Float32

_STRONGEST = 3.0
_PIECE, _MOST_FRAMES = 20_000, 10_000_000
_BLINKS = [INDEX[f"eyeBlink{side}"] for side in ("Left", "Right")]
_LOOKS = [INDEX[name] for name in ARKIT_NAMES if name.startswith("eyeLook")]
# Smaller weights are what rounding leaves after the eyes' share was subtracted.
_NOTHING = 2e-6


@dataclass(frozen=True)
class EyesNote:
    """How the eyes of a Take were generated: `frames` frames from `first` on at `fps`.

    `ends` are the phrase ends in seconds.
    """

    seed: int
    fps: float
    blinks: float
    gaze: float
    first: int
    frames: int
    ends: tuple[float, ...]

    def drawn(self) -> Float32[np.ndarray, "T 52"]:
        """The curves of the `frames` frames."""
        process = EyeProcess(self.fps, self.seed, self.blinks, self.gaze)
        parts = [process.push(np.array(self.ends, np.float64), 0.0)]
        # Frames before the first one are generated and discarded, piece by piece.
        for reached in range(_PIECE, self.first, _PIECE):
            process.finish(reached)
        process.finish(self.first)
        parts.append(process.finish(self.first + self.frames))
        return np.concatenate(parts)

    def as_meta(self) -> dict[str, Any]:
        """Plain values for `meta["eyes"]`."""
        return {**asdict(self), "ends": list(self.ends)}


def redrawn(take: Take, blinks: float, gaze: float) -> Take:
    """The same Take with eyes that blink `blinks` times as often and wander `gaze` times as far.

    1 and 1 return the Take itself; 0 removes that motion completely. If a Take does not record how
    its eyes were generated (another program made it), 0 still removes blinks or gaze, the gaze is
    scaled, and the blinks stay as they are for any other number.
    """
    if blinks == 1.0 and gaze == 1.0:
        return take
    note = _note_of(take)
    weights = take.weights.copy()
    if note is None:
        if blinks == 0.0:
            weights[:, _BLINKS] = 0.0
        weights[:, _LOOKS] = np.minimum(weights[:, _LOOKS] * np.float32(gaze), 1.0)
        return replace(take, weights=weights)
    other = replace(
        note,
        blinks=min(note.blinks * blinks, _STRONGEST),
        gaze=min(note.gaze * gaze, _STRONGEST),
    )
    before, after = (_at_rate(each.drawn(), note.fps, take.fps) for each in (note, other))
    moved = np.flatnonzero(before.any(axis=0) | after.any(axis=0))
    plain = weights[:, moved] - before[:, moved]
    plain[np.abs(plain) < _NOTHING] = 0.0
    weights[:, moved] = np.clip(plain + after[:, moved], 0.0, 1.0)
    return replace(take, weights=weights, meta={**take.meta, EYES_NOTE: other.as_meta()})


def _at_rate(
    curves: Float32[np.ndarray, "T 52"], fps: float, wanted: float
) -> Float32[np.ndarray, "T2 52"]:
    return curves if fps == wanted else resampled_curves(curves, fps, wanted)


def _note_of(take: Take) -> EyesNote | None:
    """The Take's record of its eyes, None where there is none or it does not fit the Take."""
    note = take.meta.get(EYES_NOTE)
    if not isinstance(note, Mapping) or set(note) != set(EyesNote.__dataclass_fields__):
        return None
    ends = note["ends"]
    if not isinstance(ends, Sequence) or isinstance(ends, str):
        return None
    numbers = [note["fps"], note["blinks"], note["gaze"], *ends]
    counts = [note["seed"], note["first"], note["frames"]]
    if not all(type(n) in (int, float) and math.isfinite(n) for n in numbers):
        return None
    if not all(type(n) is int for n in counts):
        return None
    found = EyesNote(
        note["seed"],
        float(note["fps"]),
        float(note["blinks"]),
        float(note["gaze"]),
        note["first"],
        note["frames"],
        tuple(sorted(float(end) for end in ends)),
    )
    sane = (
        0.0 < found.fps <= 1000.0
        and 0.0 <= found.blinks <= _STRONGEST
        and 0.0 <= found.gaze <= _STRONGEST
        and 0 <= found.first <= _MOST_FRAMES - found.frames
        and found.frames > 0
    )
    # The record fits only a Take of this length; any other length could cost unbounded time.
    if not sane or _length_at(found.frames, found.fps, take.fps) != take.frame_count:
        return None
    return found


def _length_at(frames: int, fps: float, wanted: float) -> int:
    return frames if fps == wanted else int(np.floor((frames - 1) / fps * wanted + 1e-6)) + 1
