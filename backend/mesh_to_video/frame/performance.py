# SPDX-License-Identifier: GPL-3.0-or-later
"""What drives a portrait: the head in every frame, in the photo's pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Float64
from scipy.spatial.transform import Rotation

from backend.face.fit_photo import expression_weights
from backend.face.head.eyes import LOOK, RADIUS
from backend.face.pose import fit_similarity, image_to_axes
from backend.face.template import face_size, load_template
from shared.arkit import ARKIT_NAMES, INDEX
from shared.landmarks import (
    LANDMARK_COUNT,
    LEFT_EYE_CORNERS,
    LEFT_IRIS_CENTRE,
    LIP_LANDMARKS,
    RIGHT_EYE_CORNERS,
    RIGHT_IRIS_CENTRE,
    TRACKED_COUNT,
)
from shared.take import Take, resample_take

from .portrait import Portrait

# Of the photo's expression the upper face is kept, and this share of its smile; the mouth speaks.
SMILE_KEPT = 0.5
KEPT_WHOLE = ("brow", "eyeSquint", "eyeWide", "eyeBlink", "cheekSquint", "noseSneer")
KEPT_IN_PART = ("mouthSmile", "mouthDimple")
# Beyond the first angle the head follows less and less, and never past the second: what the photo
# does not show cannot be turned towards the viewer. Radians, and metres for shifts.
EASY_TURN, LARGEST_TURN = np.radians(18.0), np.radians(28.0)
# The same for the head's angles relative to the camera, including the pose in the photo.
EASY_WHOLE, LARGEST_WHOLE = np.radians(22.0), np.radians(34.0)
EASY_SHIFT, LARGEST_SHIFT = 0.015, 0.035
# Lips must be able to close: the residual of the fit is dropped within the first distance from them
# and kept beyond the second, metres.
LIPS_FREE, LIPS_FADE = 0.004, 0.014
# From this root mean square distance on, two faces belong to different people, metres.
OTHER_FACE = 0.0025
# The centre of each iris, and the corners of its eye.
_EYES = ((RIGHT_IRIS_CENTRE, RIGHT_EYE_CORNERS), (LEFT_IRIS_CENTRE, LEFT_EYE_CORNERS))


@runtime_checkable
class Performance(Protocol):
    """A head in motion, frame by frame."""

    @property
    def fps(self) -> float: ...

    @property
    def frame_count(self) -> int: ...

    def vertices(self, frame: int) -> Float32[np.ndarray, "V 3"]:
        """The driven head in the photo's pixels (right, down, away)."""
        ...


@dataclass(frozen=True, eq=False)
class TakePerformance:
    """A Take on the portrait's own head.

    base   the head at rest, with what the fit leaves unexplained added, metres
    kept   the weights of the photo's expression that stay
    notes  warnings for the user
    """

    portrait: Portrait
    take: Take
    base: Float32[np.ndarray, "V 3"]
    kept: Float32[np.ndarray, " 52"]
    notes: tuple[str, ...]

    @property
    def fps(self) -> float:
        return self.take.fps

    @property
    def frame_count(self) -> int:
        return self.take.frame_count

    def vertices(self, frame: int) -> Float32[np.ndarray, "V 3"]:
        rig, take = self.portrait.rig, self.take
        weights = 1.0 - (1.0 - self.kept) * (1.0 - take.weights[frame])
        moved = self.base + np.tensordot(weights.astype(np.float32), rig.shapes, axes=1)
        fields = min(take.offset_weights.shape[1], len(rig.lips))
        moved = moved + np.tensordot(take.offset_weights[frame, :fields], rig.lips[:fields], axes=1)
        angles = possible_turn(take.head_rotation[frame], np.array(self.portrait.neutral.angles))
        turn = Rotation.from_euler("xyz", angles).as_matrix().astype(np.float32)
        shift = softly_limited(take.head_translation[frame], EASY_SHIFT, LARGEST_SHIFT)
        return self.portrait.in_photo(moved @ turn.T + shift.astype(np.float32))


def take_performance(portrait: Portrait, take: Take, fps: float) -> TakePerformance:
    """The Take at `fps` frames per second on the face of the photo.

    The mouth follows the Take; the upper face adds to its expression in the photo; the head moves
    starting from its pose in the photo. A Take made for another face is adapted to this one.
    """
    notes = []
    if _differs(portrait, take):
        notes.append(
            "The performance was made for another face; it was adapted to the one in the photo."
        )
    if np.abs(take.head_rotation).max() > LARGEST_TURN:
        notes.append(
            "The head turns further than one photo can show; "
            f"its turns were limited to {np.degrees(LARGEST_TURN):.0f} degrees."
        )
    base = portrait.rig.rest + portrait.rig.carried(portrait.misfit * _away_from_lips()[:, None])
    return TakePerformance(
        portrait, resample_take(take, fps), base, kept_weights(portrait.expression), tuple(notes)
    )


