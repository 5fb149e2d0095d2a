# SPDX-License-Identifier: GPL-3.0-or-later
"""The strips of a talking video in Blender's sequencer: lay, find and replace them."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import bpy

from .. import versions
from ..contracts import errors
from . import sequencer

# The name of the target whose video a strip belongs to, as with the voice's strips.
OWNER_PROPERTY = "vividkeys_video"
PREVIEW_PROPERTY = "vividkeys_video_preview"


def lay_video(
    scene: bpy.types.Scene,
    film: Path,
    start_frame: int,
    owner: str,
    *,
    is_preview: bool,
    replace: bool,
) -> bpy.types.Strip:
    """Put a film into the scene's sequencer on a free channel and return its strip.

    Previews of the same `owner` are always removed, other videos of that owner with `replace`;
    all other strips stay where they are. Raises VividKeysError(bad_file) when Blender cannot
    play the film; then nothing has changed.
    """
    strips = versions.strips_of(scene.sequence_editor_create())
    strip = _new_strip(strips, film, start_frame)
    earlier = [s for s in strips_of_owner(scene, owner) if s != strip]
    replaced = [
        s for s in earlier if s.get(PREVIEW_PROPERTY) is not None or (replace and not is_preview)
    ]
    kept = [s.channel for s in earlier if s not in replaced]
    wished = [s.channel for s in replaced if s.type == "MOVIE"]
    for old in replaced:
        sequencer.remove_strip(strips, old)
    strip[OWNER_PROPERTY] = owner
    if is_preview:
        strip[PREVIEW_PROPERTY] = True
    # Above an earlier video of the same person, which would otherwise hide this one.
    strip.channel = sequencer.free_channel(strips, strip, wished, above=max(kept, default=0))
    return strip


def lay_video_sound(
    scene: bpy.types.Scene, sound: Path, start_frame: int, owner: str
) -> bpy.types.SoundStrip | None:
    """Put the sound of a video beside it, unless the same sound is heard there already.

    Raises VividKeysError(bad_audio) when Blender cannot play it.
    """
    strips = versions.strips_of(scene.sequence_editor_create())
    if any(_is_heard(strip, sound, start_frame) for strip in strips):
        return None
    strip = sequencer.new_sound_strip(strips, sound, start_frame)
    strip[OWNER_PROPERTY] = owner
    strip.channel = sequencer.free_channel(strips, strip)
    return strip


def strips_of_owner(scene: bpy.types.Scene, owner: str) -> list[bpy.types.Strip]:
    """The strips that videos of this owner have laid, films and sounds."""
    if scene.sequence_editor is None:
        return []
    strips = versions.strips_of(scene.sequence_editor)
    return [strip for strip in strips if strip.get(OWNER_PROPERTY) == owner]


def _new_strip(
    strips: bpy.types.StripsTopLevel, film: Path, start_frame: int
) -> bpy.types.MovieStrip:
    try:
        made = strips.new_movie(
            name=film.stem,
            filepath=_as_blender_path(film),
            channel=sequencer.HIGHEST_CHANNEL,
            frame_start=start_frame,
            fit_method="FIT",
        )
    except RuntimeError as problem:
        raise _cannot_play(film) from problem
    strip = cast("bpy.types.MovieStrip", made)
    # From a file that it cannot decode, Blender makes a strip of one frame.
    if strip.fps == 0.0:
        strips.remove(strip)
        raise _cannot_play(film)
    return strip


def _as_blender_path(film: Path) -> str:
    # Relative to the .blend where the film lies beside it, so that both can be moved.
    if bpy.data.filepath and Path(bpy.data.filepath).parent in film.parents:
        return str(bpy.path.relpath(str(film)))
    return str(film)


def _is_heard(strip: bpy.types.Strip, sound: Path, start_frame: int) -> bool:
    heard = sequencer.as_sound(strip)
    if heard is None or heard.sound is None:
        return False
    content, _first, _end = versions.strip_frames(strip)
    path = Path(bpy.path.abspath(heard.sound.filepath, library=heard.sound.library))
    return content == start_frame and path == sound


def _cannot_play(film: Path) -> errors.VividKeysError:
    return errors.VividKeysError(
        errors.ErrorKind.BAD_FILE,
        f"Blender cannot play the video {film.name}.",
        "Try another background, which is saved as another kind of file.",
    )
