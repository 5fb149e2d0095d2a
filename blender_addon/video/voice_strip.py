# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the strip in the sequencer that a performance was made from."""

from __future__ import annotations

import bpy

from .. import versions
from ..contracts import errors
from . import sequencer


def voice_near(
    scene: bpy.types.Scene, owner: str, voice: str, start_frame: int
) -> sequencer.StripSound | None:
    """The sound that a performance was made from, or None when the sequencer does not have it.

    It is the strip that was laid with the performance, or one of the same name that begins where
    the performance does.
    """
    ours = sequencer.our_strip(scene, owner)
    candidates = [] if ours is None else [ours]
    if scene.sequence_editor is not None:
        candidates += [
            strip
            for strip in map(sequencer.as_sound, versions.strips_of(scene.sequence_editor))
            if strip is not None and versions.strip_frames(strip)[0] == start_frame
        ]
    for strip in candidates:
        try:
            sound = sequencer.read_sound_strip(strip)
        except errors.VividKeysError:
            continue  # its file is gone; another strip may have it
        if sound.name == voice:
            return sound
    return None
