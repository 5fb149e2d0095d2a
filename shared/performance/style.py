# SPDX-License-Identifier: GPL-3.0-or-later
"""Style dials on finished curves: amplitude, smile, asymmetry and moods, without the networks.

A pure function of the curves, so that a dial can be turned again and again on the same Take, in
the backend and inside Blender alike. Whatever the dials are, lips that meet still meet and a
tucked lip stays tucked. `moods.json` says which muscles a mood moves (facial actions by their
FACS numbers); the activity of the mouth decides when.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arkit import ARKIT_NAMES, BROWS, INDEX, JAW, LEFT_RIGHT_PAIRS, MOUTH, TONGUE
from ..errors import ErrorKind, VividKeysError
from ..lips import APERTURE, CLOSED, PARTING, aperture, columns, usual_opening, weighted
from ..style_dials import MOODS, RANGES, StyleDials, dials_from
from ..take import Take
from .redrawn_eyes import redrawn

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

__all__ = [
    "MOODS",
    "RANGES",
    "StyleDials",
    "activity",
    "dials_from",
    "mood_table",
    "offset_gain",
    "restyle",
    "restyle_take",
]

_ARTICULATED = tuple(INDEX[name] for name in MOUTH + JAW + TONGUE)
_JAW = tuple(INDEX[name] for name in (*JAW, "mouthClose"))
_EXPRESSION = tuple(
    INDEX[name]
    for name in ARKIT_NAMES
    if name in BROWS or name.startswith(("cheek", "noseSneer", "eyeSquint"))
)
_SIDED = tuple(
    (INDEX[left], INDEX[right])
    for left, right in LEFT_RIGHT_PAIRS
    if not left.startswith("eye") and left not in ("jawLeft", "mouthLeft")
)
# Shapes that free a lower lip that is tucked under the teeth.
_UNTUCKING = ("jawOpen", "mouthLowerDown", "mouthFunnel", "mouthPucker", "mouthShrugLower",
              "mouthPress")  # fmt: skip
_UNTUCKS = tuple(column for name in _UNTUCKING for column in columns(name))
# Dials that need the whole Take: its head motion, or eyes that are generated again.
_OF_TAKES = ("head_motion", "blinks", "gaze")
# Lips closer than this count as closed where openings are compared, in units of a full jawOpen.
_SLIT = np.float32(0.01)
_LOPSIDED = 0.6  # the weaker side keeps 1 minus this at full asymmetry
_SMILE, _SMILE_CHEEKS, _FROWN = 0.55, 0.2, 0.5
# A rounded mouth cannot smile or stretch at the same time; a wide open one cannot press.
_ROUND_LESS, _OPEN_LESS = 0.65, 0.8
_WIDENING = ("mouthSmile", "mouthStretch", "mouthDimple")
_CLOSING = ("mouthPress", "mouthShrugLower", "mouthRollLower")
# The share of a mood that remains in a pause.
_IN_PAUSES = 0.7
# A mood's parting of the lips fades out and in around a closure within about this time.
_PARTING_SECONDS = 0.07
# The percentile of the mouth's motion that counts as fully active.
_LIVELY = 70.0
# Three running means of this length rise within 300 ms and pass 4 % of a 3 Hz oscillation.
_MEAN_SECONDS = 0.24
_TUCK_BEGINS, _TUCK_FULL = 0.16, 0.32


def restyle_take(
    take: Take,
    dials: StyleDials,
    moods: Mapping[str, float | Float[np.ndarray, " ..."]] | None = None,
) -> Take:
    """The same performance with the dials applied; neutral dials return the Take itself.

    `moods` as in `restyle`. The dials that were turned are recorded in `meta["style"]`.
    """
    if dials.neutral and not moods:
        return take
    noted: dict[str, Any] = dials.turned()
    noted.update({name: "curve" for name in moods or {}})
    head = np.float32(dials.head_motion)
    gain = offset_gain(take.weights, dials)
    take = redrawn(take, dials.blinks, dials.gaze)
    return dataclasses.replace(
        take,
        weights=restyle(take.weights, take.fps, dials, moods),
        head_rotation=take.head_rotation * head,
        head_translation=take.head_translation * head,
        offset_weights=take.offset_weights * gain[:, None],
        meta={**take.meta, "style": noted},
    )


def offset_gain(
    weights: Float32[np.ndarray, "T 52"], dials: StyleDials
) -> Float32[np.ndarray, " T"]:
    """The factor on each frame's lip offsets, which scale with the amplitude of the mouth.

    `weights` are those before the dials. Offsets that hold closed lips together never grow, and
    moods do not change the offsets.
    """
    rows = np.ascontiguousarray(np.asarray(weights, np.float32).T)
    gap = aperture(rows)
    gain = np.full(len(gap), dials.articulation, np.float32)
    if dials.jaw != 1.0:
        # Offsets mostly close what the jaw has opened.
        _scale(rows, _JAW, dials.jaw)
        gain *= (aperture(rows) + _SLIT) / (gap + _SLIT)
    if len(gain) and gain.max() > 1.0:
        freedom = _freedom(gap, usual_opening(gap))
        gain = np.minimum(gain, 1.0) + freedom * np.maximum(gain - 1.0, 0.0)
    return np.asarray(gain, np.float32)


def restyle(
    weights: Float32[np.ndarray, "T 52"],
    fps: float,
    dials: StyleDials,
    moods: Mapping[str, float | Float[np.ndarray, " ..."]] | None = None,
) -> Float32[np.ndarray, "T 52"]:
    """The curves with the dials applied, in 0..1; the input is not changed.

    `moods` gives moods that change over time: name to a number or a curve [T] in 0..1, in place
    of the dial of that name. Neutral dials return the input itself. Head motion, blinks and gaze
    belong to a whole Take: `restyle_take` applies them.
    """
    frames = len(weights)
    strengths = _strengths(dials, moods, frames)
    if frames == 0 or (not strengths and _of_curves(dials).neutral):
        return weights
    raw = np.ascontiguousarray(np.asarray(weights, np.float32).T)
    rows = raw.copy()
    gap = aperture(raw)
    usual = usual_opening(gap)
    _scale(rows, _ARTICULATED, dials.articulation)
    _scale(rows, _JAW, dials.jaw)
    _scale(rows, _EXPRESSION, dials.expressiveness)
    if strengths or dials.smile:
        gates = _Gates(raw, gap / np.float32(usual), fps)
        _bias_smile(rows, gates, dials.smile)
        if strengths:
            active = activity(raw, fps)
            for name, strength in strengths.items():
                _add_mood(rows, gates, name, _felt(strength, active, fps))
    if dials.asymmetry:
        for left, right in _SIDED:
            rows[left] *= np.float32(1.0 + _LOPSIDED * min(dials.asymmetry, 0.0))
            rows[right] *= np.float32(1.0 - _LOPSIDED * max(dials.asymmetry, 0.0))
    np.clip(rows, 0.0, 1.0, out=rows)
    _keep_contacts(rows, raw, gap, usual)
    return np.ascontiguousarray(rows.T)


def _of_curves(dials: StyleDials) -> StyleDials:
    """The dials without those that need the whole Take."""
    turned = dials.turned()
    return StyleDials(**{name: turned[name] for name in turned if name not in _OF_TAKES})


def activity(rows: Float32[np.ndarray, "52 T"], fps: float) -> Float32[np.ndarray, " T"]:
    """How active the mouth is, in 0..1: near 1 within phrases, 0 in long pauses.

    `rows` has one row per shape. The result is smooth, without changes faster than about 3 Hz.
    """
    mouth = np.zeros(rows.shape[1], np.float32)
    for column in _ARTICULATED:
        mouth += rows[column]
    speed = np.abs(np.diff(mouth, prepend=mouth[:1])) * np.float32(fps)
    lively = _smooth(_smooth(speed, fps), fps)
    moving = lively[lively > 0.02]
    if not len(moving):
        return np.zeros_like(mouth)
    usual = float(np.percentile(moving, _LIVELY))
    return _smooth(np.minimum(lively / np.float32(usual), 1.0), fps)


@cache
def mood_table() -> dict[str, tuple[dict[str, float], dict[str, float]]]:
    """By mood: what full strength adds to each shape or stem, and what share it takes away."""
    text = Path(__file__).with_name("moods.json").read_text("utf-8")
    table: dict[str, dict[str, dict[str, float]]] = json.loads(text)
    return {name: (table[name]["adds"], table[name]["lessens"]) for name in MOODS}


class _Gates:
    """How far the mouth lets each effect act at each frame, 0..1, from the raw curves."""

    def __init__(
        self, raw: Float32[np.ndarray, "52 T"], opening: Float32[np.ndarray, " T"], fps: float
    ) -> None:
        rounding = raw[INDEX["mouthPucker"]] + 0.75 * raw[INDEX["mouthFunnel"]]
        free = 1.0 - _tucked(raw)
        self.widening = _smooth_below(1.0 - _ROUND_LESS * _step(rounding / np.float32(0.5)), fps)
        self.closing = _smooth_below((1.0 - _OPEN_LESS * _step(opening)) * free, fps)
        self.parting = _smooth_below(_step((opening - CLOSED) / 0.5) * free, fps)
        self.lids = 1.0 - np.maximum(raw[INDEX["eyeBlinkLeft"]], raw[INDEX["eyeBlinkRight"]])

    def of(self, name: str) -> Float32[np.ndarray, " T"] | float:
        if name in _WIDENING:
            return self.widening
        if name in _CLOSING:
            return self.closing
        if PARTING.get(name, 0.0) > 0:
            return self.parting
        return self.lids if name in ("eyeWide", "eyeBlink", "eyeLookDown") else 1.0


def _strengths(
    dials: StyleDials, moods: Mapping[str, float | Float[np.ndarray, " ..."]] | None, frames: int
) -> dict[str, Float32[np.ndarray, " T"]]:
    """The moods that are not zero throughout, each as a curve."""
    wanted: dict[str, float | Float[np.ndarray, " ..."]] = {
        name: getattr(dials, name) for name in MOODS
    }
    for name, given in (moods or {}).items():
        if name not in MOODS:
            raise VividKeysError(
                ErrorKind.BAD_REQUEST,
                f"There is no mood '{name[:40]}'.",
                f"Choose one of {', '.join(MOODS)}.",
            )
        wanted[name] = given
    found = {}
    for name, value in wanted.items():
        curve = np.asarray(value, np.float32)
        if curve.shape not in ((), (frames,)):
            raise VividKeysError(
                ErrorKind.BAD_ARRAY,
                f"The curve of '{name}' has the shape {curve.shape}; the Take has {frames} frames.",
            )
        if not (np.isfinite(curve).all() and (curve >= 0).all() and (curve <= 1).all()):
            raise VividKeysError(
                ErrorKind.BAD_REQUEST, f"The mood '{name}' is not between 0 and 1 everywhere."
            )
        if curve.any():
            found[name] = np.broadcast_to(curve, (frames,))
    return found


def _felt(
    strength: Float32[np.ndarray, " T"], active: Float32[np.ndarray, " T"], fps: float
) -> Float32[np.ndarray, " T"]:
    """A mood's strength as the face shows it: more within phrases, and without jumps."""
    shown = strength * (_IN_PAUSES + (1.0 - _IN_PAUSES) * active)
    return _smooth(np.asarray(shown, np.float32), fps)


