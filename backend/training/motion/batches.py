# SPDX-License-Identifier: GPL-3.0-or-later
"""Random batches: excerpts of the prepared set, warped and masked, with targets made on the fly.

Every excerpt gets a speaker style and a face of its own, so the teacher's targets differ each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from backend.audio.log_mel import COARSE_BANDS, FINE_BANDS, FRAME_RATE, normalise
from backend.audio.reference import BLOCK as REFERENCE_BLOCK
from backend.audio.reference import HISTORY, references
from backend.audio_to_mesh.channels import CHANNELS
from backend.audio_to_mesh.lip_motion import DrivenFace
from backend.audio_to_mesh.lip_offsets import offset_targets
from backend.audio_to_mesh.speaker import OFFSETS, STYLE_SIZE, SpeakerStyle, style_vector
from backend.training.corpus.utterance import Phone
from backend.training.motion.prepared import Prepared
from backend.training.teacher.articulation import (
    Lesson,
    loudness,
    phone_classes,
    phone_names,
    teach,
)
from backend.training.teacher.driven_mesh import face_pool, lesson_lips
from backend.training.teacher.manner import random_style
from shared.errors import ErrorKind, VividKeysError

# The teacher's context on either side of an excerpt, seconds, to avoid artefacts at its edges.
_MARGIN = 1.0
# This many unreadable clips in a row mean that the set is unusable.
_PATIENCE = 200


@dataclass(frozen=True)
class BatchRecipe:
    """What a batch is made of. `mix` selects corpora by the prefix of their names."""

    size: int = 16
    seconds: float = 3.0
    mix: tuple[tuple[str, float], ...] = (
        ("real", 0.5),
        ("native", 0.17),
        ("espeak", 0.11),
        ("flite", 0.11),
        ("festival", 0.07),
        ("noise", 0.04),
    )
    # Short excerpts teach the network to do without most of the future, as live use requires.
    short: float = 0.2
    short_seconds: float = 1.2
    warp: tuple[float, float] = (0.86, 1.17)
    shift: float = 1.5
    band_mask: float = 0.4
    time_mask: float = 0.2
    # The share of excerpts that start a stream; the others have a past.
    fresh: float = 0.2
    # The share of excerpts spoken in the default style, by the mean face.
    plain: float = 0.4


@dataclass(frozen=True)
class Batch:
    """Inputs and targets of B excerpts.

    `known` is 1 where the clip has frames and 0 in the padding after short ones; `offsets` are
    weights of the lip offset fields.
    """

    features: Float32[Tensor, "B T 160"]
    style: Float32[Tensor, "B style"]
    curves: Float32[Tensor, "B T C"]
    offsets: Float32[Tensor, "B T K"]
    phones: Int64[Tensor, "B T"]
    classes: Int64[Tensor, "B T"]
    known: Float32[Tensor, "B T"]

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(**{item.name: getattr(self, item.name).to(device) for item in fields(self)})


@dataclass(frozen=True)
class _Piece:
    """An excerpt: normalised features, the teacher's lesson and the lip offsets."""

    features: Float32[np.ndarray, "T 160"]
    lesson: Lesson
    offsets: Float32[np.ndarray, "T K"]


def cut_lesson(
    phones: tuple[Phone, ...],
    features: Float32[np.ndarray, "T 160"],
    first: int,
    frames: int,
    style: SpeakerStyle,
    face: DrivenFace,
) -> tuple[Lesson, Float32[np.ndarray, "N K"]]:
    """The teacher's lesson for `frames` frames from `first` on, and the face's lip offsets.

    `features` and `phones` are those of the whole clip, which is the context.
    """
    margin = int(_MARGIN * FRAME_RATE)
    begin, end = max(first - margin, 0), min(first + frames + margin, len(features))
    low, high = begin / FRAME_RATE, end / FRAME_RATE
    near = tuple(
        Phone(max(p.start, low) - low, min(p.end, high) - low, p.label)
        for p in phones
        if p.end > low and p.start < high
    )
    lesson = teach(near, loudness(features[begin:end]), style)
    driven, linear = lesson_lips(face.lips, lesson)
    inside = slice(first - begin, first - begin + frames)
    offsets = offset_targets(driven[inside], linear[inside], face.neutral)
    cut = {
        name: getattr(lesson, name)[inside]
        for name in ("curves", "seal", "tuck", "rest", "phones", "classes")
    }
    return replace(lesson, **cut), offsets


def _piece(
    clip: tuple[Float32[np.ndarray, "T 160"], tuple[Phone, ...]],
    frames: int,
    speaker: tuple[SpeakerStyle, DrivenFace],
    profile: Float32[np.ndarray, " 160"],
    recipe: BatchRecipe,
    random: np.random.Generator,
) -> _Piece:
    """A random excerpt of a clip, normalised with the reference that a stream would have there."""
    whole, phones = clip
    taken = min(frames, len(whole))
    first = int(random.integers(0, len(whole) - taken + 1))
    past = int(random.integers(0, HISTORY * REFERENCE_BLOCK + 1))
    begin = first if random.random() < recipe.fresh else max(first - past, 0)
    heard = whole[begin : first + taken]
    normal = normalise(heard, references(heard, profile))[first - begin :]
    lesson, offsets = cut_lesson(phones, whole, first, taken, *speaker)
    return _Piece(normal, lesson, offsets)


def _random_speaker(
    recipe: BatchRecipe, random: np.random.Generator
) -> tuple[SpeakerStyle, DrivenFace]:
    faces = face_pool()
    if random.random() < recipe.plain:
        return SpeakerStyle(), faces[0]
    return random_style(random), faces[int(random.integers(len(faces)))]


