# SPDX-License-Identifier: GPL-3.0-or-later
"""The articulation teacher: phones and loudness become ARKit curves.

Targets are blended by dominance (Cohen and Massaro 1993): every phone pulls each group of channels
(jaw, lip opening, rounding, spreading) towards its own target with a strength that is full inside
the phone and fades before it (`lead`) and after it (`trail`). Tongue-only phones have little
strength over the lips, rounding begins early, loud vowels open wider. Contact of the lips and rest
in pauses are constraints put on after blending. The targets are in `articulation.json`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.audio.log_mel import level
from backend.audio_to_mesh.channels import CHANNEL, CHANNELS, CLASSES
from backend.audio_to_mesh.contact import apply_contacts
from backend.training.corpus.utterance import Phone

RATE = 100
_DIPHTHONG_SWITCH = 0.6
# Pauses shorter than this hold the mouth; from SHUT on they close it (Rhubarb's rule: .12, .35 s).
_HOLD, _SHUT = 0.1, 0.25
_VOWELS = frozenset("aa ae ah ao aw ay eh er ey ih iy ow oy uh uw ue".split())
_STRESS_SHAPES = {"browInnerUp": 0.16, "browOuterUp": 0.07, "cheekSquint": 0.09}


@dataclass(frozen=True)
class Target:
    """What one phone (or half a diphthong) wants: values [C], strength, lead, trail per group."""

    values: NDArray[np.float32]
    strength: NDArray[np.float32]
    lead: NDArray[np.float32]
    trail: NDArray[np.float32]


@dataclass(frozen=True)
class Lesson:
    """What the network learns from one utterance, at 100 Hz.

    `curves` [T, C] before contact; `seal`, `tuck`, `rest` [T] in 0..1; `phones` [T] and `classes`
    [T] are indices into `phone_names()` and `CLASSES`.
    """

    curves: NDArray[np.float32]
    seal: NDArray[np.float32]
    tuck: NDArray[np.float32]
    rest: NDArray[np.float32]
    phones: NDArray[np.uint8]
    classes: NDArray[np.uint8]

    def weights(self) -> NDArray[np.float32]:
        """The finished ARKit curves [T, 52]."""
        return apply_contacts(self.curves, self.seal, self.tuck, self.rest)


@cache
def _table() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(Path(__file__).with_name("articulation.json").read_text())
    return data


@cache
def phone_names() -> tuple[str, ...]:
    """All phones of the articulation table, in its order; silence first."""
    return tuple(_table()["phones"])


@cache
def phone_classes() -> NDArray[np.uint8]:
    """Class index of each phone of `phone_names()`."""
    entries = _table()["phones"].values()
    return np.array([CLASSES.index(entry["class"]) for entry in entries], np.uint8)


@cache
def _group_of_channel() -> NDArray[np.int64]:
    """Group number of each channel; -1 where phones have no say (brows, cheeks)."""
    groups = list(_table()["groups"].values())
    found = [next((n for n, g in enumerate(groups) if c in g), -1) for c in CHANNELS]
    return np.array(found)


@cache
def targets(label: str) -> tuple[Target, ...]:
    """One target, or two for a diphthong. Raises KeyError for a label that is not in the table."""
    table = _table()
    entry = table["phones"][label]
    groups = list(table["groups"])

    def per_group(key: str, scale: float) -> NDArray[np.float32]:
        merged = table["defaults"][key] | entry.get(key, {})
        return np.array([merged[group] * scale for group in groups], np.float32)

    def values(source: dict[str, Any]) -> NDArray[np.float32]:
        row = np.zeros(len(CHANNELS), np.float32)
        for name, number in CHANNEL.items():
            row[number] = source.get(name, 0.0)
        return row

    lead, trail = per_group("lead", 1e-3), per_group("trail", 1e-3)
    strength = per_group("strength", 1.0)
    parts = [entry] + ([entry["then"]] if "then" in entry else [])
    return tuple(Target(values(part), strength, lead, trail) for part in parts)


def loudness(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Level in dB of each frame [T], from log-mel features [T, 160]; smoothed over 50 ms."""
    decibels = level(features) * np.float32(10.0 / np.log(10.0))
    padded = np.pad(decibels, 2, mode="edge")
    return np.asarray(np.convolve(padded, np.full(5, 0.2), "valid"), np.float32)


