# SPDX-License-Identifier: GPL-3.0-or-later
"""The voice in the sequencer: at its frame, on a free channel, never piled up, nothing lost."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    """One second of a tone."""
    path = tmp_path / "stimme ü.wav"
    samples = (8000 * np.sin(np.arange(16000) * 0.1)).astype("<i2")
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16000)
        sound.writeframes(samples.tobytes())
    return path


def _first(strip):
    """The first frame of a strip, by the name that its Blender has for it."""
    return int(getattr(strip, "left_handle", None) or strip.frame_final_start)


def _strips(blender, addon):
    editor = blender.context.scene.sequence_editor
    return [] if editor is None else list(addon("versions").strips_of(editor))


def test_it_starts_at_its_frame(blender, addon, voice):
    strip = addon("video.sequencer").lay_sound(blender.context.scene, voice, 12, "Head")
    assert _first(strip) == 12 and strip.channel == 1
    assert addon("versions").strip_frames(strip) == (12, 12, 36)


def test_it_takes_a_free_channel_and_moves_nothing(blender, addon, voice):
    scene = blender.context.scene
    editor = scene.sequence_editor_create()
    strips = addon("versions").strips_of(editor)
    strips.new_sound("music", str(voice), channel=1, frame_start=5)
    strips.new_sound("later", str(voice), channel=2, frame_start=500)
    strip = addon("video.sequencer").lay_sound(scene, voice, 10, "Head")
    assert strip.channel == 2
    places = {s.name: (s.channel, _first(s)) for s in strips}
    assert places["music"] == (1, 5) and places["later"] == (2, 500)


def test_the_same_sound_at_the_same_place_is_the_same_strip(blender, addon, voice):
    scene, sequencer = blender.context.scene, addon("video.sequencer")
    strip = sequencer.lay_sound(scene, voice, 1, "Anna")
    strip.volume, strip.channel = 0.5, 7
    other = sequencer.lay_sound(scene, voice, 1, "Berta")
    again = sequencer.lay_sound(scene, voice, 1, "Anna")
    assert again == strip and other != strip
    assert (strip.volume, strip.channel) == (0.5, 7)
    assert len(_strips(blender, addon)) == 2 and len(blender.data.sounds) <= 2


def test_an_earlier_line_stays_and_is_not_heard_over_the_new_one(blender, addon, voice, tmp_path):
    scene, sequencer = blender.context.scene, addon("video.sequencer")
    said: list[str] = []
    first = sequencer.lay_sound(scene, voice, 1, "Anna", said.append)
    far = sequencer.lay_sound(scene, voice, 40, "Anna", said.append)
    assert said == [f"The earlier sound strip '{first.name}' stays where it is."]
    assert sequencer.our_strip(scene, "Anna") == far and not first.mute
    other = tmp_path / "other.wav"
    other.write_bytes(voice.read_bytes())
    near = sequencer.lay_sound(scene, other, 10, "Anna", said.append)
    assert sequencer.our_strip(scene, "Anna") == near
    assert {s.name for s in _strips(blender, addon)} == {first.name, far.name, near.name}
    assert first.mute and not far.mute and not near.mute
    assert (_first(first), _first(far), _first(near)) == (1, 40, 10)
    assert said[1:] == [
        f"The earlier sound strip '{first.name}' is muted: it would be heard at the same time.",
        f"The earlier sound strip '{far.name}' stays where it is.",
    ]
    # The first line again: its own strip speaks, and the other is silent.
    assert sequencer.lay_sound(scene, voice, 1, "Anna", said.append) == first
    assert not first.mute and near.mute and sequencer.our_strip(scene, "Anna") == first
    assert len(said) == 4


def test_a_strip_says_where_its_sound_begins_and_what_is_heard(blender, addon, voice):
    scene, sequencer = blender.context.scene, addon("video.sequencer")
    strip = sequencer.lay_sound(scene, voice, 10, "Head")
    new_names = hasattr(strip, "left_handle_offset")
    setattr(strip, "left_handle_offset" if new_names else "frame_offset_start", 6)
    setattr(strip, "right_handle_offset" if new_names else "frame_offset_end", 4)
    strip.select = True
    assert sequencer.selected_sound_strip(blender.context) == strip
    sound = sequencer.read_sound_strip(strip)
    assert sound.file == voice and sound.packed == b""
    assert (sound.start_frame, sound.first_frame) == (10, 16)
    assert sound.end_frame == 10 + 24 - 4


def test_a_packed_sound_is_read_from_the_file(blender, addon, voice):
    sequencer = addon("video.sequencer")
    strip = sequencer.lay_sound(blender.context.scene, voice, 1, "Head")
    strip.sound.pack()
    data = voice.read_bytes()
    voice.unlink()
    sound = sequencer.read_sound_strip(strip)
    assert sound.file is None and sound.packed == data


def test_a_missing_sound_is_named(blender, addon, voice):
    errors, sequencer = addon("shared.errors"), addon("video.sequencer")
    strip = sequencer.lay_sound(blender.context.scene, voice, 1, "Head")
    voice.unlink()
    with pytest.raises(errors.VividKeysError, match="cannot be found") as caught:
        sequencer.read_sound_strip(strip)
    assert caught.value.kind == errors.ErrorKind.BAD_AUDIO


def test_a_file_that_blender_cannot_play_does_not_cost_the_keys(
    blender, addon, head, make_take, make_plan, tmp_path
):
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"not a sound")
    plan = make_plan(head, sound_file=broken)
    report = addon("animation.baking").bake_take(blender.context, make_take(0.5), plan, {})
    assert report.keys > 0
    assert any("broken.wav" in sentence for sentence in report.sentences)
    assert not _strips(blender, addon)


def test_baking_lays_the_sound_at_the_first_frame(
    blender, addon, head, make_take, make_plan, voice
):
    plan = make_plan(head, sound_file=voice, start_frame=33)
    for _ in range(2):
        addon("animation.baking").bake_take(blender.context, make_take(0.5), plan, {})
    (strip,) = _strips(blender, addon)
    assert _first(strip) == 33
    assert addon("versions").sequencer_scene(blender.context) == blender.context.scene