def kept_weights(expression: Float64[np.ndarray, " 52"]) -> Float32[np.ndarray, " 52"]:
    """The part of a photo's expression that stays while the person speaks."""
    kept = np.zeros(len(ARKIT_NAMES), np.float32)
    for index, name in enumerate(ARKIT_NAMES):
        if name.startswith(KEPT_WHOLE):
            kept[index] = expression[index]
        elif name.startswith(KEPT_IN_PART):
            kept[index] = SMILE_KEPT * expression[index]
    return kept


def softly_limited(
    values: Float[np.ndarray, ...], easy: float, largest: float
) -> Float64[np.ndarray, ...]:
    """Values unchanged up to `easy`, beyond it approaching `largest` asymptotically."""
    size = np.abs(np.asarray(values, np.float64))
    room = largest - easy
    beyond = easy + room * np.tanh((size - easy) / room)
    return np.asarray(np.sign(values) * np.where(size > easy, beyond, size))


def possible_turn(
    angles: Float[np.ndarray, " 3"], in_photo: Float64[np.ndarray, " 3"]
) -> Float64[np.ndarray, " 3"]:
    """The head's angles, limited to what a photo with the head at angles `in_photo` can show."""
    limited = softly_limited(angles, EASY_TURN, LARGEST_TURN)
    whole = in_photo + limited
    # A head that is turned in the photo may turn back freely, but hardly any further.
    further = np.abs(whole) > np.abs(in_photo)
    held = softly_limited(whole, EASY_WHOLE, LARGEST_WHOLE) - in_photo
    # Where the photo itself is beyond the limit, its own pose stays possible.
    held = np.where(np.sign(held) == np.sign(limited), held, 0.0)
    return np.where(further, held, limited)


def _away_from_lips() -> Float64[np.ndarray, " 468"]:
    """0 on the lips, rising to 1 away from them, per landmark."""
    lips = list(LIP_LANDMARKS)
    away = load_template().distances[lips].min(axis=0)
    share = np.clip((away - LIPS_FREE) / (LIPS_FADE - LIPS_FREE), 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


def _differs(portrait: Portrait, take: Take) -> bool:
    """Whether a Take was made for another person."""
    if len(take.neutral) != LANDMARK_COUNT:
        return True
    weights = load_template().rigidity[:LANDMARK_COUNT]
    own = portrait.neutral.vertices
    theirs = fit_similarity(take.neutral.astype(np.float64), own, weights).apply(
        take.neutral.astype(np.float64)
    )
    return bool(np.sqrt(((theirs - own) ** 2).sum(axis=1).mean()) > OTHER_FACE)


@dataclass(frozen=True, eq=False)
class TrackedPerformance:
    """A portrait driven by tracked landmarks, in the photo's pixels."""

    portrait: Portrait
    landmarks: Float64[np.ndarray, "T 478 3"]
    fps: float

    @property
    def frame_count(self) -> int:
        return len(self.landmarks)

    def vertices(self, frame: int) -> Float32[np.ndarray, "V 3"]:
        portrait, rig = self.portrait, self.portrait.rig
        template = load_template()
        points = image_to_axes(self.landmarks[frame])
        to_head = fit_similarity(points, portrait.neutral.aligned, template.rigidity)
        aligned = to_head.apply(points)
        rest = portrait.neutral.vertices
        trust = np.ones(TRACKED_COUNT)
        weights = expression_weights(rest, aligned[:LANDMARK_COUNT], trust, to_head.rotation.T)
        weights = weights + self._look(aligned)
        head = rig.rest + rig.carried(aligned[:LANDMARK_COUNT] - rest)
        head = head + np.tensordot(weights.astype(np.float32), rig.inner, axes=1)
        moved = to_head.inverse().apply(np.asarray(head, np.float64))
        return np.stack([moved[:, 0], -moved[:, 2], moved[:, 1]], axis=1).astype(np.float32)

    def _look(self, aligned: Float64[np.ndarray, "478 3"]) -> Float64[np.ndarray, " 52"]:
        """Weights of the eight look shapes, from how far the irises moved since the photo."""
        portrait = self.portrait
        size = face_size(portrait.neutral.vertices) / face_size(load_template().vertices)
        weights = np.zeros(len(ARKIT_NAMES))
        turns = []
        for iris, corners in _EYES:
            middle = aligned[list(corners)].mean(axis=0)
            before = portrait.neutral.aligned[list(corners)].mean(axis=0)
            moved = (aligned[iris] - middle) - (portrait.neutral.aligned[iris] - before)
            turns.append(np.degrees(np.arcsin(np.clip(moved[[0, 2]] / (RADIUS * size), -0.6, 0.6))))
        across, up = np.mean(turns, axis=0)
        for side, outward in (("Left", across), ("Right", -across)):
            for name, turn in (("Out", outward), ("In", -outward), ("Up", up), ("Down", -up)):
                weights[INDEX[f"eyeLook{name}{side}"]] = np.clip(turn / LOOK[name], 0.0, 1.0)
        return weights


def tracked_performance(
    portrait: Portrait, landmarks: Float[np.ndarray, "T 478 3"], fps: float
) -> TrackedPerformance:
    """The portrait driven by tracked landmarks, in the photo's pixels."""
    return TrackedPerformance(portrait, np.asarray(landmarks, np.float64), fps)
