# SPDX-License-Identifier: GPL-3.0-or-later
"""From the network's outputs to curves: smooth shapes, hard lip contact, a closed mouth in pauses.

Everything here looks at most `BEHIND` frames back and `DecoderSettings.ahead` frames ahead, so
decoding piece by piece gives exactly the result of decoding the whole.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int64

from backend.audio_to_mesh.channels import CHANNEL, MOUTH_CHANNELS
from backend.audio_to_mesh.contact import apply_contacts
from backend.audio_to_mesh.decoder_settings import DecoderSettings
from backend.audio_to_mesh.heard import Heard
from backend.audio_to_mesh.lip_motion import DrivenFace, hold_contact
from shared.arkit import ARKIT_NAMES

RATE = 100
# How long a contact or a pause may last after its certain part, in frames.
_LONGEST_TAIL = 60
BEHIND = 100
_PARTING = [CHANNEL[name] for name in ("jawOpen", "mouthLowerDown", "mouthUpperUp")]


def _runs(
    mask: Bool[np.ndarray, " T"],
) -> tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " N"]]:
    """First frames and ends (exclusive) of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return edges[::2], edges[1::2]


def _reaches(
    certain: Bool[np.ndarray, " T"], possible: Bool[np.ndarray, " T"], farthest: int
) -> Bool[np.ndarray, " T"]:
    """Possible frames that are reached from a certain one.

    It lies at most `farthest` frames before them, with only possible frames in between.
    """
    index = np.arange(len(certain))
    last_certain = np.maximum.accumulate(np.where(certain, index, -(10**9)))
    last_barrier = np.maximum.accumulate(np.where(possible | certain, -(10**9), index))
    return (last_certain > last_barrier) & (index - last_certain <= farthest)


def hysteresis(
    score: Float32[np.ndarray, " T"], on: float, off: float, early: int, gap: int, shortest: int
) -> Bool[np.ndarray, " T"]:
    """Frames of events: runs of `score` >= off that contain a frame >= on.

    A run begins at most `early` frames before that frame and ends soon after it. Gaps of
    at most `gap` frames are closed, then runs shorter than `shortest` frames are dropped.
    """
    certain, possible = score >= on, score >= off
    late = _reaches(certain, possible, _LONGEST_TAIL)
    active: Bool[np.ndarray, " T"] = late | _reaches(certain[::-1], possible[::-1], early)[::-1]
    starts, ends = _runs(active)
    for end, start in zip(ends[:-1], starts[1:], strict=True):
        if start - end <= gap:
            active[end:start] = True
    starts, ends = _runs(active)
    for start, end in zip(starts, ends, strict=True):
        if end - start < shortest:
            active[start:end] = False
    return active


def _widen_short(active: Bool[np.ndarray, " T"], shortest: int) -> Bool[np.ndarray, " T"]:
    """Widen runs shorter than `shortest` frames evenly to that length."""
    wide = active.copy()
    for start, end in zip(*_runs(active), strict=True):
        missing = shortest - (end - start)
        if missing > 0:
            first = max(start - (missing + 1) // 2, 0)
            wide[first : first + shortest] = True
    return wide


def _ramps(active: Bool[np.ndarray, " T"], attack: int, release: int) -> Float32[np.ndarray, " T"]:
    """1 where active, with cosine ramps of `attack` frames before and `release` after."""
    index = np.arange(len(active))
    far = 10**9
    since = index - np.maximum.accumulate(np.where(active, index, -far))
    until = np.minimum.accumulate(np.where(active, index, far)[::-1])[::-1] - index
    ramp = np.maximum(1.0 - since / (release + 1), 1.0 - until / (attack + 1))
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(ramp, 0.0, 1.0)), np.float32)


def _smooth(values: Float32[np.ndarray, "T N"], length: int) -> Float32[np.ndarray, "T N"]:
    """Hann-weighted mean over `length` frames (odd, so that nothing is delayed), edges held."""
    if length <= 1 or len(values) == 0:
        return values.copy()
    kernel = np.hanning(length + 2)[1:-1].astype(np.float32)
    kernel /= kernel.sum()
    half = length // 2
    padded = np.pad(values, ((half, half), (0, 0)), mode="edge")
    result = np.zeros_like(values)
    for offset, weight in enumerate(kernel):
        result += weight * padded[offset : offset + len(values)]
    return result


