# SPDX-License-Identifier: GPL-3.0-or-later
"""Random batches from the prepared set: normalised features, warped and masked, with targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from backend.audio.log_mel import (
    COARSE_BANDS,
    FINE_BANDS,
    FRAME_RATE,
    level,
    normalise,
    reference_mean,
)
from backend.training.prepare import Prepared
from backend.training.teacher import phone_classes


@dataclass(frozen=True)
class BatchRecipe:
    """What a batch is made of."""

    size: int = 16
    seconds: float = 3.0
    mix: tuple[tuple[str, float], ...] = (
        ("real", 0.57),
        ("espeak", 0.15),
        ("flite", 0.25),
        ("noise", 0.03),
    )
    warp: tuple[float, float] = (0.86, 1.17)
    shift: float = 1.5
    band_mask: float = 0.4
    time_mask: float = 0.2
    # The reference mean is taken over this many seconds around the piece, as far as the clip goes.
    history: tuple[float, float] = (3.0, 30.0)


@dataclass(frozen=True)
class Batch:
    """`features` [B, T, 160], `curves` [B, T, C], `phones` and `classes` [B, T] int64,
    `known` [B, T] 1 where the clip has frames, 0 in the padding behind short ones."""

    features: Tensor
    curves: Tensor
    phones: Tensor
    classes: Tensor
    known: Tensor


def _window(
    prepared: Prepared, clip: int, frames: int, recipe: BatchRecipe, random: np.random.Generator
) -> tuple[int, int, NDArray[np.float32]]:
    """A piece of a clip (first frame, length) and its reference mean."""
    start, length = int(prepared.start[clip]), int(prepared.length[clip])
    taken = min(frames, length)
    first = int(random.integers(0, length - taken + 1))
    low, high = np.log(recipe.history)
    around = max(int(np.exp(random.uniform(low, high)) * FRAME_RATE), taken)
    begin = max(first - int(random.integers(0, around - taken + 1)), 0)
    end = min(begin + around, length)
    heard = prepared.features[start + begin : start + end].astype(np.float32)
    return start + first, taken, reference_mean([heard], [level(heard)])


def warp_bands(
    features: NDArray[np.float32], factor: NDArray[np.float32], shift: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Stretch the mel axis of [B, T, 160] by `factor` [B] and move it by `shift` [B] coarse bins,
    as a longer or shorter vocal tract does."""
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


def _mask(features: NDArray[np.float32], recipe: BatchRecipe, random: np.random.Generator) -> None:
    """Hide one band of frequencies in some pieces and a short moment in others; in place."""
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


def draw_batch(
    prepared: Prepared,
    clips_of: dict[str, NDArray[np.int64]],
    recipe: BatchRecipe,
    random: np.random.Generator,
) -> Batch:
    """One random batch. `clips_of` names the clips of each corpus (see `clips_by_corpus`)."""
    frames = int(recipe.seconds * FRAME_RATE) // 2 * 2
    mix = [(name, share) for name, share in recipe.mix if len(clips_of.get(name, ()))]
    shares = np.array([share for _, share in mix])
    corpora = random.choice(len(mix), recipe.size, p=shares / shares.sum())
    curves_width = prepared.curves.shape[1]
    features = np.zeros((recipe.size, frames, prepared.features.shape[1]), np.float32)
    curves = np.zeros((recipe.size, frames, curves_width), np.float32)
    phones = np.zeros((recipe.size, frames), np.int64)
    known = np.zeros((recipe.size, frames), np.float32)
    for row, corpus in enumerate(corpora):
        clips = clips_of[mix[corpus][0]]
        length = prepared.length[clips].astype(np.float64)
        clip = int(clips[np.searchsorted(np.cumsum(length), random.random() * length.sum())])
        first, taken, mean = _window(prepared, clip, frames, recipe, random)
        piece = prepared.features[first : first + taken].astype(np.float32)
        features[row, :taken] = normalise(piece, mean)
        curves[row, :taken] = prepared.curves[first : first + taken]
        phones[row, :taken] = prepared.phones[first : first + taken]
        known[row, :taken] = 1.0
    factor = random.uniform(*recipe.warp, recipe.size).astype(np.float32)
    shift = random.uniform(-recipe.shift, recipe.shift, recipe.size).astype(np.float32)
    features = warp_bands(features, factor, shift)
    _mask(features, recipe, random)
    features *= known[:, :, None]
    return Batch(
        torch.from_numpy(features),
        torch.from_numpy(curves),
        torch.from_numpy(phones),
        torch.from_numpy(phone_classes().astype(np.int64)[phones]),
        torch.from_numpy(known),
    )


def clips_by_corpus(prepared: Prepared) -> dict[str, NDArray[np.int64]]:
    """Clip numbers of each corpus of the prepared set."""
    return {
        str(name): np.flatnonzero(prepared.corpus == name) for name in np.unique(prepared.corpus)
    }
