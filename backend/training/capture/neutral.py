# SPDX-License-Identifier: GPL-3.0-or-later
"""The actor's face at rest: from the calmest frames of the film, or from a photo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from backend.face.close_mouth import close_mouth
from backend.face.landmarks import find_face
from backend.face.load_image import load_image
from backend.face.neutral import neutral_face
from backend.face.template import load_template
from shared.landmarks import LANDMARK_COUNT

from .measure import LIDS, lid_opening, lip_gap
from .pose import fit_heads

# Share and least number of frames that are averaged; with more, speech would leak in.
_CALM_SHARE, _CALM_LEAST = 0.15, 6
# The tracker reports closed lips as up to this far apart, metres on the face; from twice as much
# on, the mouth really was open.
_TOUCHING = 0.0013


@dataclass(frozen=True, eq=False)
class ActorNeutral:
    """The actor's rest shape, frontal, metres.

    vertices  lips exactly closed: the face that the shapes start from
    measured  the same face as the tracker sees it: what displacements are measured from
    calm      the frames it was averaged over (none for a photo)
    """

    vertices: Float64[np.ndarray, "468 3"]
    measured: Float64[np.ndarray, "478 3"]
    calm: Bool[np.ndarray, " T"]


def neutral_from_film(
    points: Float64[np.ndarray, "T 478 3"], valid: Bool[np.ndarray, " T"]
) -> ActorNeutral:
    """The median of the calmest frames with the mouth shut and the eyes open.

    `points` are in our axes, at any scale, with the head's pose.
    """
    template = load_template()
    aligned = fit_heads(points, np.concatenate([template.vertices, template.irises])).aligned
    calm = calm_frames(aligned, valid)
    measured = np.median(aligned[calm], axis=0)
    # Frames aligned to the template one by one are not aligned to each other exactly: once more.
    aligned = fit_heads(points[calm], measured).aligned
    measured = _centred(np.median(aligned, axis=0))
    closed = close_mouth(measured[:LANDMARK_COUNT])
    opening = float(np.maximum(lip_gap(measured[None]), 0.0)[0])
    really_open = np.clip(opening / _TOUCHING - 1.0, 0.0, 1.0)
    measured[:LANDMARK_COUNT] += really_open * (closed - measured[:LANDMARK_COUNT])
    return ActorNeutral(closed, measured, calm)


def neutral_from_photo(photo: Path, frames: int) -> ActorNeutral:
    """The face of a photo as the rest shape of a film of `frames` frames.

    Raises VividKeysError(bad_image, too_large, no_face).
    """
    face = neutral_face(find_face(load_image(photo).pixels).landmarks)
    measured = np.concatenate([face.vertices, face.irises])
    return ActorNeutral(face.vertices, measured, np.zeros(frames, np.bool_))


def calm_frames(
    aligned: Float64[np.ndarray, "T 478 3"], valid: Bool[np.ndarray, " T"]
) -> Bool[np.ndarray, " T"]:
    """The frames with the mouth as shut and as still as it gets, and with open eyes."""
    usable = valid.copy()
    for side in LIDS:
        opening = lid_opening(aligned, side)
        usable &= opening > 0.8 * np.median(opening[valid])
    if usable.sum() < _CALM_LEAST:
        usable = valid
    gap = lip_gap(aligned)
    mouth = aligned[:, :LANDMARK_COUNT]
    speed = np.zeros(len(aligned))
    if len(aligned) > 2:
        speed = np.linalg.norm(np.gradient(mouth, axis=0), axis=2).mean(axis=1)
    unrest = _places(gap, usable) + 0.5 * _places(speed, usable)
    count = min(max(round(_CALM_SHARE * usable.sum()), _CALM_LEAST), int(usable.sum()))
    chosen = np.argsort(np.where(usable, unrest, np.inf), kind="stable")[:count]
    calm = np.zeros(len(aligned), np.bool_)
    calm[chosen] = True
    return calm


def _places(
    values: Float64[np.ndarray, " T"], usable: Bool[np.ndarray, " T"]
) -> Float64[np.ndarray, " T"]:
    """Quantile rank of each value among the usable frames, 0..1."""
    order = np.sort(values[usable])
    return np.searchsorted(order, values) / max(len(order), 1)


def _centred(points: Float64[np.ndarray, "478 3"]) -> Float64[np.ndarray, "478 3"]:
    """Moved sideways so that the face's own mid-plane is x = 0, as for a face from a photo."""
    template = load_template()
    middle = (points[:, 0] + points[template.mirror, 0]) / 2
    shift = np.array((np.average(middle, weights=template.rigidity), 0.0, 0.0))
    return np.asarray(points - shift)