def _scale(rows: Float32[np.ndarray, "52 T"], which: tuple[int, ...], factor: float) -> None:
    if factor != 1.0:
        rows[list(which)] *= np.float32(factor)


def _bias_smile(rows: Float32[np.ndarray, "52 T"], gates: _Gates, smile: float) -> None:
    if smile > 0:
        _blend(rows, "mouthSmile", _SMILE * smile * gates.widening)
        _blend(rows, "cheekSquint", _SMILE_CHEEKS * smile)
    elif smile < 0:
        for column in columns("mouthSmile"):
            rows[column] *= np.float32(1.0 + smile)
        _blend(rows, "mouthFrown", -_FROWN * smile)


def _add_mood(
    rows: Float32[np.ndarray, "52 T"], gates: _Gates, name: str, felt: Float32[np.ndarray, " T"]
) -> None:
    adds, lessens = mood_table()[name]
    for shape, share in lessens.items():
        for column in columns(shape):
            rows[column] *= 1.0 - np.float32(share) * felt
    for shape, amount in adds.items():
        _blend(rows, shape, np.float32(amount) * felt * gates.of(shape))


def _blend(
    rows: Float32[np.ndarray, "52 T"], shape: str, amount: Float32[np.ndarray, " T"] | float
) -> None:
    """Move a shape the share `amount` of the way to 1, so that sums stay in range."""
    for column in columns(shape):
        rows[column] += np.asarray(amount, np.float32) * np.maximum(1.0 - rows[column], 0.0)


