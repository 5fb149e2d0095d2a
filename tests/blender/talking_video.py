# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the talking video ask of the sequencer, and the operator without a window."""

from __future__ import annotations

from pathlib import Path

from .modal_operators import modal

# Of the films that the scripted backend sends.
FRAMES = 12


def strips_of(addon, scene):
    return {s.name: s for s in addon("versions").strips_of(scene.sequence_editor)}


def movies(addon, scene):
    strips = addon("versions").strips_of(scene.sequence_editor)
    return sorted((s for s in strips if s.type == "MOVIE"), key=lambda s: s.channel)


def sounds(addon, scene):
    strips = addon("versions").strips_of(scene.sequence_editor)
    return [s for s in strips if s.type == "SOUND"]


def frames(addon, strip):
    return addon("versions").strip_frames(strip)[1:]


def file_of(blender, strip):
    return Path(blender.path.abspath(strip.filepath))


def as_modal(addon, blender, **properties):
    return modal(addon, blender, "render_video", "VIVIDKEYS_OT_render_video", **properties)
