# SPDX-License-Identifier: GPL-3.0-or-later
"""The voice in Blender's sequencer: lay a sound at a frame, read the sound of a strip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import bpy

from .. import versions
from ..contracts import errors

# The name of the target whose voice a strip is: of its current performance, or an earlier one.
STRIP_PROPERTY = "vividkeys"
EARLIER_PROPERTY = "vividkeys_earlier"
HIGHEST_CHANNEL = 128


@dataclass(frozen=True)
class StripSound:
    """The sound of a strip, and the part of it that is heard.

    `file` is None for a sound that is packed into the .blend; then `packed` holds its bytes.
    The first sample of the file is at the scene's frame `start_frame`, even when the strip's
    start is trimmed; the sound is heard from `first_frame` until just before `end_frame`.
    """

    name: str
    file: Path | None
    packed: bytes
    start_frame: int
    first_frame: int
    end_frame: int


def as_sound(strip: bpy.types.Strip) -> bpy.types.SoundStrip | None:
    """The strip itself if it is a sound, else None."""
    return cast("bpy.types.SoundStrip", strip) if strip.type == "SOUND" else None


def selected_sound_strip(context: bpy.types.Context) -> bpy.types.SoundStrip | None:
    """The active strip of the sequencer if it is a sound, else the first selected sound."""
    editor = versions.sequencer_scene(context).sequence_editor
    if editor is None:
        return None
    active = editor.active_strip
    if active is not None and (sound := as_sound(active)) is not None:
        return sound
    selected = (as_sound(strip) for strip in versions.strips_of(editor) if strip.select)
    return next((sound for sound in selected if sound is not None), None)


def read_sound_strip(strip: bpy.types.SoundStrip) -> StripSound:
    """Where a strip's sound is stored. Raises VividKeysError(bad_audio) when it is missing."""
    sound = strip.sound
    packed = bytes(sound.packed_file.data) if sound is not None and sound.packed_file else b""
    path = None
    if sound is not None and not packed:
        path = Path(bpy.path.abspath(sound.filepath, library=sound.library))
    if not packed and (path is None or not path.is_file()):
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_AUDIO,
            f"The sound file of the strip '{strip.name}' cannot be found.",
            "Choose the file again in the strip's properties.",
        )
    content, first, end = versions.strip_frames(strip)
    return StripSound(
        name=Path(sound.filepath).stem or strip.name,
        file=path,
        packed=packed,
        start_frame=content,
        first_frame=first,
        end_frame=end,
    )


def lay_sound(
    scene: bpy.types.Scene,
    file: Path,
    start_frame: int,
    owner: str,
    tell: Callable[[str], None] = lambda _sentence: None,
) -> bpy.types.SoundStrip:
    """Put the sound into the scene's sequencer and return the strip.

    A strip that was laid for the same `owner` (a target's name) with the same sound at the same
    frame is used again and keeps its volume and cuts. Every other strip stays where it is: the new
    one goes to the lowest channel that is free for its length. Earlier sounds of the same owner
    that would overlap it are muted; `tell` gets a sentence about each.
    Raises VividKeysError(bad_audio) when Blender cannot read the file.
    """
    strips = versions.strips_of(scene.sequence_editor_create())
    strip = new_sound_strip(strips, file, start_frame)
    laid = [s for s in strips if owner in (s.get(STRIP_PROPERTY), s.get(EARLIER_PROPERTY))]
    same = next((old for old in map(as_sound, laid) if old and _is_same_sound(old, strip)), None)
    if same is None:
        strip.channel = free_channel(strips, strip)
    else:
        remove_strip(strips, strip)
        strip = same
        if strip.get(EARLIER_PROPERTY) is not None:
            del strip[EARLIER_PROPERTY]
            strip.mute = False
    strip[STRIP_PROPERTY] = owner
    for old in laid:
        if old != strip:
            _make_earlier(old, strip, owner, tell)
    return strip


