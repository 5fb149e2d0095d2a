# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyes that live: blinks, small gaze shifts and the lids that follow them.

A seeded random process, not a prediction: nothing in a voice says when its owner blinks, except
that people like to blink when a phrase ends. Figures for one blink (closing about 85 ms, shut
25 ms, opening about 180 ms) and the rate of 15 to 20 a minute while talking are the usual ones
of the blink literature; the sizes of gaze shifts are a quiet look into a camera.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.audio_to_mesh.loudness import phrase_ends
from shared.arkit import ARKIT_NAMES, INDEX

__all__ = ["blink_times", "blink_weights", "phrase_ends"]

BLINKS_PER_MINUTE = 17.5
CLOSING, SHUT, OPENING = 0.085, 0.025, 0.180
# Nobody blinks again at once, unless it is a double blink (about one in fifteen).
_SHORTEST_GAP, _DOUBLE_GAP, _DOUBLE_SHARE = 0.9, 0.42, 0.07
# A blink that is due moves to a phrase end that is this near, most of the time.
_EARLIER, _LATER, _MOVES = 1.3, 0.9, 0.75
_SQUINT = 0.18  # the muscle that shuts the lids also lifts the cheek edge a little

# The eye turns about 35 degrees at weight 1; fixations stay within a few degrees.
_GAZE_SPREAD = (0.085, 0.045)
_BACK_TO_CENTRE = 0.45
_FIXATION = (1.1, 0.55)  # median seconds and log spread
_SACCADE = 0.045
_LID_FOLLOWS = 0.35


