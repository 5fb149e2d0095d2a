# SPDX-License-Identifier: GPL-3.0-or-later
"""How a speaker's style changes articulation: effort, and how jaw and lips share the work.

Effort is Lindblom's axis from hypo- to hyper-articulation: mumbled sounds run into each other and
miss the targets of short vowels; crisp ones reach their targets and leave them quickly. The shares
of jaw and lips are the two axes of JALI (Edwards et al. 2016).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32

from backend.audio_to_mesh.channels import CHANNEL, CHANNELS
from backend.audio_to_mesh.speaker import SpeakerStyle
from shared.lips import PARTING

# At effort -1 sounds extend exp(this) times as far in time as usual, at 1 the inverse.
_REACH = 0.4
# Strengths are raised to the power 1 + this * effort.
_CONTRAST = 0.35
# A mumbled vowel misses its target by a fixed share, plus one that grows as it gets shorter.
_MISSED, _MISSED_SHORT, _SHORT = 0.16, 0.4, 0.1
_OVERSHOT = 0.14
# Where a mumbled vowel ends up instead: a lax, central mouth.
_LAX = {"jawOpen": 0.17, "mouthLowerDown": 0.12, "mouthUpperUp": 0.05}
# Shares of the opening that the lips take from the jaw at -1, and the jaw from the lips at 1.
_FROM_JAW, _FROM_LIPS = 0.3, 0.7
_LOWER_TO_UPPER = 2.0


@dataclass(frozen=True)
class Parts:
    """The P parts (phones or halves of diphthongs) of an utterance, in order.

    Starts, ends, leads and trails are in seconds; G is the number of channel groups.
    """

    starts: Float32[np.ndarray, " P"]
    ends: Float32[np.ndarray, " P"]
    values: Float32[np.ndarray, "P C"]
    strength: Float32[np.ndarray, "P G"]
    lead: Float32[np.ndarray, "P G"]
    trail: Float32[np.ndarray, "P G"]
    vowel: Bool[np.ndarray, " P"]
    silent: Bool[np.ndarray, " P"]


def random_style(random: np.random.Generator) -> SpeakerStyle:
    """A random speaker, mostly near the default; half of them rest with parted lips."""
    effort, jaw_share = np.clip(random.normal(0.0, 0.5, 2), -1.0, 1.0)
    parted = max(float(random.uniform(-1.0, 1.0)), 0.0)
    return SpeakerStyle(float(effort), float(jaw_share), parted)


def in_manner(parts: Parts, style: SpeakerStyle) -> Parts:
    """The same sounds with the speaker's effort; effort 0 returns them unchanged."""
    effort = float(np.clip(style.effort, -1.0, 1.0))
    if effort == 0.0:
        return parts
    reach = np.float32(np.exp(-_REACH * effort))
    lax = np.array([_LAX.get(name, 0.0) for name in CHANNELS], np.float32)
    length = parts.ends - parts.starts
    if effort < 0.0:
        change = effort * (_MISSED + _MISSED_SHORT * np.exp(-length / _SHORT))
    else:
        change = np.full_like(length, effort * _OVERSHOT)
    moved = parts.values + (change * parts.vowel)[:, None] * (parts.values - lax)
    return replace(
        parts,
        values=np.clip(moved, 0.0, 1.0).astype(np.float32),
        strength=parts.strength ** np.float32(1.0 + _CONTRAST * effort),
        lead=parts.lead * reach,
        trail=parts.trail * reach,
    )


def share_with_jaw(curves: Float32[np.ndarray, "T C"], jaw_share: float) -> None:
    """Shift the opening from lips to jaw or back, in place, keeping the lip gap."""
    share = float(np.clip(jaw_share, -1.0, 1.0))
    if share == 0.0:
        return
    jaw = curves[:, CHANNEL["jawOpen"]]
    lower = curves[:, CHANNEL["mouthLowerDown"]]
    upper = curves[:, CHANNEL["mouthUpperUp"]]
    # Left and right both part the lips.
    by_lower, by_upper = 2.0 * PARTING["mouthLowerDown"], 2.0 * PARTING["mouthUpperUp"]
    if share > 0.0:
        given = np.float32(_FROM_LIPS * share)
        jaw += given * (by_lower * lower + by_upper * upper)
        lower *= 1.0 - given
        upper *= 1.0 - given
        return
    taken = np.float32(-_FROM_JAW * share) * jaw
    unit = taken / np.float32(_LOWER_TO_UPPER * by_lower + by_upper)
    # Lips that are nearly fully open leave the rest to the jaw.
    unit = np.minimum(unit, np.minimum((0.9 - lower) / _LOWER_TO_UPPER, 0.9 - upper))
    unit = np.maximum(unit, 0.0)
    lower += _LOWER_TO_UPPER * unit
    upper += unit
    jaw -= unit * np.float32(_LOWER_TO_UPPER * by_lower + by_upper)
