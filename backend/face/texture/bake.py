# SPDX-License-Identifier: GPL-3.0-or-later
"""The skin's texture from one photo.

Every texel samples the photo at its own projection: the head with the photo's expression and pose,
seen by a long lens. What the photo hides is taken from the other side of the head, and what neither
side shows is extrapolated: skin over ears and neck, hair over the skull.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8
from numpy.typing import NDArray

from backend.rasterize import rasterize
from shared.landmarks import CHIN, OUTER_LIP_RING

from ..surface import vertex_normals
from . import atlas
from .fill import carried_on, grain, roughness, uneven
from .layout_file import ISLANDS
from .photo_crop import PhotoCrop
from .shading import (
    LUMINANCE,
    SkinModel,
    blurred,
    known_mean,
    light_gain,
    skin_model,
    smooth_step,
)
from .texels import COARSE, STEP, HeadLayout, enlarged, in_full, mirrored, windows

Window = tuple[slice, slice]

# Cosines between the skin's normal and the line of sight at which the photo's weight starts, and
# is full.
SEEN_FROM, SEEN_WELL = 0.20, 0.50
# A texel this far behind the nearest surface is hidden by it, metres on the template.
HIDDEN_BEHIND = 0.006
# Side of the depth picture that tells what is hidden, pixels.
DEPTH_SIDE = 176
# Landmarks in the middle of bare skin: forehead, cheeks, nose.
SKIN_AT = (9, 151, 108, 337, 69, 299, 50, 280, 205, 425, 101, 330, 36, 266, 5, 195, 123, 352)
# How much darker the hollows of an ear are, per channel.
HOLLOW = np.array((0.30, 0.42, 0.42))
# The other side of the head is used if it shows at least this share more of the skin.
MIRROR_FROM = 0.02
# On the scalp what is darker than skin is hair: the weight of darkness there.
HAIR_IS_DARK = 1.8
# How much of the darkening (or glow) of skin that faces away from the camera is removed.
RIM_SHARE = 0.85


@dataclass(frozen=True, eq=False)
class _Seen:
    """The photo on the texture.

    pieces  the windows of the coarse texture that the photo fills, each with the photo's pixels
            at the texture's resolution
    coarse  the same at the coarse resolution
    trust   0..1, the photo's weight
    facing  cosine between the skin's normal and the line of sight
    """

    pieces: list[tuple[Window, UInt8[np.ndarray, "_ _ 3"]]]
    coarse: Float32[np.ndarray, "C C 3"]
    trust: Float32[np.ndarray, "C C"]
    facing: Float32[np.ndarray, "C C"]


def bake_skin(
    crop: PhotoCrop, posed: Float64[np.ndarray, "V 3"], layout: HeadLayout
) -> UInt8[np.ndarray, "side side 3"]:
    """Bake the texture of all skin; `posed` is the head with the photo's expression, metres."""
    seen = _look_up(crop, posed, layout)
    model = skin_model(seen.coarse, _sure_skin(layout) * (seen.trust > 0.5))
    likeness = model.likeness(seen.coarse)
    hair = smooth_step(layout.above_hairline, -0.006, 0.010)
    behind = _shines_through(crop, seen, layout) * (1.0 - likeness)
    behind *= smooth_step(layout.above_hairline, 0.012, 0.030)
    trust = _believable(seen, likeness, layout, behind)
    normal = vertex_normals(layout.template, layout.triangles)
    looks = layout.spread(normal)
    lit = np.ascontiguousarray(trust * likeness * (1.0 - hair))
    light = light_gain(seen.coarse, lit, looks[..., 2], np.abs(looks[..., 0]), _sure_skin(layout))
    gain = np.repeat(light[..., None], 3, axis=2)
    coarse = seen.coarse * gain
    skin = _skin_everywhere(seen, layout, coarse, trust, likeness, hair)
    rim = _rim_gain(seen, coarse, skin, lit, likeness * (1.0 - hair))
    gain, coarse = gain * rim, coarse * rim
    filled, strands = _with_hair(layout, skin, coarse, trust, model, hair)
    base = _grained(filled, coarse, trust, hair * strands, layout)
    return _composed(seen, gain, trust, base, coarse)