def _prominence(
    phones: tuple[Phone, ...], level: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Times of the vowels and how much louder each is than the utterance's vowels, in sd."""
    times, peaks = [], []
    for phone in phones:
        if phone.label in _VOWELS:
            first, last = int(phone.start * RATE), int(np.ceil(phone.end * RATE))
            part = level[first : max(last, first + 1)]
            if len(part):
                times.append(0.5 * (phone.start + phone.end))
                peaks.append(float(part.max()))
    if len(peaks) < 3:
        return np.array(times, np.float32), np.zeros(len(times), np.float32)
    values = np.array(peaks, np.float32)
    spread = max(float(values.std()), 2.0)
    return np.array(times, np.float32), np.clip((values - values.mean()) / spread, -2.0, 2.0)


def _blend(phones: tuple[Phone, ...], time: NDArray[np.float32]) -> NDArray[np.float32]:
    """Dominance-weighted mean of the phones' targets at each time: [T, C]."""
    rows: list[tuple[float, float, float, Target]] = []
    for phone in phones:
        length = phone.end - phone.start
        strength = 1.0
        if phone.label == "sil":
            strength = float(np.clip((length - _HOLD) / (_SHUT - _HOLD), 0.03, 1.0))
        parts = targets(phone.label)
        switch = phone.start + _DIPHTHONG_SWITCH * length
        limits = [phone.start, phone.end] if len(parts) == 1 else [phone.start, switch, phone.end]
        for part, start, end in zip(parts, limits[:-1], limits[1:], strict=True):
            rows.append((start, end, strength, part))
    starts = np.array([row[0] for row in rows], np.float32)
    ends = np.array([row[1] for row in rows], np.float32)
    scale = np.array([row[2] for row in rows], np.float32)
    # The plateau leaves the outer 20 % of a phone to the transition.
    margin = 0.15 * np.minimum(ends - starts, 0.2)
    before = np.maximum(starts + margin - time[:, None], 0.0)
    after = np.maximum(time[:, None] - (ends - margin), 0.0)
    values = np.stack([row[3].values for row in rows])
    group_of_channel = _group_of_channel()
    curves = np.zeros((len(time), len(CHANNELS)), np.float32)
    for group in range(len(_table()["groups"])):
        strength_of = scale * np.array([row[3].strength[group] for row in rows])
        lead = np.array([row[3].lead[group] for row in rows])
        trail = np.array([row[3].trail[group] for row in rows])
        distance = before / lead + after / trail
        dominance = strength_of * np.exp(-(distance**1.5)) + 1e-9
        dominance /= dominance.sum(axis=1, keepdims=True)
        chosen = group_of_channel == group
        curves[:, chosen] = dominance @ values[:, chosen]
    return curves


def _pulse(
    time: NDArray[np.float32], start: float, end: float, attack: float, release: float
) -> NDArray[np.float32]:
    """1 inside [start, end] with cosine ramps of `attack` and `release` seconds outside."""
    inside = np.minimum(1.0 - (start - time) / attack, 1.0 - (time - end) / release)
    ramp = np.clip(inside, 0.0, 1.0)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * ramp), np.float32)


def teach(phones: tuple[Phone, ...], loudness_db: NDArray[np.float32]) -> Lesson:
    """Curves and labels for one utterance whose loudness [T] is in dB; frame t is at t / 100 s."""
    frames = len(loudness_db)
    duration = (frames - 1) / RATE
    time = np.arange(frames, dtype=np.float32) / np.float32(RATE)
    names = phone_names()
    labels = np.zeros(frames, np.uint8)
    seal, tuck, rest = (np.zeros(frames, np.float32) for _ in range(3))
    for phone in phones:
        first, last = int(np.ceil(phone.start * RATE)), int(np.ceil(phone.end * RATE))
        labels[first:last] = names.index(phone.label)
        kind = _table()["phones"][phone.label]["class"]
        if kind == "bilabial":
            # At least 40 ms of contact, so that it shows at 24 frames a second too.
            spare = max(0.04 - (phone.end - phone.start), 0.0) / 2
            pulse = _pulse(time, phone.start - spare, phone.end + spare, 0.045, 0.04)
            seal = np.maximum(seal, pulse)
        elif kind == "labiodental":
            tuck = np.maximum(tuck, _pulse(time, phone.start, phone.end, 0.05, 0.045))
        elif kind == "silence" and phone.end - phone.start >= _SHUT:
            # Speech is prepared: the mouth begins to open before the first sound.
            start = 0.0 if phone.start <= 0.0 else phone.start + 0.08
            end = duration if phone.end >= duration - 0.01 else phone.end - 0.06
            rest = np.maximum(rest, _pulse(time, start, end, 0.08, 0.07))
    curves = _blend(phones, time)
    _add_loudness(curves, phones, loudness_db, time)
    return Lesson(curves, seal, tuck, rest, labels, phone_classes()[labels])


def _add_loudness(
    curves: NDArray[np.float32],
    phones: tuple[Phone, ...],
    loudness_db: NDArray[np.float32],
    time: NDArray[np.float32],
) -> None:
    """Loud vowels open wider, and stress lifts brows and cheeks a little; changes `curves`."""
    centres, louder = _prominence(phones, loudness_db)
    if not len(centres):
        return
    factor = 1.0 + 0.08 * np.interp(time, centres, louder)
    for name in ("jawOpen", "mouthLowerDown", "mouthUpperUp"):
        curves[:, CHANNEL[name]] *= factor
    stress = np.zeros(len(time), np.float32)
    for centre, value in zip(centres, louder, strict=True):
        if value > 0.5:
            bump = np.exp(-0.5 * ((time - centre) / 0.16) ** 2)
            stress = np.maximum(stress, np.float32(min(value / 2.0, 1.0)) * bump)
    for name, amount in _STRESS_SHAPES.items():
        curves[:, CHANNEL[name]] = amount * stress
