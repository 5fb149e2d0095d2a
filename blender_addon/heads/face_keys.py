# SPDX-License-Identifier: GPL-3.0-or-later
"""FaceKeys become shape keys of a character's meshes: added beside what is there, never over it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import bpy
import numpy as np

from .. import versions
from ..animation import lip_detail, targets
from ..contracts import arkit, character, errors
from ..mapping.conventions import DEFAULT, key_name, keys_of_channels
from . import characters
from .characters import Piece

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int

# Motion below this fraction of the face's size counts as none.
LEAST_MOTION = 1e-5
_MOST_NAMES = 6


@dataclass(frozen=True)
class CharacterPlan:
    """What is made from the answer to a `transfer` job: face points, or keys on the pieces."""

    name: str = ""
    scene: targets.Reference = targets.NOTHING
    pieces: tuple[Piece, ...] = ()
    only_points: bool = False
    had_points: bool = False
    convention: str = DEFAULT
    replace: bool = False


@dataclass
class Report:
    """What was done; `sentences` says it in words."""

    added: dict[str, int] = field(default_factory=dict)
    lips: int = 0
    kept: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    locked: list[str] = field(default_factory=list)
    still: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)

    def sentences(self) -> tuple[str, ...]:
        lines = []
        for name, count in self.added.items():
            lines.append(f"'{name}' has {count} new shape key{'' if count == 1 else 's'}.")
        if self.lips:
            lines.append(f"{self.lips} more {'is' if self.lips == 1 else 'are'} for lip detail.")
        if not lines:
            lines.append("Every key was there already; none was added.")
        if self.kept:
            lines.append(f"Keys that were there were kept: {_listed(self.kept)}.")
        if self.replaced:
            lines.append(f"Keys that were there got new shapes: {_listed(self.replaced)}.")
        if self.locked:
            lines.append(f"Locked keys were not replaced: {_listed(self.locked)}.")
        if self.still:
            lines.append(f"Nothing of this character moves with {_listed(self.still)}.")
        if self.doubled:
            lines.append(
                f"{_listed(self.doubled)} will move together with the new keys; where that is too "
                "much, mute them or write a mapping."
            )
        return tuple(lines)


def apply(keys: character.FaceKeys, plan: CharacterPlan) -> tuple[list[bpy.types.Object], Report]:
    """Add the keys; returns the objects that now have keys, the face first, and a report.

    Everything that can fail is checked before the first change. Raises VividKeysError(bad_target,
    bad_array).
    """
    objects = [characters.found_again(piece) for piece in plan.pieces]
    bounds = np.concatenate([[0], np.cumsum([piece.vertices for piece in plan.pieces])])
    if len(keys.rows) and keys.rows[-1] >= bounds[-1]:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_ARRAY,
            "The backend made keys for vertices that the character lacks.",
            "Press 'Make Face Keys' again.",
        )
    least = LEAST_MOTION * float(np.ptp(keys.landmarks, axis=0).max())
    cuts = np.searchsorted(keys.rows, bounds)
    parts = [slice(first, end) for first, end in pairwise(cuts)]
    moving = [_moving(keys.shapes[:, part], least) for part in parts]
    report = Report()
    # A channel that moves nothing gets a key on the face all the same: programs that read the
    # file expect 52.
    still = ~np.any(moving, axis=0)
    moving[0] = moving[0] | still
    report.still = [
        name for name, is_still in zip(arkit.ARKIT_NAMES, still, strict=True) if is_still
    ]
    keyed = []
    for number, (piece, found) in enumerate(zip(plan.pieces, objects, strict=True)):
        rows = keys.rows[parts[number]] - bounds[number]
        shapes = piece.offsets_to_local(keys.shapes[:, parts[number]])
        fields = keys.offset_fields[:, parts[number]]
        lips = np.flatnonzero(_moving(fields, 0.1 * least))
        if moving[number].any() or len(lips):
            active = found.active_shape_key_index
            _add_channels(found, rows, shapes, moving[number], plan, report)
            _add_lips(found, rows, piece.offsets_to_local(fields), lips, plan.replace, report)
            found.active_shape_key_index = active
            found.data.update_tag()
        if number == 0 or found.data.shape_keys is not None:
            keyed.append(found)
    lip_detail.note_landmarks(objects[0], plan.pieces[0].to_local(keys.landmarks))
    return keyed, report


def _add_channels(
    found: bpy.types.Object,
    rows: Int[np.ndarray, " R"],
    shapes: Float32[np.ndarray, "52 R 3"],
    wanted: Bool[np.ndarray, " 52"],
    plan: CharacterPlan,
    report: Report,
) -> None:
    if found.data.shape_keys is None and wanted.any():
        versions.new_shape_key(found, "Basis")
    blocks = found.data.shape_keys.key_blocks
    reference = found.data.shape_keys.reference_key
    own = keys_of_channels(characters.key_names(targets.keys_on(found)))
    made = set()
    for channel, offsets, is_wanted in zip(arkit.ARKIT_NAMES, shapes, wanted, strict=True):
        if not is_wanted:
            continue
        name = key_name(plan.convention, channel)
        there = blocks.get(own.get(channel, name))
        if there is None:
            there = versions.new_shape_key(found, name)
            there.relative_key = reference
            _fill(there, rows, offsets)
            report.added[found.name] = report.added.get(found.name, 0) + 1
            made.add(channel)
        elif not plan.replace:
            report.kept.append(there.name)
        elif there.lock_shape:
            report.locked.append(there.name)
        else:
            _fill(there, rows, offsets)
            report.replaced.append(there.name)
    for rule in characters.match_of(found).rules:
        if len(rule.terms) > 1 and made.issuperset(rule.channels):
            report.doubled.append(rule.key)


def _add_lips(
    found: bpy.types.Object,
    rows: Int[np.ndarray, " R"],
    fields: Float32[np.ndarray, "K R 3"],
    moving: Int[np.ndarray, " N"],
    replace: bool,
    report: Report,
) -> None:
    if found.data.shape_keys is None and len(moving):
        versions.new_shape_key(found, "Basis")
    for number in map(int, moving):
        there = found.data.shape_keys.key_blocks.get(lip_detail.key_name(number))
        if there is not None and (there.lock_shape or not replace):
            (report.locked if there.lock_shape and replace else report.kept).append(there.name)
            continue
        spread = np.zeros((len(found.data.vertices), 3), np.float32)
        spread[rows] = fields[number]
        lip_detail.add_key(found, number, spread)
        report.lips += there is None


def _fill(
    block: bpy.types.ShapeKey, rows: Int[np.ndarray, " R"], offsets: Float32[np.ndarray, "R 3"]
) -> None:
    """Give a key the shape of its relative key plus `offsets` of the vertices `rows`."""
    shape = lip_detail.coordinates(block.relative_key.points)
    shape[rows] += offsets
    block.points.foreach_set("co", shape.ravel())


def _moving(offsets: Float32[np.ndarray, "K R 3"], least: float) -> Bool[np.ndarray, " K"]:
    """Which of the shapes move any vertex farther than `least`."""
    if not offsets.shape[1]:
        return np.zeros(len(offsets), bool)
    return np.array([float((shape**2).sum(axis=1).max()) > least**2 for shape in offsets], bool)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(dict.fromkeys(names[:_MOST_NAMES]))
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