def warp_bands(
    features: Float32[np.ndarray, "B T 160"],
    factor: Float32[np.ndarray, " B"],
    shift: Float32[np.ndarray, " B"],
) -> Float32[np.ndarray, "B T 160"]:
    """Stretch the mel axis by `factor` and shift it by `shift` coarse bins.

    This imitates a longer or shorter vocal tract.
    """
    result = np.empty_like(features)
    offset = 0
    for bands in (COARSE_BANDS, FINE_BANDS, FINE_BANDS):
        part = features[:, :, offset : offset + bands]
        scaled_shift = shift[:, None] * (bands / COARSE_BANDS)
        position = np.arange(bands, dtype=np.float32)[None] * factor[:, None] + scaled_shift
        position = np.clip(position, 0.0, bands - 1.001)
        below = position.astype(np.int64)
        share = (position - below)[:, None, :]
        lower = np.take_along_axis(part, below[:, None, :], axis=2)
        upper = np.take_along_axis(part, below[:, None, :] + 1, axis=2)
        result[:, :, offset : offset + bands] = lower + share * (upper - lower)
        offset += bands
    return result


def _mask(
    features: Float32[np.ndarray, "B T 160"], recipe: BatchRecipe, random: np.random.Generator
) -> None:
    """Mask one band of frequencies in some excerpts and a few frames in others; in place."""
    for piece in features:
        if random.random() < recipe.band_mask:
            width = random.uniform(0.02, 0.15)
            low = random.uniform(0.0, 1.0 - width)
            offset = 0
            for bands in (COARSE_BANDS, FINE_BANDS, FINE_BANDS):
                first = offset + int(low * bands)
                piece[:, first : first + int(np.ceil(width * bands))] = 0.0
                offset += bands
        if random.random() < recipe.time_mask:
            width = int(random.integers(2, 9))
            first = int(random.integers(0, max(len(piece) - width, 1)))
            piece[first : first + width] = 0.0


def corpora(prepared: Prepared, recipe: BatchRecipe) -> list[tuple[Int64[np.ndarray, " _"], float]]:
    """Clip numbers and share of each entry of the mix for which the prepared set has clips."""
    found = [
        (np.flatnonzero(np.char.startswith(prepared.corpus, prefix)), share)
        for prefix, share in recipe.mix
    ]
    return [(clips, share) for clips, share in found if len(clips)]


def _random_clips(
    prepared: Prepared, recipe: BatchRecipe, count: int, random: np.random.Generator
) -> Iterator[tuple[Float32[np.ndarray, "_ 160"], tuple[Phone, ...]]]:
    """Clips drawn by the shares of the mix and, within an entry, in proportion to their length."""
    entries = corpora(prepared, recipe)
    if not entries:
        raise VividKeysError(
            ErrorKind.BAD_REQUEST,
            "None of the prepared corpora is part of the training mix.",
            f"Prepare corpora whose names begin with {', '.join(name for name, _ in recipe.mix)}.",
        )
    shares = np.array([share for _, share in entries])
    lengths = [np.cumsum(prepared.length[clips].astype(np.float64)) for clips, _ in entries]
    labels = frozenset(phone_names())
    for entry in random.choice(len(entries), count, p=shares / shares.sum()):
        clips, length = entries[entry][0], lengths[entry]
        for _ in range(_PATIENCE):
            clip = clips[np.searchsorted(length, random.random() * length[-1])]
            found = prepared.read(int(clip), labels)
            if found is not None:
                yield found
                break
        else:
            raise VividKeysError(
                ErrorKind.BAD_FILE,
                f"Hardly any clip of the corpus '{prepared.corpus[clips[0]]}' can be read.",
                "Delete the folder of prepared corpora and prepare them again.",
            )


def draw_batch(
    prepared: Prepared,
    profile: Float32[np.ndarray, " 160"],
    recipe: BatchRecipe,
    random: np.random.Generator,
) -> Batch:
    """One random batch; `profile` is the network's (see `backend.audio.reference`)."""
    short = random.random() < recipe.short
    seconds = recipe.short_seconds if short else recipe.seconds
    frames = int(seconds * FRAME_RATE) // 2 * 2
    size = round(recipe.size * recipe.seconds / seconds)
    features = np.zeros((size, frames, len(profile)), np.float32)
    curves = np.zeros((size, frames, len(CHANNELS)), np.float32)
    phones = np.zeros((size, frames), np.int64)
    known = np.zeros((size, frames), np.float32)
    offsets = np.zeros((size, frames, OFFSETS), np.float32)
    styles = np.zeros((size, STYLE_SIZE), np.float32)
    for row, clip in enumerate(_random_clips(prepared, recipe, size, random)):
        style, face = _random_speaker(recipe, random)
        piece = _piece(clip, frames, (style, face), profile, recipe, random)
        taken = len(piece.features)
        features[row, :taken] = piece.features
        curves[row, :taken] = piece.lesson.curves
        phones[row, :taken] = piece.lesson.phones
        known[row, :taken] = 1.0
        offsets[row, :taken] = piece.offsets
        styles[row] = style_vector(style, face.identity)
    factor = random.uniform(*recipe.warp, size).astype(np.float32)
    shift = random.uniform(-recipe.shift, recipe.shift, size).astype(np.float32)
    features = warp_bands(features, factor, shift)
    _mask(features, recipe, random)
    features *= known[:, :, None]
    return Batch(
        torch.from_numpy(features),
        torch.from_numpy(styles),
        torch.from_numpy(curves),
        torch.from_numpy(offsets),
        torch.from_numpy(phones),
        torch.from_numpy(phone_classes().astype(np.int64)[phones]),
        torch.from_numpy(known),
    )
