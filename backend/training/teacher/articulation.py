# SPDX-License-Identifier: GPL-3.0-or-later
"""The articulation teacher: phones and loudness become ARKit curves.

Targets are blended by dominance (Cohen and Massaro 1993): every phone pulls each group of channels
(jaw, lip opening, rounding, spreading) towards its own target with a strength that is full inside
the phone and fades before it (`lead`) and after it (`trail`). Tongue-only phones have little
influence on the lips, rounding begins early, loud vowels open wider. Lip contact, and rest in
pauses, are constraints applied after blending. The targets are in `articulation.json`; the effects
of a speaker's style are in `manner`, brows and cheeks in `expression`.

The amplitude and asymmetry of a speaker's motion are not taught: `shared.performance.style` scales
finished curves exactly, so the network need not infer them. An evaluation may apply it to
`Lesson.weights()`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

from backend.audio.log_mel import level
from backend.audio_to_mesh.channels import CHANNEL, CHANNELS, CLASSES
from backend.audio_to_mesh.contact import apply_contacts, parted_pose
from backend.audio_to_mesh.speaker import SpeakerStyle
from backend.training.corpus.utterance import Phone
from backend.training.teacher.expression import add_expression, prominence
from backend.training.teacher.manner import Parts, in_manner, share_with_jaw

RATE = 100
_DIPHTHONG_SWITCH = 0.6
# Pauses shorter than this hold the mouth; from SHUT on they close it (Rhubarb's rule: .12, .35 s).
_HOLD, _SHUT = 0.1, 0.25
# Beyond this distance a dominance is below the precision of a 32-bit float.
_FAR = 12.0
_VOWELS = frozenset(
    ["aa", "ae", "ah", "ao", "aw", "ay", "eh", "er", "ey", "ih", "iy", "ow", "oy", "uh", "uw", "ue"]
)
_CONTACT = frozenset(("bilabial", "labiodental", "silence"))


@dataclass(frozen=True)
class Target:
    """Target values of a phone (or half a diphthong); strength, lead and trail per group."""

    values: Float32[np.ndarray, "*rows C"]
    strength: Float32[np.ndarray, "*rows G"]
    lead: Float32[np.ndarray, "*rows G"]
    trail: Float32[np.ndarray, "*rows G"]


@dataclass(frozen=True)
class Lesson:
    """The training targets of one utterance, at 100 Hz.

    `curves` are before contact; `seal`, `tuck` and `rest` are in 0..1; `phones` and `classes` are
    indices into `phone_names()` and `CLASSES`; `parted` (0..1) is how open the lips are at rest.
    """

    curves: Float32[np.ndarray, "T C"]
    seal: Float32[np.ndarray, " T"]
    tuck: Float32[np.ndarray, " T"]
    rest: Float32[np.ndarray, " T"]
    phones: UInt8[np.ndarray, " T"]
    classes: UInt8[np.ndarray, " T"]
    parted: float = 0.0

    def weights(self) -> Float32[np.ndarray, "T 52"]:
        """The finished ARKit curves, contact included."""
        return apply_contacts(self.curves, self.seal, self.tuck, self.rest, parted=self.parted)


@cache
def _table() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(Path(__file__).with_name("articulation.json").read_text())
    return data


@cache
def phone_names() -> tuple[str, ...]:
    """All phones of the articulation table, in its order; silence first."""
    return tuple(_table()["phones"])


@cache
def _phone_number() -> dict[str, int]:
    return {name: number for number, name in enumerate(phone_names())}


@cache
def phone_classes() -> UInt8[np.ndarray, " N"]:
    """Class index of each phone of `phone_names()`."""
    entries = _table()["phones"].values()
    return np.array([CLASSES.index(entry["class"]) for entry in entries], np.uint8)


@cache
def _class_of() -> dict[str, str]:
    return {name: str(entry["class"]) for name, entry in _table()["phones"].items()}


@cache
def _channels_of_group() -> tuple[Int64[np.ndarray, " _"], ...]:
    """Channel numbers of each group; phones do not affect the others (brows, cheeks)."""
    groups = _table()["groups"].values()
    return tuple(
        np.array([number for name, number in CHANNEL.items() if name in group]) for group in groups
    )


@cache
def targets(label: str) -> tuple[Target, ...]:
    """One target, or two for a diphthong. Raises KeyError for a label that is not in the table."""
    table = _table()
    entry = table["phones"][label]
    groups = list(table["groups"])

    def per_group(key: str, scale: float) -> Float32[np.ndarray, " G"]:
        merged = table["defaults"][key] | entry.get(key, {})
        return np.array([merged[group] * scale for group in groups], np.float32)

    def values(source: dict[str, Any]) -> Float32[np.ndarray, " C"]:
        row = np.zeros(len(CHANNELS), np.float32)
        for name, number in CHANNEL.items():
            row[number] = source.get(name, 0.0)
        return row

    lead, trail = per_group("lead", 1e-3), per_group("trail", 1e-3)
    strength = per_group("strength", 1.0)
    parts = [entry] + ([entry["then"]] if "then" in entry else [])
    return tuple(Target(values(part), strength, lead, trail) for part in parts)


@cache
def _rows_of() -> tuple[dict[str, tuple[int, ...]], Target, Bool[np.ndarray, " N"]]:
    """All targets in one table: row numbers by label, stacked arrays, which rows are vowels."""
    rows: dict[str, tuple[int, ...]] = {}
    found: list[Target] = []
    vowels: list[bool] = []
    for label in phone_names():
        parts = targets(label)
        rows[label] = tuple(range(len(found), len(found) + len(parts)))
        found += parts
        vowels += [label in _VOWELS] * len(parts)
    stacked = Target(
        np.stack([t.values for t in found]),
        np.stack([t.strength for t in found]),
        np.stack([t.lead for t in found]),
        np.stack([t.trail for t in found]),
    )
    return rows, stacked, np.array(vowels)


def loudness(features: Float32[np.ndarray, "T 160"]) -> Float32[np.ndarray, " T"]:
    """Level of each frame in dB, from log-mel features; smoothed over 50 ms."""
    decibels = level(features) * np.float32(10.0 / np.log(10.0))
    padded = np.pad(decibels, 2, mode="edge")
    return np.asarray(np.convolve(padded, np.full(5, 0.2), "valid"), np.float32)


def _parts(phones: tuple[Phone, ...]) -> Parts:
    """Every phone, or half of a diphthong, with its times and its target."""
    rows_of, table, vowels = _rows_of()
    rows: list[int] = []
    starts: list[float] = []
    ends: list[float] = []
    scale: list[float] = []
    for phone in phones:
        length = phone.end - phone.start
        strength = 1.0
        if phone.label == "sil":
            strength = min(max((length - _HOLD) / (_SHUT - _HOLD), 0.03), 1.0)
        numbers = rows_of[phone.label]
        rows += numbers
        starts.append(phone.start)
        if len(numbers) == 2:
            switch = phone.start + _DIPHTHONG_SWITCH * length
            ends.append(switch)
            starts.append(switch)
        ends.append(phone.end)
        scale += [strength] * len(numbers)
    row = np.array(rows)
    return Parts(
        starts=np.array(starts, np.float32),
        ends=np.array(ends, np.float32),
        values=table.values[row],
        strength=np.array(scale, np.float32)[:, None] * table.strength[row],
        lead=table.lead[row],
        trail=table.trail[row],
        vowel=vowels[row],
        silent=row == rows_of["sil"][0],
    )


def _blend(parts: Parts, time: Float32[np.ndarray, " T"]) -> Float32[np.ndarray, "T C"]:
    """Dominance-weighted mean of the parts' targets at each time."""
    starts, ends = parts.starts, parts.ends
    # The plateau leaves the outer 20 % of a phone to the transition.
    margin = 0.15 * np.minimum(ends - starts, 0.2)
    before = np.maximum(starts + margin - time[:, None], 0.0)
    after = np.maximum(time[:, None] - (ends - margin), 0.0)
    reach = _FAR * max(float(parts.lead.max()), float(parts.trail.max()))
    near = np.flatnonzero(np.maximum(before, after) < reach)
    part_of = near % len(starts)
    before, after = before.ravel()[near], after.ravel()[near]
    curves = np.zeros((len(time), len(CHANNELS)), np.float32)
    for group, chosen in enumerate(_channels_of_group()):
        distance = before / parts.lead[part_of, group] + after / parts.trail[part_of, group]
        pull = parts.strength[part_of, group] * np.exp(-(distance**1.5))
        dominance = np.full((len(time), len(starts)), 1e-9, np.float32)
        dominance.ravel()[near] += pull
        dominance /= dominance.sum(axis=1, keepdims=True)
        curves[:, chosen] = dominance @ parts.values[:, chosen]
    return curves