def blink_weights(
    frame_count: int,
    fps: float,
    seed: int,
    strength: float,
    phrase_ends: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Eye curves [frame_count, 52]: blinks, gaze and lids; every other column is zero.

    `phrase_ends` are seconds (see `loudness.phrase_ends`). `strength` scales how often the eyes
    blink and how far they wander; 0 gives exact zeros. The same arguments give the same curves.
    """
    weights = np.zeros((frame_count, len(ARKIT_NAMES)), dtype=np.float32)
    if strength <= 0.0 or frame_count == 0:
        return weights
    duration = frame_count / fps
    timing, shape, gaze = (
        np.random.Generator(np.random.PCG64(sequence))
        for sequence in np.random.SeedSequence([seed & (2**64 - 1), 0xB11]).spawn(3)
    )
    times = blink_times(duration, timing, strength, phrase_ends)
    _add_blinks(weights, times, fps, shape)
    _add_gaze(weights, times, fps, gaze, min(strength, 2.0))
    return np.minimum(weights, 1.0, out=weights)


def blink_times(
    duration: float,
    random: np.random.Generator,
    strength: float,
    phrase_ends: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Onsets in seconds over `duration` seconds, drawn one after the other."""
    ends = np.sort(np.asarray(phrase_ends, dtype=np.float64))
    mean_gap = 60.0 / (BLINKS_PER_MINUTE * strength)
    # Double blinks come on top, so that the gaps between the others have to be longer.
    mean_free = max(mean_gap * (1 + _DOUBLE_SHARE) - _SHORTEST_GAP, 0.1)
    times: list[float] = []
    last = -random.uniform(0.0, mean_gap)
    while True:
        due = last + _SHORTEST_GAP + random.gamma(1.8, mean_free / 1.8)
        moves, delay, doubles = random.random(), random.uniform(0.02, 0.18), random.random()
        low, high = np.searchsorted(ends, [max(due - _EARLIER, last + _SHORTEST_GAP), due + _LATER])
        if high > low and moves < _MOVES:
            near = ends[low:high]
            due = float(near[np.argmin(np.abs(near - due))]) + delay
        if due >= duration:
            return np.array(times)
        if due >= 0.0:
            times.append(due)
            if doubles < _DOUBLE_SHARE:
                times.append(due + _DOUBLE_GAP)
        last = due + (_DOUBLE_GAP if doubles < _DOUBLE_SHARE else 0.0)


def _add_blinks(
    weights: NDArray[np.float32],
    times: NDArray[np.float64],
    fps: float,
    random: np.random.Generator,
) -> None:
    """Lay one closing and opening of the lids at each of `times` into `weights`."""
    count = len(times)
    if count == 0:
        return
    tempo = np.clip(random.normal(1.0, 0.12, (count, 3)), 0.7, 1.4)
    closing, shut, opening = CLOSING * tempo[:, 0], SHUT * tempo[:, 1], OPENING * tempo[:, 2]
    # One blink in eight does not shut the eye all the way.
    depth = np.where(
        random.random(count) < 0.125,
        random.uniform(0.55, 0.85, count),
        random.uniform(0.95, 1.0, count),
    )
    span = int(np.ceil((CLOSING + SHUT + OPENING) * 1.4 * fps)) + 2
    frames = np.floor(times * fps).astype(np.int64)[:, None] + np.arange(span)
    inside = (frames >= 0) & (frames < len(weights))
    for side in ("Left", "Right"):
        late = random.normal(0.0, 0.004, count)
        uneven = np.clip(random.normal(1.0, 0.02, count), 0.94, 1.0)
        since = frames / fps - (times + late)[:, None]
        lid = _lid(since, closing[:, None], shut[:, None], opening[:, None])
        lid *= (depth * uneven)[:, None]
        blink, squint = INDEX[f"eyeBlink{side}"], INDEX[f"eyeSquint{side}"]
        for every_other in (slice(0, None, 2), slice(1, None, 2)):
            # Neighbours may overlap, a blink and the next but one never do.
            among = inside[every_other]
            place = frames[every_other][among]
            weights[place, blink] = np.maximum(weights[place, blink], lid[every_other][among])
        weights[:, squint] = _SQUINT * weights[:, blink]


def _lid(
    since: NDArray[np.float64],
    closing: NDArray[np.float64],
    shut: NDArray[np.float64],
    opening: NDArray[np.float64],
) -> NDArray[np.float64]:
    """0 open to 1 shut, `since` seconds after the onset: quick down, stay, slow end upwards."""
    down = _ease(since / closing)
    up = np.clip((since - closing - shut) / opening, 0.0, 1.0)
    return down * (1.0 - _ease(1.0 - (1.0 - up) ** 1.4))


def _ease(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 to 1 with level ends."""
    share = np.clip(share, 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def _add_gaze(
    weights: NDArray[np.float32],
    blinks: NDArray[np.float64],
    fps: float,
    random: np.random.Generator,
    strength: float,
) -> None:
    """Small jumps of both eyes together, some of them hidden in blinks as people do."""
    frame_count = len(weights)
    duration = frame_count / fps
    draws = int(duration / 0.5) + 8
    gaps = np.maximum(_FIXATION[0] * np.exp(random.normal(0.0, _FIXATION[1], draws)), 0.2)
    starts = np.cumsum(gaps)
    hidden = blinks[random.random(len(blinks)) < 0.4] + CLOSING
    starts = np.sort(np.concatenate([starts[starts < duration], hidden]))
    targets = np.clip(random.normal(0.0, 1.0, (len(starts), 2)), -2.0, 2.0) * _GAZE_SPREAD
    targets[random.random(len(starts)) < _BACK_TO_CENTRE] *= 0.15
    steps = np.diff(np.concatenate([np.zeros((1, 2)), targets]), axis=0)

    # A sum of steps, each smeared over the frames that its saccade takes.
    span = int(np.ceil(_SACCADE * fps)) + 1
    frames = np.floor(starts * fps).astype(np.int64)[:, None] + np.arange(span + 1)
    done = _ease((frames / fps - starts[:, None]) / _SACCADE)
    moved = np.diff(done, axis=1, prepend=0.0)
    inside = frames < frame_count
    jumps = np.zeros((frame_count, 2))
    for axis in (0, 1):
        np.add.at(jumps[:, axis], frames[inside], (moved * steps[:, axis, None])[inside])
    sideways, up = (np.cumsum(jumps, axis=0) * strength).astype(np.float32).T

    to_left, to_right = np.maximum(sideways, 0.0), np.maximum(-sideways, 0.0)
    weights[:, INDEX["eyeLookOutLeft"]] = weights[:, INDEX["eyeLookInRight"]] = to_left
    weights[:, INDEX["eyeLookInLeft"]] = weights[:, INDEX["eyeLookOutRight"]] = to_right
    upward, downward = np.maximum(up, 0.0), np.maximum(-up, 0.0)
    for side in ("Left", "Right"):
        weights[:, INDEX[f"eyeLookUp{side}"]] = upward
        weights[:, INDEX[f"eyeLookDown{side}"]] = downward
        blink = INDEX[f"eyeBlink{side}"]
        # The upper lid rides on the eyeball; a shut eye has nothing to follow.
        open_share = 1.0 - weights[:, blink]
        weights[:, INDEX[f"eyeWide{side}"]] = _LID_FOLLOWS * upward * open_share
        weights[:, blink] += _LID_FOLLOWS * downward * open_share