def _look_up(crop: PhotoCrop, posed: NDArray[np.float64], layout: HeadLayout) -> _Seen:
    view = crop.to_photo.apply(posed)
    facing = -vertex_normals(view, layout.triangles)[:, 1]
    place = layout.spread(np.stack([view[:, 0], -view[:, 2], view[:, 1], facing], axis=1))
    at = place[..., :2]
    trust = smooth_step(place[..., 3], SEEN_FROM, SEEN_WELL)
    trust *= _not_hidden(view, place, layout, HIDDEN_BEHIND * crop.to_photo.scale)
    edge = max(1, round(0.012 * np.ptp(crop.points[:, 1])))
    person = cv2.erode(crop.person.astype(np.float32), np.ones((2 * edge + 1, 2 * edge + 1)))
    inside = cv2.remap(person, at[..., 0], at[..., 1], cv2.INTER_LINEAR,
                       borderMode=cv2.BORDER_CONSTANT, borderValue=0.0)  # fmt: skip
    trust *= smooth_step(np.asarray(inside, np.float32), 0.55, 0.9) * layout.covered
    pieces: list[tuple[Window, NDArray[np.uint8]]] = []
    coarse = np.zeros((COARSE, COARSE, 3), np.float32)
    for window in windows(trust > 0):
        fine = enlarged(at[window])
        photo = cv2.remap(crop.pixels, fine[..., 0], fine[..., 1], cv2.INTER_CUBIC,
                          borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
        size = (fine.shape[1] // STEP, fine.shape[0] // STEP)
        coarse[window] = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
        pieces.append((window, np.asarray(photo, np.uint8)))
    return _Seen(pieces, coarse, trust, place[..., 3])


def _not_hidden(
    view: NDArray[np.float64], place: NDArray[np.float32], layout: HeadLayout, behind: float
) -> NDArray[np.float32]:
    """1 [C,C] where a texel is the nearest surface in the photo, 0 where it is hidden."""
    low, high = view.min(axis=0), view.max(axis=0)
    scale = DEPTH_SIDE / max(high[0] - low[0], high[2] - low[2])
    flat = np.stack([(view[:, 0] - low[0]) * scale, (high[2] - view[:, 2]) * scale, view[:, 1]], 1)
    nearest = rasterize(flat, layout.triangles, (DEPTH_SIDE, DEPTH_SIDE)).depth
    column = np.clip((place[..., 0] - low[0]) * scale, 0, DEPTH_SIDE - 1).astype(np.int32)
    row = np.clip((high[2] + place[..., 1]) * scale, 0, DEPTH_SIDE - 1).astype(np.int32)
    hidden = (place[..., 2] - nearest[row, column] > behind).astype(np.float32)
    # The other way round a shadow's edge would show the nose on the cheek.
    hidden = cv2.dilate(hidden, np.ones((5, 5), np.uint8))
    return np.asarray(1.0 - hidden, np.float32)


def _shines_through(crop: PhotoCrop, seen: _Seen, layout: HeadLayout) -> NDArray[np.float32]:
    """How far [C,C] a texel's colour is mixed from hair towards the background, 0..1."""
    near = (seen.trust > 0.5) & (layout.above_hairline > 0.0) & (layout.above_hairline < 0.03)
    behind = crop.person[::4, ::4] < 0.15
    if near.sum() < 50 or behind.sum() < 50:
        return np.zeros((COARSE, COARSE), np.float32)
    hair = np.median(seen.coarse[near], axis=0)
    way = np.median(crop.pixels[::4, ::4][behind], axis=0) - hair
    length = float(np.linalg.norm(way))
    if length < 40.0:
        return np.zeros((COARSE, COARSE), np.float32)
    away = np.asarray(seen.coarse - hair, np.float32)
    share = away @ (way / length**2).astype(np.float32)
    # A colour that is not a mixture of the two lies off the line between them.
    beside = np.linalg.norm(away - share[..., None] * way.astype(np.float32), axis=-1)
    mixed = 1.0 - smooth_step(beside / (np.abs(share) * length + 10.0), 0.4, 0.8)
    return np.asarray(smooth_step(share, 0.22, 0.45) * mixed, np.float32)


def _sure_skin(layout: HeadLayout) -> NDArray[np.float32]:
    """1 [C,C] around the landmarks that are skin in every face."""
    mask = np.zeros((COARSE, COARSE), np.float32)
    for x, y in layout.at_vertex[list(SKIN_AT)]:
        cv2.circle(mask, (round(x), round(y)), 7, 1.0, -1)
    return mask


def _believable(
    seen: _Seen,
    likeness: Float32[np.ndarray, "C C"],
    layout: HeadLayout,
    background: Float32[np.ndarray, "C C"],
) -> NDArray[np.float32]:
    """Weight [C,C] without collars and strands on neck and ears, and with soft borders."""
    height = layout.spread(layout.template[:, 2:])[..., 0]
    below = layout.template[CHIN, 2] - height
    skin_only = smooth_step(below, -0.002, 0.008)
    away = smooth_step(-seen.facing, -0.7, -0.4) * skin_only
    beyond = (1.0 - layout.face) * smooth_step(-layout.above_hairline, -0.004, 0.004)
    skin_only = np.maximum(skin_only, beyond)
    # Hair and background begin beside the cheeks; further down there may be a beard.
    beside = smooth_step(-layout.above_hairline, 0.0, 0.01) * smooth_step(-below, -0.075, -0.055)
    skin_only = np.maximum(skin_only, beside * smooth_step(-seen.facing, -0.72, -0.45))
    trust = seen.trust * (1.0 - skin_only * (1.0 - likeness)) * (1.0 - background)
    trust = trust * (1.0 - away)
    ears = np.isin(layout.island, [ISLANDS.index(name) for name in ("left_ear", "right_ear")])
    trust[ears] = 0.0
    trust = trust * (1.0 - smooth_step(layout.folded, 0.2, 0.6))
    # Eroded by as much as the blur widens it, so that nothing wrong enters at the border.
    trust = cv2.erode(trust, np.ones((5, 5), np.uint8))
    soft = cv2.GaussianBlur(np.asarray(trust, np.float32), (0, 0), 2.5)
    return np.asarray(np.minimum(soft, 1.0) * layout.covered, np.float32)


def _skin_everywhere(
    seen: _Seen,
    layout: HeadLayout,
    coarse: Float32[np.ndarray, "C C 3"],
    trust: Float32[np.ndarray, "C C"],
    likeness: Float32[np.ndarray, "C C"],
    hair: Float32[np.ndarray, "C C"],
) -> NDArray[np.float32]:
    """The colour [C,C,3] that skin has or would have everywhere."""
    # Skin that faces away from the camera looks darker than it is.
    own = np.maximum(likeness, _lips(layout)) * smooth_step(seen.facing, 0.35, 0.65)
    known = np.ascontiguousarray(trust * own * (1.0 - hair))
    typical = _typical(coarse, known)
    skin = _spread_out(layout, coarse, known, typical)
    # Hollows of an ear are darker and redder.
    skin *= 1.0 - layout.spread(layout.cavity[:, None] * HOLLOW)
    skin[~layout.covered] = typical
    return np.asarray(skin, np.float32)


def _rim_gain(
    seen: _Seen,
    coarse: Float32[np.ndarray, "C C 3"],
    skin: Float32[np.ndarray, "C C 3"],
    lit: Float32[np.ndarray, "C C"],
    is_skin: Float32[np.ndarray, "C C"],
) -> NDArray[np.float32]:
    """Factor [C,C,3] that matches skin facing away from the camera to the skin beyond it."""
    ratio = known_mean(skin, lit, 6.0, 100.0) / known_mean(coarse, lit, 6.0, 100.0)
    share = RIM_SHARE * (1.0 - smooth_step(seen.facing, 0.35, 0.75)) * blurred(is_skin, 2.0)
    return np.asarray(np.clip(ratio, 0.6, 1.8) ** share[..., None], np.float32)


def _with_hair(
    layout: HeadLayout,
    skin: Float32[np.ndarray, "C C 3"],
    coarse: Float32[np.ndarray, "C C 3"],
    trust: Float32[np.ndarray, "C C"],
    model: SkinModel,
    hair: Float32[np.ndarray, "C C"],
) -> tuple[NDArray[np.float32], float]:
    """Skin and hair [C,C,3], and how much hair the photo shows, 0..1."""
    scalp = trust * hair
    distance = model.distance(coarse, HAIR_IS_DARK)
    share = float((scalp * smooth_step(distance, 1.6, 2.6)).sum() / max(float(scalp.sum()), 1.0))
    hairy = float(smooth_step(np.array(share), 0.06, 0.22))
    known = scalp
    if hairy > 0 and (scalp > 0.5).sum() > 50:
        # Hair is what differs most from skin there; the hairline lies between the two.
        most = float(np.percentile(distance[scalp > 0.5], 90))
        known = scalp * (1.0 - hairy * (1.0 - smooth_step(distance, 0.35 * most, 0.65 * most)))
    known = np.ascontiguousarray(known, np.float32)
    if known.sum() < 60:
        return skin, 0.0
    typical = _typical(coarse, known)
    hairs = _spread_out(layout, coarse, known, typical)
    unlike = float(model.distance(np.asarray(typical, np.float32)[None, None], HAIR_IS_DARK)[0, 0])
    hairy = max(hairy, float(smooth_step(np.array(unlike), 1.6, 2.6)))
    return np.asarray(skin + (hairs - skin) * hair[..., None], np.float32), hairy


def _lips(layout: HeadLayout) -> NDArray[np.float32]:
    ring = layout.at_vertex[list(OUTER_LIP_RING)]
    mask = np.zeros((COARSE, COARSE), np.float32)
    cv2.fillPoly(mask, [np.round(ring).astype(np.int32)], 1.0)
    return np.asarray(cv2.erode(mask, np.ones((3, 3), np.uint8)), np.float32)


def _typical(
    coarse: Float32[np.ndarray, "C C 3"], weight: Float32[np.ndarray, "C C"]
) -> Float[np.ndarray, " 3"]:
    strong = coarse[weight > 0.5]
    if len(strong) < 20:
        strong = coarse[weight > 0.05]
    return np.asarray(np.median(strong, axis=0) if len(strong) else (150.0, 130.0, 120.0))


def _spread_out(
    layout: HeadLayout,
    coarse: Float32[np.ndarray, "C C 3"],
    known: Float32[np.ndarray, "C C"],
    typical: Float[np.ndarray, " 3"],
) -> NDArray[np.float32]:
    local = known_mean(coarse, known, 2.5, typical.astype(np.float32))
    at_vertices = layout.collect(np.dstack([local, known]))
    return layout.spread(carried_on(layout, at_vertices[:, :3], at_vertices[:, 3], typical))


def _composed(
    seen: _Seen,
    gain: NDArray[np.float32],
    trust: Float32[np.ndarray, "C C"],
    base: NDArray[np.uint8],
    coarse: Float32[np.ndarray, "C C 3"],
) -> NDArray[np.uint8]:
    """Blend the relit photo over the mirrored photo over the filled base."""
    result = base
    lit = [
        (window, cv2.multiply(photo, enlarged(gain[window]), dtype=cv2.CV_8U))
        for window, photo in seen.pieces
    ]
    other_trust = mirrored(trust)
    if float((other_trust * (1.0 - trust)).sum()) > MIRROR_FROM * float(trust.sum()):
        canvas = np.zeros((atlas.SIDE, atlas.SIDE, 3), np.uint8)
        for window, pixels in lit:
            canvas[in_full(window)] = pixels
        # The other side gets the brightness of this one where both are known.
        both = np.ascontiguousarray(trust * other_trust)
        ratio = known_mean(coarse, both, 16.0, 100.0) / known_mean(
            mirrored(coarse), both, 16.0, 100.0
        )
        other = cv2.multiply(mirrored(canvas),
                             enlarged(np.clip(ratio, 0.5, 2.0)), dtype=cv2.CV_8U)  # fmt: skip
        share = enlarged(other_trust)
        result = np.asarray(cv2.blendLinear(other, result, share, 1.0 - share), np.uint8)
    for window, pixels in lit:
        share = enlarged(trust[window])
        there = in_full(window)
        result[there] = cv2.blendLinear(
            pixels, np.ascontiguousarray(result[there]), share, 1.0 - share
        )
    return np.asarray(result, np.uint8)


def _grained(
    filled: Float32[np.ndarray, "C C 3"],
    coarse: Float32[np.ndarray, "C C 3"],
    trust: Float32[np.ndarray, "C C"],
    hair: Float32[np.ndarray, "C C"],
    layout: HeadLayout,
) -> NDArray[np.uint8]:
    """The filled texture at full size, with the photo's amount of grain."""
    level, smooth = coarse @ LUMINANCE, blurred(coarse @ LUMINANCE, 1.5)
    base = enlarged(np.asarray(filled + 0.5, np.uint8))
    light = filled @ LUMINANCE
    bare = hair < 0.5
    skin = np.clip(roughness(level, smooth, trust * (1 - hair) * _sure_skin(layout)), 0.01, 0.05)
    result = uneven(base, grain().skin, float(skin * light[bare & layout.covered].mean()))
    if bare.all():
        return result
    strands = np.clip(2.0 * roughness(level, smooth, trust * hair), 0.04, 0.12)
    hairs = uneven(base, grain().hair, float(strands * light[~bare].mean()))
    amount = enlarged(np.asarray(hair, np.float32))
    return np.asarray(cv2.blendLinear(hairs, result, amount, 1.0 - amount), np.uint8)