def _make_earlier(
    old: bpy.types.Strip, strip: bpy.types.Strip, owner: str, tell: Callable[[str], None]
) -> None:
    """Mark a strip as an earlier one, and mute it where it overlaps the new one, `strip`."""
    is_news = old.get(STRIP_PROPERTY) is not None
    if is_news:
        del old[STRIP_PROPERTY]
        old[EARLIER_PROPERTY] = owner
    _, first, end = versions.strip_frames(old)
    _, new_first, new_end = versions.strip_frames(strip)
    if not old.mute and first < new_end and new_first < end:
        old.mute = True
        tell(f"The earlier sound strip '{old.name}' is muted: it would be heard at the same time.")
    elif is_news:
        tell(f"The earlier sound strip '{old.name}' stays where it is.")


def _is_same_sound(one: bpy.types.SoundStrip, other: bpy.types.SoundStrip) -> bool:
    """Whether two strips have the same file, at the same frame and equally long."""
    if one.sound is None:
        return False
    files = [
        bpy.path.abspath(strip.sound.filepath, library=strip.sound.library)
        for strip in (one, other)
    ]
    places = [
        (versions.strip_frames(strip)[0], versions.content_length(strip)) for strip in (one, other)
    ]
    return files[0] == files[1] and places[0] == places[1]


def new_sound_strip(
    strips: bpy.types.StripsTopLevel, file: Path, start_frame: int
) -> bpy.types.SoundStrip:
    """A sound on the highest channel. Raises VividKeysError(bad_audio) when it cannot be read."""
    try:
        made = strips.new_sound(
            file.stem, str(file), channel=HIGHEST_CHANNEL, frame_start=start_frame
        )
    except RuntimeError as problem:
        raise _cannot_play(file) from problem
    strip = cast("bpy.types.SoundStrip", made)
    if strip.sound is None or strip.sound.samplerate == 0:
        # From a file that it cannot decode, Blender makes a strip of one frame.
        remove_strip(strips, strip)
        raise _cannot_play(file)
    return strip


def our_strip(scene: bpy.types.Scene, owner: str) -> bpy.types.SoundStrip | None:
    """The strip that `lay_sound` laid for this owner, or None."""
    if scene.sequence_editor is None:
        return None
    strips = versions.strips_of(scene.sequence_editor)
    ours = next((strip for strip in strips if strip.get(STRIP_PROPERTY) == owner), None)
    return cast("bpy.types.SoundStrip | None", ours)


def _cannot_play(file: Path) -> errors.VividKeysError:
    return errors.VividKeysError(
        errors.ErrorKind.BAD_AUDIO,
        f"Blender cannot play the sound file {file.name}.",
        "Convert it to wav or flac to hear it in the sequencer.",
    )


def free_channel(
    strips: bpy.types.StripsTopLevel,
    new: bpy.types.Strip,
    wished: Sequence[int] = (),
    above: int = 0,
) -> int:
    """A channel that is free for the whole length of the strip `new`.

    The first of the channels `wished` that is free, else the lowest one above `above`.
    """
    _, start, end = versions.strip_frames(new)
    occupied: set[int] = set()
    for strip in strips:
        _, first, after = versions.strip_frames(strip)
        if strip != new and first < end and start < after:
            occupied.add(strip.channel)
    candidates: list[int] = [*wished, *range(above + 1, HIGHEST_CHANNEL + 1), *range(1, above + 1)]
    return next(channel for channel in candidates if channel not in occupied)


def remove_strip(strips: bpy.types.StripsTopLevel, strip: bpy.types.Strip) -> None:
    """Remove a strip, and its sound when nothing else uses it."""
    sound_strip = as_sound(strip)
    sound = None if sound_strip is None else sound_strip.sound
    strips.remove(strip)
    if sound is not None and sound.users == 0:
        bpy.data.sounds.remove(sound)