def _add_pulse(
    curve: Float32[np.ndarray, " T"],
    time: Float32[np.ndarray, " T"],
    start: float,
    end: float,
    attack: float,
    release: float,
) -> None:
    """Raise `curve` to 1 inside [start, end], in place, with cosine ramps outside.

    The ramps last `attack` and `release` seconds.
    """
    first = max(int((start - attack) * RATE) - 1, 0)
    last = max(int((end + release) * RATE) + 2, first)
    time = time[first:last]
    inside = np.minimum(1.0 - (start - time) / attack, 1.0 - (time - end) / release)
    ramp = np.clip(inside, 0.0, 1.0)
    pulse = np.asarray(0.5 - 0.5 * np.cos(np.pi * ramp), np.float32)
    np.maximum(curve[first:last], pulse, out=curve[first:last])


def teach(
    phones: tuple[Phone, ...],
    loudness_db: Float32[np.ndarray, " T"],
    style: SpeakerStyle | None = None,
    pitch: Float32[np.ndarray, " T"] | None = None,
) -> Lesson:
    """Curves and labels for one utterance with its loudness in dB; frame t is at t / 100 s.

    `style` is the speaker's (`manner.random_style` draws one); with `pitch` (Hz, 0 where
    unvoiced) the brows follow the intonation too. Phones have no gaps between them.
    """
    style = style or SpeakerStyle()
    frames = len(loudness_db)
    duration = (frames - 1) / RATE
    time = np.arange(frames, dtype=np.float32) / np.float32(RATE)
    numbers, class_of = _phone_number(), _class_of()
    labels = np.zeros(frames, np.uint8)
    seal, tuck, rest = (np.zeros(frames, np.float32) for _ in range(3))
    for phone in phones:
        first, last = int(np.ceil(phone.start * RATE)), int(np.ceil(phone.end * RATE))
        labels[first:last] = numbers[phone.label]
        kind = class_of[phone.label]
        if kind not in _CONTACT:
            continue
        if kind == "bilabial":
            # At least 40 ms of contact, so that it shows at 24 frames a second too.
            spare = max(0.04 - (phone.end - phone.start), 0.0) / 2
            _add_pulse(seal, time, phone.start - spare, phone.end + spare, 0.045, 0.04)
        elif kind == "labiodental":
            _add_pulse(tuck, time, phone.start, phone.end, 0.05, 0.045)
        elif phone.end - phone.start >= _SHUT:
            # Speech is anticipated: the mouth begins to open before the first sound.
            start = 0.0 if phone.start <= 0.0 else phone.start + 0.08
            end = duration if phone.end >= duration - 0.01 else phone.end - 0.06
            _add_pulse(rest, time, start, end, 0.08, 0.07)
    parts = in_manner(_parts(phones), style)
    parts.values[parts.silent] += parted_pose(style.parted)
    curves = _blend(parts, time)
    vowels = [(p.start, p.end) for p in phones if p.label in _VOWELS]
    centres, louder = prominence(vowels, loudness_db, RATE)
    if len(centres):
        # Loud vowels open wider.
        factor = 1.0 + 0.08 * np.interp(time, centres, louder)
        for name in ("jawOpen", "mouthLowerDown", "mouthUpperUp"):
            curves[:, CHANNEL[name]] *= factor
    share_with_jaw(curves, style.jaw_share)
    silences = [(p.start, p.end) for p in phones if p.label == "sil"]
    add_expression(curves, time, centres, louder, silences, pitch)
    return Lesson(curves, seal, tuck, rest, labels, phone_classes()[labels], style.parted)
