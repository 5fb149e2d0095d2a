# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a performance of ours when another one replaces it.

If it was only keyed again, say with other dials, it is removed. If somebody has edited it, or it is
of another Take or at another place, it stays in the file, and a sentence says how to get it back.
"""

from __future__ import annotations

import hashlib

import bpy
import numpy as np

from .. import versions
from . import keying

FINGERPRINT_PROPERTY = "vividkeys_fingerprint"
EDITED = " (edited by hand)"
_WAY_BACK = (
    "To get it back, choose it in the Dope Sheet: in the Shape Key Editor for the face, in the "
    "Action Editor for the head."
)
# The longest name that Blender 4.5 takes; later ones take more.
_LONGEST_NAME = 63


def sign(action: bpy.types.Action) -> None:
    """Record the fingerprint of the Action as we leave it."""
    action[FINGERPRINT_PROPERTY] = fingerprint(action)


def fingerprint(action: bpy.types.Action) -> str:
    """A hash of our curves in the Action. The user's own curves do not count.

    Handles are left out: they have no effect until a key's interpolation changes, which is hashed.
    """
    digest = hashlib.sha256()
    for slot, bag in versions.channelbags(action):
        for curve in sorted(bag.fcurves, key=lambda each: (each.data_path, each.array_index)):
            if not keying.is_our_curve(curve):
                continue
            points = curve.keyframe_points
            places = np.empty(2 * len(points), np.float32)
            points.foreach_get("co", places)
            interpolation = np.empty(len(points), np.int32)
            points.foreach_get("interpolation", interpolation)
            kinds = [modifier.type for modifier in curve.modifiers]
            head = (slot.handle, curve.data_path, curve.array_index, curve.mute, kinds)
            digest.update(f"{head}{curve.extrapolation}".encode())
            digest.update(places.tobytes() + interpolation.tobytes())
    return digest.hexdigest()


def was_edited(action: bpy.types.Action) -> bool:
    """Whether our curves have changed since `sign`; False for an Action that was never signed."""
    signed = action.get(FINGERPRINT_PROPERTY)
    return signed is not None and signed != fingerprint(action)


def settle(earlier: list[bpy.types.Action], action: bpy.types.Action) -> tuple[str, ...]:
    """Keep or remove the Actions of ours that `action` has replaced; returns sentences."""
    sentences: list[str] = []
    for old in earlier:
        edited = was_edited(old) or bool(_own_curves(old) - _own_curves(action))
        if not edited and _is_same(old, action):
            if old.users == 0:
                bpy.data.actions.remove(old)
            continue
        old.use_fake_user = True
        if edited:
            before = old.name
            _name_as_edited(old)
            sentences.append(
                f"Keys in '{before}' were changed by hand: it is kept as the Action '{old.name}'."
            )
        else:
            sentences.append(f"The earlier performance is kept as the Action '{old.name}'.")
    return (*sentences, _WAY_BACK) if sentences else ()


def _is_same(old: bpy.types.Action, action: bpy.types.Action) -> bool:
    """Whether both are the same Take at the same place, or have all the same keys.

    False when an earlier version of the add-on left `old` unsigned: it may have been edited.
    """
    if old.get(FINGERPRINT_PROPERTY) is None:
        return False
    if old[FINGERPRINT_PROPERTY] == action[FINGERPRINT_PROPERTY]:
        return True
    notes = [keying.action_description(each) for each in (old, action)]
    places = [(note.get("take"), note.get("start_frame"), note.get("heard")) for note in notes]
    return bool(places[0][0]) and places[0] == places[1]


def _own_curves(action: bpy.types.Action) -> set[tuple[str, str, int]]:
    """The user's curves in an Action of ours: slot, data path, index."""
    return {
        (slot.identifier, curve.data_path, curve.array_index)
        for slot, bag in versions.channelbags(action)
        for curve in bag.fcurves
        if not keying.is_our_curve(curve)
    }


def _name_as_edited(action: bpy.types.Action) -> None:
    # Without a Take's id, the performance is found again by the Action's name.
    if action.name.count(EDITED) or not keying.action_description(action).get("take"):
        return
    room = _LONGEST_NAME - len(EDITED) - len(".001")
    short = action.name.encode()[:room].decode(errors="ignore")
    action.name = f"{short}{EDITED}"
