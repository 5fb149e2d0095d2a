# SPDX-License-Identifier: GPL-3.0-or-later
"""Eye motion: blinks, small gaze shifts and the lids that follow them.

A seeded random process, not a prediction: a voice does not tell when its speaker blinks, except
that people tend to blink at the end of a phrase. The durations of a blink (closing about 85 ms,
shut 25 ms, opening about 180 ms) and the rate of 15 to 20 per minute while talking are typical of
the blink literature; the sizes of gaze shifts are those of a calm look into a camera.

Frames are generated in order and never revised, so the eyes can be generated while somebody speaks,
and again for a finished performance whose phrase ends are known (`redrawn_eyes`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..arkit import ARKIT_NAMES, INDEX

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64

BLINKS_PER_MINUTE = 17.5
CLOSING, SHUT, OPENING = 0.085, 0.025, 0.180
_LONGEST = (CLOSING + SHUT + OPENING) * 1.4 + 0.05
# Blinks do not follow each other at once, except double blinks (about one in fifteen).
_SHORTEST_GAP, _DOUBLE_GAP, _DOUBLE_SHARE = 0.9, 0.42, 0.07
# Most blinks move to the first phrase end within these seconds before and after they are due.
_EARLIER, _LATER, _MOVES = 1.5, 0.5, 0.75
_SQUINT = 0.18  # the muscle that shuts the lids also lifts the edge of the cheek slightly

# The eye turns about 35 degrees at weight 1; fixations stay within a few degrees.
_GAZE_SPREAD = (0.085, 0.045)
_BACK_TO_CENTRE = 0.45
_FIXATION = (1.1, 0.55)  # median seconds and log spread
_SACCADE = 0.045
_HIDDEN = 0.4  # share of the blinks that hide a gaze shift
_LID_FOLLOWS = 0.35

Random = np.random.Generator


class EyeProcess:
    """The eyes of one performance, frame after frame.

    `blinks` scales how often they blink and `gaze` how far they wander; 0 gives none at all. The
    same arguments and phrase ends give the same curves, however the calls are divided up.
    """

    def __init__(self, fps: float, seed: int, blinks: float = 1.0, gaze: float = 1.0) -> None:
        self._fps, self._gaze = fps, gaze
        self.frames = 0
        timing, shape, looks, hidden = (
            np.random.Generator(np.random.PCG64(sequence))
            for sequence in np.random.SeedSequence([seed & (2**64 - 1), 0xB11]).spawn(4)
        )
        self._times = _BlinkTimes(timing, blinks) if blinks > 0 else None
        self._shape, self._look, self._hidden = shape, looks, hidden
        self._blinks: list[tuple[float, ...]] = []
        # Two looks straight ahead before the beginning, from which the first ones start.
        self._looks: list[tuple[float, float, float]] = [(-2.0, 0.0, 0.0), (-1.0, 0.0, 0.0)]
        self._next_look = self._fixation()

    def push(
        self, ends: Float64[np.ndarray, " N"], known_until: float
    ) -> Float32[np.ndarray, "T 52"]:
        """The curves of the frames that are certain now.

        `ends` are the next phrase ends; before `known_until` there are no others. In seconds.
        """
        self._draw(ends, known_until)
        return self._frames(max(math.ceil(known_until * self._fps - 1e-9), self.frames))

    def finish(self, frame_count: int) -> Float32[np.ndarray, "T 52"]:
        """The curves of the remaining frames, of `frame_count` in total."""
        self._draw(np.zeros(0), math.inf, frame_count / self._fps)
        return self._frames(max(frame_count, self.frames))

    def _draw(self, ends: NDArray[np.float64], known: float, until: float = math.inf) -> None:
        """Generate the blinks and looks before `until`, as far as they are certain."""
        until = min(until, known)
        new = self._times.push(ends, known, until) if self._times else []
        for time in new:
            tempo = np.clip(1.0 + 0.12 * self._shape.standard_normal(3), 0.7, 1.4)
            late = 0.004 * self._shape.standard_normal(2)
            uneven = np.clip(1.0 + 0.02 * self._shape.standard_normal(2), 0.94, 1.0)
            shallow, depth = self._shape.random(2)
            # One blink in eight does not shut the eye all the way.
            depth = 0.55 + 0.3 * depth if shallow < 0.125 else 0.95 + 0.05 * depth
            self._blinks.append((time, *tempo, *late, *(depth * uneven)))
            target, share = self._target(self._hidden), self._hidden.random()
            if share < _HIDDEN:
                self._looks.append((time + CLOSING, *target))
        while self._next_look[0] < until:
            self._looks.append(self._next_look)
            self._next_look = self._fixation()
        self._looks.sort()

    def _fixation(self) -> tuple[float, float, float]:
        gap = max(_FIXATION[0] * math.exp(_FIXATION[1] * self._look.standard_normal()), 0.2)
        last = getattr(self, "_next_look", (0.0, 0.0, 0.0))[0]
        return (last + gap, *self._target(self._look))

    @staticmethod
    def _target(random: Random) -> tuple[float, float]:
        x, y = np.clip(random.standard_normal(2), -2.0, 2.0) * _GAZE_SPREAD
        nearer = 0.15 if random.random() < _BACK_TO_CENTRE else 1.0
        return float(x) * nearer, float(y) * nearer

    def _frames(self, until: int) -> Float32[np.ndarray, "T 52"]:
        weights = np.zeros((until - self.frames, len(ARKIT_NAMES)), np.float32)
        if not len(weights):
            return weights
        first, self.frames = self.frames, until
        _add_blinks(weights, first, self._fps, np.array(self._blinks).reshape(-1, 8))
        if self._gaze > 0:
            time = np.arange(first, until) / self._fps
            _add_gaze(weights, _directions(time, np.array(self._looks)) * self._gaze)
        now = until / self._fps
        self._blinks = [blink for blink in self._blinks if blink[0] > now - _LONGEST]
        past = sum(look[0] <= now for look in self._looks)
        self._looks = self._looks[max(past - 3, 0) :]
        return np.minimum(weights, 1.0, out=weights)


class _BlinkTimes:
    """Onsets of blinks in seconds, drawn one after the other."""

    def __init__(self, random: Random, rate: float) -> None:
        self._random = random
        mean_gap = 60.0 / (BLINKS_PER_MINUTE * rate)
        # Double blinks are added, so the gaps between the others have to be longer.
        self._mean_free = max(mean_gap * (1 + _DOUBLE_SHARE) - _SHORTEST_GAP, 0.1)
        self._last = -random.uniform(0.0, mean_gap)
        self._ends: list[float] = []
        self._plan()

    def _plan(self) -> None:
        random = self._random
        self._due = self._last + _SHORTEST_GAP + random.gamma(1.8, self._mean_free / 1.8)
        self._moves = random.random() < _MOVES
        self._delay, self._doubles = random.uniform(0.02, 0.18), random.random() < _DOUBLE_SHARE

    def push(self, ends: NDArray[np.float64], known: float, until: float) -> list[float]:
        """The next onsets before `until`, given all phrase ends before `known`."""
        self._ends += [float(end) for end in ends]
        found: list[float] = []
        while (due := self._decided(known)) is not None and due < until:
            if due >= 0.0:
                found.append(due)
                if self._doubles:
                    found.append(due + _DOUBLE_GAP)
            self._last = due + (_DOUBLE_GAP if self._doubles else 0.0)
            self._plan()
        return found

    def _decided(self, known: float) -> float | None:
        """When the next blink begins; None while that depends on phrase ends not known yet."""
        if not self._moves:
            return self._due
        earliest = max(self._due - _EARLIER, self._last + _SHORTEST_GAP)
        self._ends = [end for end in self._ends if end >= earliest]
        if self._ends and self._ends[0] <= self._due + _LATER:
            return self._ends[0] + self._delay
        return self._due + _LATER if known > self._due + _LATER else None


def eye_weights(
    frame_count: int,
    fps: float,
    seed: int,
    blinks: float,
    gaze: float,
    phrase_ends: Float64[np.ndarray, " N"],
) -> Float32[np.ndarray, "T 52"]:
    """The eye curves of a whole performance; every other column is zero.

    `phrase_ends` are in seconds, in order.
    """
    process = EyeProcess(fps, seed, blinks, gaze)
    first = process.push(np.asarray(phrase_ends, np.float64), 0.0)
    return np.concatenate([first, process.finish(frame_count)])[:frame_count]


def _add_blinks(
    weights: Float32[np.ndarray, "T 52"],
    first: int,
    fps: float,
    blinks: Float64[np.ndarray, "N 8"],
) -> None:
    """Add blinks to the frames from `first` on, in place.

    Columns of `blinks`: onset in seconds; factors on the durations of closing, shut and opening;
    delay of the left and right lid in seconds; depth left and right.
    """
    if not len(blinks):
        return
    times = blinks[:, 0]
    closing, shut, opening = (blinks[:, 1:4] * (CLOSING, SHUT, OPENING)).T[:, :, None]
    span = math.ceil(_LONGEST * fps) + 2
    numbers = np.floor(times * fps).astype(np.int64)[:, None] + np.arange(span)
    inside = (numbers >= first) & (numbers < first + len(weights))
    for side, name in enumerate(("Left", "Right")):
        since = numbers / fps - (times + blinks[:, 4 + side])[:, None]
        lid = _lid(since, closing, shut, opening) * blinks[:, 6 + side, None]
        blink, squint = INDEX[f"eyeBlink{name}"], INDEX[f"eyeSquint{name}"]
        column = weights[:, blink]
        # Successive blinks may overlap.
        np.maximum.at(column, numbers[inside] - first, lid[inside].astype(np.float32))
        weights[:, squint] = _SQUINT * column


def _lid(
    since: NDArray[np.float64],
    closing: NDArray[np.float64],
    shut: NDArray[np.float64],
    opening: NDArray[np.float64],
) -> NDArray[np.float64]:
    """0 open to 1 shut, `since` seconds after the onset: quick down, pause, slowing up."""
    down = _ease(since / closing)
    up = np.clip((since - closing - shut) / opening, 0.0, 1.0)
    return down * (1.0 - _ease(1.0 - (1.0 - up) ** 1.4))


def _ease(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """A smooth step from 0 to 1 with zero slope at both ends."""
    share = np.clip(share, 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def _directions(
    time: Float64[np.ndarray, " T"], looks: Float64[np.ndarray, "N 3"]
) -> Float64[np.ndarray, "T 2"]:
    """Where the eyes look (sideways, up) at each time: small jumps of both eyes together.

    `looks` in order: when a jump begins and where it goes (sideways, up).
    """
    starts, targets = looks[:, 0], looks[:, 1:]
    now = np.searchsorted(starts, time, side="right") - 1
    # The previous jump may not have ended yet.
    found = targets[np.maximum(now - 2, 0)].copy()
    for jump in (now - 1, now):
        done = _ease((time - starts[jump]) / _SACCADE)[:, None]
        found += done * (targets[jump] - targets[np.maximum(jump - 1, 0)])
    return found


def _add_gaze(weights: Float32[np.ndarray, "T 52"], directions: Float64[np.ndarray, "T 2"]) -> None:
    sideways, up = directions.astype(np.float32).T
    to_left, to_right = np.maximum(sideways, 0.0), np.maximum(-sideways, 0.0)
    weights[:, INDEX["eyeLookOutLeft"]] = weights[:, INDEX["eyeLookInRight"]] = to_left
    weights[:, INDEX["eyeLookInLeft"]] = weights[:, INDEX["eyeLookOutRight"]] = to_right
    upward, downward = np.maximum(up, 0.0), np.maximum(-up, 0.0)
    for side in ("Left", "Right"):
        weights[:, INDEX[f"eyeLookUp{side}"]] = upward
        weights[:, INDEX[f"eyeLookDown{side}"]] = downward
        blink = INDEX[f"eyeBlink{side}"]
        # The upper lid follows the eyeball, unless it is shut.
        open_share = 1.0 - weights[:, blink]
        weights[:, INDEX[f"eyeWide{side}"]] = _LID_FOLLOWS * upward * open_share
        weights[:, blink] += _LID_FOLLOWS * downward * open_share
