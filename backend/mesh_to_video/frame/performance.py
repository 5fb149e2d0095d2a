# SPDX-License-Identifier: GPL-3.0-or-later
"""What moves a portrait: the driven head of every frame, in the photo's pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
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

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

# Of the photo's expression the upper face stays, and of its smile this share; the mouth speaks.
SMILE_KEPT = 0.5
KEPT_WHOLE = ("brow", "eyeSquint", "eyeWide", "eyeBlink", "cheekSquint", "noseSneer")
KEPT_IN_PART = ("mouthSmile", "mouthDimple")
# Beyond the first angle the head follows less and less, and never further than the second: what
# the photo does not show cannot be turned to the viewer. Radians; and metres for shifts.
EASY_TURN, LARGEST_TURN = np.radians(18.0), np.radians(28.0)
# The same for the head's angles against the camera, the photo's own included.
EASY_WHOLE, LARGEST_WHOLE = np.radians(22.0), np.radians(34.0)
EASY_SHIFT, LARGEST_SHIFT = 0.015, 0.035
# Lips must be able to close: near them nothing is kept of what the fit leaves unexplained, metres.
LIPS_FREE, LIPS_FADE = 0.004, 0.014
# Root mean square distance of two faces from which on they are different people, metres.
OTHER_FACE = 0.0025
# The middle of each iris, and the corners between which it looks.
_EYES = ((RIGHT_IRIS_CENTRE, RIGHT_EYE_CORNERS), (LEFT_IRIS_CENTRE, LEFT_EYE_CORNERS))


class Performance(Protocol):
    """T frames of a head in motion."""

    @property
    def fps(self) -> float: ...

    @property
    def frame_count(self) -> int: ...

    def vertices(self, frame: int) -> Singles:
        """The driven head [V,3] in the photo's pixels (right, down, away)."""
        ...


@dataclass(frozen=True, eq=False)
class TakePerformance:
    """A Take on the portrait's own head; `notes` are sentences worth telling."""

    portrait: Portrait
    take: Take
    base: Singles
    kept: Singles
    notes: tuple[str, ...]

    @property
    def fps(self) -> float:
        return self.take.fps

    @property
    def frame_count(self) -> int:
        return self.take.frame_count

    def vertices(self, frame: int) -> Singles:
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
    """The Take at `fps` frames a second on the face of the photo.

    The mouth does what the Take says; the upper face adds to what it does in the photo; the head
    moves from the photo's pose. A Take that was made for another face is fitted to this one.
    """
    notes = []
    if _differs(portrait, take):
        notes.append(
            "The performance was made for another face; it was fitted to the one in the photo."
        )
    if np.abs(take.head_rotation).max() > LARGEST_TURN:
        notes.append(
            "The head turns further than one photo can show; "
            f"it was held within {np.degrees(LARGEST_TURN):.0f} degrees."
        )
    base = portrait.rig.rest + portrait.rig.carried(portrait.misfit * _away_from_lips()[:, None])
    return TakePerformance(
        portrait, resample_take(take, fps), base, kept_weights(portrait.expression), tuple(notes)
    )


def kept_weights(expression: Floats) -> Singles:
    """The part [52] of a photo's expression that stays while the person speaks."""
    kept = np.zeros(len(ARKIT_NAMES), np.float32)
    for index, name in enumerate(ARKIT_NAMES):
        if name.startswith(KEPT_WHOLE):
            kept[index] = expression[index]
        elif name.startswith(KEPT_IN_PART):
            kept[index] = SMILE_KEPT * expression[index]
    return kept


def softly_limited(values: NDArray[np.floating], easy: float, largest: float) -> Floats:
    """Values unchanged up to `easy`, then slower and slower towards `largest`."""
    size = np.abs(np.asarray(values, np.float64))
    room = largest - easy
    beyond = easy + room * np.tanh((size - easy) / room)
    return np.asarray(np.sign(values) * np.where(size > easy, beyond, size))


def possible_turn(angles: NDArray[np.floating], in_photo: Floats) -> Floats:
    """The head's angles [3] as far as a photo allows them whose head has the angles `in_photo`."""
    limited = softly_limited(angles, EASY_TURN, LARGEST_TURN)
    whole = in_photo + limited
    # A head that is turned in the photo may come back freely, but hardly turn on.
    further = np.abs(whole) > np.abs(in_photo)
    held = softly_limited(whole, EASY_WHOLE, LARGEST_WHOLE) - in_photo
    # Where the photo itself is beyond the limit, its own pose stays possible.
    held = np.where(np.sign(held) == np.sign(limited), held, 0.0)
    return np.where(further, held, limited)


def _away_from_lips() -> Floats:
    """0 on the lips to 1 where they are no longer near, [468]."""
    lips = list(LIP_LANDMARKS)
    away = load_template().distances[lips].min(axis=0)
    share = np.clip((away - LIPS_FREE) / (LIPS_FADE - LIPS_FREE), 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


def _differs(portrait: Portrait, take: Take) -> bool:
    """Whether a Take was made for somebody else."""
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
    """Landmarks [T,478,3] in the photo's pixels as what moves the portrait."""

    portrait: Portrait
    landmarks: Floats
    fps: float

    @property
    def frame_count(self) -> int:
        return len(self.landmarks)

    def vertices(self, frame: int) -> Singles:
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

    def _look(self, aligned: Floats) -> Floats:
        """Weights [52] of the eight look shapes: where the irises went from the photo's."""
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


def tracked_performance(portrait: Portrait, landmarks: Floats, fps: float) -> TrackedPerformance:
    """Tracked landmarks [T,478,3], in the photo's pixels, as what moves the portrait."""
    return TrackedPerformance(portrait, np.asarray(landmarks, np.float64), fps)