def _tucked(raw: Float32[np.ndarray, "52 T"]) -> Float32[np.ndarray, " T"]:
    """How far the lower lip is under the upper teeth, in 0..1."""
    return _step((raw[INDEX["mouthRollLower"]] - _TUCK_BEGINS) / (_TUCK_FULL - _TUCK_BEGINS))


def _keep_contacts(
    rows: Float32[np.ndarray, "52 T"],
    raw: Float32[np.ndarray, "52 T"],
    gap: Float32[np.ndarray, " T"],
    usual: float,
) -> None:
    """Where the raw lips are closed or tucked, undo what would part or free them."""
    tucked = _tucked(raw)
    if tucked.any():
        for column in _UNTUCKS:
            rows[column] -= tucked * np.maximum(rows[column] - raw[column], 0.0)
    freedom = _freedom(gap, usual)
    _limit_opening(rows, APERTURE, gap, freedom)
    _limit_opening(rows, PARTING, np.maximum(weighted(raw, PARTING), 0.0), freedom)


def _freedom(gap: Float32[np.ndarray, " T"], usual: float) -> Float32[np.ndarray, " T"]:
    """How far dials may open each frame, 0..1: closed ones not at all, wider ones more."""
    return _step((gap / np.float32(usual) - CLOSED) / 0.35)


