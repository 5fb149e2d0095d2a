# SPDX-License-Identifier: GPL-3.0-or-later
"""Statistics of a training set, measured before the first step and kept with the weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy.typing import NDArray

from backend.audio.log_mel import BANDS, level
from backend.audio_to_mesh.channels import CHANNELS, CLASSES
from backend.audio_to_mesh.motion_model import PhonePoses
from backend.audio_to_mesh.speaker import SpeakerStyle
from backend.training.corpus.utterance import Phone
from backend.training.motion.batches import cut_lesson
from backend.training.motion.prepare import is_recorded
from backend.training.motion.prepared import Prepared
from backend.training.teacher.articulation import phone_classes, phone_names, targets
from backend.training.teacher.driven_mesh import face_pool

_Clip = tuple[NDArray[np.float32], tuple[Phone, ...]]
# Classes without a pose of their own: contact and rest are applied by the decoder.
_WITHOUT_POSE = ("bilabial", "labiodental", "silence")


@dataclass(frozen=True, eq=False)
class SetStatistics:
    """Statistics of a training set.

    spread   standard deviation of the curves and of their change per frame
    profile  mean log spectrum of speech relative to its peak
    phones   mean pose and frequency of each phone
    """

    spread: Float32[np.ndarray, "2 C"]
    profile: Float32[np.ndarray, " 160"]
    phones: PhonePoses


def measure(prepared: Prepared) -> SetStatistics:
    """All statistics, from clips spread evenly over the set."""
    return SetStatistics(channel_spread(prepared), usual_profile(prepared), phone_poses(prepared))


def _some_clips(prepared: Prepared, count: int, recorded: bool = False) -> Iterator[_Clip]:
    """Clips with a voice, spread evenly over the set.

    With `recorded`, only recordings of people, if there are any.
    """
    chosen = prepared.corpus != "noise"
    people = np.array([is_recorded(str(name)) for name in prepared.corpus], bool)
    if recorded and people.any():
        chosen = people
    voices = np.flatnonzero(chosen)
    labels = frozenset(phone_names())
    for clip in voices[:: max(len(voices) // count, 1)]:
        found = prepared.read(int(clip), labels)
        if found is not None:
            yield found


def channel_spread(prepared: Prepared) -> Float32[np.ndarray, "2 C"]:
    """Standard deviation of each channel and of its change per frame.

    Floors keep channels that hardly move from dominating the loss.
    """
    pieces, face = [np.zeros((1, len(CHANNELS)), np.float32)], face_pool()[0]
    for features, phones in _some_clips(prepared, 300):
        lesson, _ = cut_lesson(phones, features, 0, len(features), SpeakerStyle(), face)
        pieces.append(lesson.curves)
    curves = np.concatenate(pieces)
    change = np.concatenate([np.diff(piece, axis=0) for piece in pieces])
    change = change if len(change) else np.zeros_like(curves)
    spread = np.stack([curves.std(axis=0), change.std(axis=0)])
    return np.asarray(np.maximum(spread, [[0.03], [0.004]]), np.float32)


def usual_profile(prepared: Prepared) -> Float32[np.ndarray, " 160"]:
    """The mean log spectrum of loud frames relative to each clip's peak, over the set."""
    total, count = np.zeros(BANDS), 0
    for features, _ in _some_clips(prepared, 2000):
        loud = level(features)
        peak = np.quantile(loud, 0.98)
        total += (features[loud >= peak - 8.0] - peak).sum(axis=0)
        count += int((loud >= peak - 8.0).sum())
    return (total / max(count, 1)).astype(np.float32)


def phone_poses(prepared: Prepared) -> PhonePoses:
    """The teacher's mean pose of each phone, and the phone's share of the speech of people.

    Without recordings of people, all voices are used. One extra second per phone keeps the weight
    of phones that never occur finite.
    """
    names = phone_names()
    number = {name: row for row, name in enumerate(names)}
    seconds = np.ones(len(names))
    for _, phones in _some_clips(prepared, 2500, recorded=True):
        for phone in phones:
            seconds[number[phone.label]] += phone.end - phone.start
    contact = np.isin([CLASSES[number] for number in phone_classes()], _WITHOUT_POSE)
    share = np.where(contact, 0.0, seconds / seconds.sum())
    poses = np.stack([np.mean([part.values for part in targets(n)], axis=0) for n in names])
    poses[contact] = 0.0
    return PhonePoses(poses.astype(np.float32), share.astype(np.float32))