def contacts(
    events: Float32[np.ndarray, "T 3"], settings: DecoderSettings
) -> tuple[Float32[np.ndarray, " T"], Float32[np.ndarray, " T"], Float32[np.ndarray, " T"]]:
    """Strengths of seal, tuck and rest from event probabilities."""
    s = settings
    sealed = hysteresis(
        events[:, 0], s.seal_on, s.seal_off, s.seal_early, s.seal_gap, s.seal_shortest // 2
    )
    seal = _ramps(_widen_short(sealed, s.seal_shortest), s.seal_attack, s.seal_release)
    tuck = np.clip((events[:, 1] - s.tuck_floor) / (1.0 - s.tuck_floor), 0.0, 1.0)
    tuck = _smooth(np.asarray(tuck[:, None] ** s.tuck_power, np.float32), 5)[:, 0]
    quiet = hysteresis(events[:, 2], s.rest_on, s.rest_off, s.rest_early, 0, s.rest_shortest)
    inner = _ramps(~quiet, s.rest_trim + s.rest_ramp, s.rest_trim + s.rest_ramp)
    trimmed = np.clip((1.0 - inner) * 1.25, 0.0, 1.0)
    return seal, tuck, np.asarray(trimmed, np.float32)


def blended(heard: Heard, settings: DecoderSettings) -> Float32[np.ndarray, "T C"]:
    """Curves before gains and contacts.

    They are the outputs of the branches, mixed for lips and jaw with a share of the pose that
    the likely phones lead one to expect.
    """
    curves = _smooth(heard.curves, settings.smoothing)
    if curves is heard.curves:
        curves = curves.copy()
    expected = _smooth(heard.expected, settings.expected_smoothing)
    mouth = list(MOUTH_CHANNELS)
    curves[:, mouth] += settings.expected * (expected - curves)[:, mouth]
    return curves


def _narrow(
    curves: Float32[np.ndarray, "T C"],
    events: Float32[np.ndarray, "T 3"],
    settings: DecoderSettings,
) -> None:
    """Open the mouth less where a bilabial is possible but too unlikely for a seal; in place.

    A missed closure then still shows as lips that approach each other.
    """
    possible = _smooth(events[:, :1], settings.smoothing)
    share = 1.0 - settings.narrowing * np.clip(possible / settings.narrowed_at, 0.0, 1.0)
    curves[:, _PARTING] *= share.astype(np.float32)


def decode(
    heard: Heard,
    settings: DecoderSettings,
    articulation: float = 1.0,
    parted: float = 0.0,
    face: DrivenFace | None = None,
) -> Float32[np.ndarray, "T N"]:
    """ARKit weights and offset weights side by side: 52 + K columns.

    `articulation` scales how far the mouth moves; lips still meet on p, b and m, unless it is 0.
    `parted` 0..1 is how far apart they rest in pauses. With a `face`, the offsets close its lips
    exactly where they touch.
    """
    if articulation <= 0.0:
        return np.zeros((len(heard), len(ARKIT_NAMES) + heard.offsets.shape[1]), np.float32)
    seal, tuck, rest = contacts(heard.events, settings)
    curves = blended(heard, settings)
    curves *= np.array(settings.gains, np.float32) * np.float32(articulation)
    _narrow(curves, heard.events, settings)
    weights = apply_contacts(
        np.clip(curves, 0.0, 1.0), seal, tuck, rest, min(articulation, 1.5), parted
    )
    offsets = _smooth(heard.offsets, settings.smoothing) * np.float32(articulation)
    if face is not None:
        hold = 1.0 - rest
        offsets = hold_contact(offsets, weights, seal * hold, tuck * hold, face, float(RATE))
    return np.concatenate([weights, offsets], axis=1)


def at_frame_rate(
    weights: Float32[np.ndarray, "frames N"], first: int, start: int, stop: int, fps: float
) -> Float32[np.ndarray, "T N"]:
    """Frames start..stop-1 at `fps`, from 100 Hz `weights` whose row 0 is frame `first`."""
    position = np.arange(start, stop, dtype=np.float64) * (RATE / fps) - first
    position = np.clip(position, 0.0, len(weights) - 1)
    below = np.minimum(position.astype(np.int64), max(len(weights) - 2, 0))
    above = np.minimum(below + 1, len(weights) - 1)
    share = (position - below).astype(np.float32)[:, None]
    return np.asarray(weights[below] * (1.0 - share) + weights[above] * share, np.float32)