def _limit_opening(
    rows: Float32[np.ndarray, "52 T"],
    table: dict[str, float],
    before: Float32[np.ndarray, " T"],
    freedom: Float32[np.ndarray, " T"],
) -> None:
    """Keep only the share `freedom` of what the dials open the lips beyond `before`.

    The lips' own shapes are reduced first, then the jaw. `table` defines the opening.
    """
    styled = weighted(rows, table)
    limit = before + freedom * np.maximum(styled - before, 0.0)
    frames = np.flatnonzero(styled > limit + 1e-6)
    if not len(frames):
        return
    limit, excess = limit[frames], (styled - limit)[frames]
    parting = [
        (column, np.float32(coefficient))
        for name, coefficient in table.items()
        if coefficient > 0 and name != "jawOpen"
        for column in columns(name)
    ]
    opened = np.zeros(len(frames), np.float32)
    for column, coefficient in parting:
        opened += coefficient * rows[column, frames]
    share = np.clip(1.0 - excess / np.maximum(opened, np.float32(1e-6)), 0.0, 1.0)
    for column, _ in parting:
        rows[column, frames] *= share
    jaw = rows[INDEX["jawOpen"]]
    jaw[frames] = np.maximum(jaw[frames] - np.maximum(excess - opened, 0.0), 0.0)


def _step(x: Float32[np.ndarray, " T"]) -> Float32[np.ndarray, " T"]:
    """0 below 0, 1 above 1, a smooth step in between."""
    x = np.clip(x, 0.0, 1.0)
    return np.asarray(x * x * (3.0 - 2.0 * x), np.float32)


def _smooth_below(gate: Float32[np.ndarray, " T"], fps: float) -> Float32[np.ndarray, " T"]:
    """A smooth curve that is nowhere above `gate`."""
    half = round(_PARTING_SECONDS * fps)
    padded = np.pad(gate, half, mode="edge")
    lowest = gate.copy()
    for shift in range(2 * half + 1):
        np.minimum(lowest, padded[shift : shift + len(gate)], out=lowest)
    # Each mean over `half` frames to either side takes only values that are not above the gate.
    return _mean(_mean(lowest, half - half // 2, 1), half // 2, 1)


def _smooth(values: Float32[np.ndarray, " T"], fps: float) -> Float32[np.ndarray, " T"]:
    """Three centred running means over `_MEAN_SECONDS`."""
    return _mean(values, round(_MEAN_SECONDS * fps / 2), 3)


def _mean(values: Float32[np.ndarray, " T"], half: int, times: int) -> Float32[np.ndarray, " T"]:
    """Running mean over `half` frames to either side; the end values are extended."""
    result = np.asarray(values, np.float64)
    if half == 0 or not len(values) or result.min() == result.max():
        return np.asarray(values, np.float32)
    length = 2 * half + 1
    for _ in range(times):
        sums = np.cumsum(np.pad(result, (half + 1, half), mode="edge"))
        result = (sums[length:] - sums[:-length]) / length
    return np.asarray(result, np.float32)
