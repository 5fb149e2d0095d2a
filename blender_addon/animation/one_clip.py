# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the Actions of a performance alone determine what the objects do while it plays.

Then their keys can be written to a file as they are. Otherwise, where the user's own Actions, NLA
tracks, drivers or constraints take part, Blender has to evaluate the scene.
"""

from __future__ import annotations

import bpy
import numpy as np

from .. import versions
from . import keying, targets

_LINEAR = 1


def is_plain(objects: list[bpy.types.Object], span: tuple[int, int]) -> bool:
    """Whether nothing but linear keys of ours between the frames of `span` moves the objects."""
    return all(_is_unconstrained(each) for each in objects) and all(
        _has_plain_keys(owner, span) for each in objects for owner in animated_owners(each)
    )


def animated_owners(candidate: bpy.types.Object) -> list[versions.Animated]:
    """What a file can animate of an object: itself and its shape keys."""
    if candidate.type == "MESH" and candidate.data.shape_keys is not None:
        return [candidate, targets.keys_on(candidate)]
    return [candidate]


def _is_unconstrained(candidate: bpy.types.Object) -> bool:
    posed = [candidate, *(candidate.pose.bones if candidate.pose is not None else ())]
    return not any(not constraint.mute for each in posed for constraint in each.constraints)


def _has_plain_keys(owner: versions.Animated, span: tuple[int, int]) -> bool:
    animation = owner.animation_data
    if animation is None:
        return True
    if len(animation.drivers) or animation.use_tweak_mode or _has_nla(animation):
        return False
    bag = versions.channelbag_of(owner)
    if bag is None:
        return True
    return keying.is_our_action(animation.action) and all(
        _is_plain(curve, span) for curve in bag.fcurves
    )


def _has_nla(animation: bpy.types.AnimData) -> bool:
    """Whether NLA tracks take part. Stashed Actions are in muted ones."""
    return animation.use_nla and any(
        (track.is_solo or not track.mute) and any(not strip.mute for strip in track.strips)
        for track in animation.nla_tracks
    )


def _is_plain(curve: bpy.types.FCurve, span: tuple[int, int]) -> bool:
    points = curve.keyframe_points
    if curve.mute or len(curve.modifiers) or not len(points):
        return False
    interpolation = np.empty(len(points), np.int32)
    points.foreach_get("interpolation", interpolation)
    return bool(
        (interpolation == _LINEAR).all()
        and points[0].co[0] >= span[0]
        and points[len(points) - 1].co[0] <= span[1]
    )
