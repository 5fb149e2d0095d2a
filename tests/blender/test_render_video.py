# SPDX-License-Identifier: GPL-3.0-or-later
"""Render Talking Video, over real sockets: what is sent, and which strips land where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from .modal_operators import run
from .talking_video import FRAMES, as_modal, file_of, frames, movies, sounds, strips_of

# --- what is sent ------------------------------------------------------------------------------


def test_the_take_with_its_style_the_photo_and_the_voice_are_sent(
    blender, addon, connected, backend, speaking, photo, voice
):
    speaking.render.fps, speaking.render.fps_base = 30, 1.001
    speaking.vividkeys.expressiveness = 0.5
    blender.ops.vividkeys.apply_take()
    assert blender.ops.vividkeys.render_video(video_size=480, video_mark=True) == {"FINISHED"}
    (sent,) = backend.submits
    params = sent.params
    assert sent.kind == "render"
    assert bytes(backend.uploads[params["image"]]) == photo.read_bytes()
    assert bytes(backend.uploads[params["audio"]]) == voice.read_bytes()
    assert params["fps"] == pytest.approx(30 / 1.001, rel=1e-6)
    shown = {name: params[name] for name in ("size", "background", "container", "mark", "preview")}
    assert shown == {
        "size": 480, "background": "keep", "container": "mp4", "mark": True, "preview": False,
    }  # fmt: skip
    assert (params["image_name"], params["audio_name"]) == ("Anna.jpg", voice.name)
    take = addon("shared.requests").take_of(dict(sent.arrays))
    styled = addon("jobs.performances").performance_on(blender.context)
    plain = addon("jobs.performances").plain_performance_on(blender.context)
    assert np.array_equal(take.weights, styled.weights)
    assert not np.array_equal(take.weights, plain.weights), "the style was left out"


def test_a_transparent_background_asks_for_a_mov(blender, addon, backend, speaking):
    speaking.vividkeys.video_background = "ALPHA"
    blender.ops.vividkeys.render_video()
    params = backend.submits[0].params
    assert (params["background"], params["container"]) == ("alpha", "mov")
    (strip,) = movies(addon, speaking)
    assert file_of(blender, strip).suffix == ".mov"


def test_a_photo_of_its_own_is_used_and_a_missing_one_is_said(blender, backend, speaking, tmp_path):
    other = tmp_path / "Berta.png"
    other.write_bytes(b"another")
    speaking.vividkeys.video_photo = str(other)
    blender.ops.vividkeys.render_video()
    assert backend.submits[0].params["image_name"] == "Berta.png"
    other.unlink()
    with pytest.raises(RuntimeError, match=r"There is no file 'Berta.png'"):
        blender.ops.vividkeys.render_video()
    assert len(backend.submits) == 1


def test_only_what_a_trimmed_strip_lets_hear_is_rendered(
    blender, addon, connected, backend, head, voice, photo, films
):
    scene = blender.context.scene
    strip = addon("video.sequencer").lay_sound(scene, voice, 30, "by hand")
    del strip["vividkeys"]
    newer = hasattr(strip, "left_handle_offset")
    setattr(strip, "left_handle_offset" if newer else "frame_offset_start", 6)
    strip.select = True
    scene.vividkeys.audio_source, scene.vividkeys.image_file = "STRIP", str(photo)
    blender.ops.vividkeys.animate()
    whole = addon("jobs.performances").performance_on(blender.context)
    backend.files["render"] = films["large"]
    assert blender.ops.vividkeys.render_video() == {"FINISHED"}
    sent = backend.submits[-1]
    assert sent.params["audio"] == ""
    take = addon("shared.requests").take_of(dict(sent.arrays))
    expected = addon("shared.take").resample_take(whole, 24.0).weights[6:24]
    assert take.fps == 24.0 and np.array_equal(take.weights, expected)
    (movie,) = movies(addon, scene)
    assert frames(addon, movie)[0] == 36 and len(sounds(addon, scene)) == 1
    assert any("silent" in sentence for sentence in connected.notice.sentences)


def test_without_its_voice_the_video_is_silent_and_that_is_said(
    blender, addon, connected, backend, speaking, voice
):
    addon("video.sequencer").remove_strip(
        addon("versions").strips_of(speaking.sequence_editor), sounds(addon, speaking)[0]
    )
    blender.ops.vividkeys.render_video()
    assert backend.submits[-1].params["audio"] == ""
    assert any("voice was not found" in sentence for sentence in connected.notice.sentences)
    assert sounds(addon, speaking) == []
    # The panel's file is the voice when it has the performance's name.
    speaking.vividkeys.audio_file = str(voice)
    blender.ops.vividkeys.render_video()
    assert backend.submits[-1].params["audio_name"] == voice.name
    (sound,) = sounds(addon, speaking)
    assert frames(addon, sound)[0] == 5


# --- where it lands ----------------------------------------------------------------------------


def test_movie_and_sound_are_on_free_channels_at_the_takes_first_frame(
    blender, addon, connected, backend, speaking, films, voice
):
    (heard,) = sounds(addon, speaking)
    strips = addon("versions").strips_of(speaking.sequence_editor)
    strips.new_sound("music", str(voice), channel=2, frame_start=8)
    strips.new_sound("later", str(voice), channel=3, frame_start=900)
    before = {s.name: (s.channel, *frames(addon, s)) for s in strips}
    assert blender.ops.vividkeys.render_video() == {"FINISHED"}
    (movie,) = movies(addon, speaking)
    assert frames(addon, movie) == (5, 5 + FRAMES) and movie.channel == 3
    assert file_of(blender, movie).read_bytes() == films["large"]
    after = {s.name: (s.channel, *frames(addon, s)) for s in strips if s != movie}
    assert after == before, "something else was touched, or the sound was laid twice"
    assert heard.channel == 1
    assert "The photo is small." in connected.notice.sentences
    assert addon("versions").sequencer_scene(blender.context) == speaking


def test_a_voice_that_was_moved_away_is_laid_beside_the_movie(
    blender, addon, backend, speaking, voice
):
    (moved,) = sounds(addon, speaking)
    if hasattr(moved, "content_start"):
        moved.content_start = 300
    else:
        moved.frame_start = 300
    blender.ops.vividkeys.render_video()
    starts = sorted(frames(addon, sound)[0] for sound in sounds(addon, speaking))
    assert starts == [5, 300]
    assert {s.channel for s in sounds(addon, speaking)} != {movies(addon, speaking)[0].channel}


@pytest.mark.parametrize("replace", [False, True])
def test_an_earlier_video_goes_only_when_that_is_asked_for(
    blender, addon, backend, speaking, replace
):
    blender.ops.vividkeys.render_video()
    (first,) = movies(addon, speaking)
    first_file, channel = file_of(blender, first), first.channel
    strips = addon("versions").strips_of(speaking.sequence_editor)
    foreign = strips.new_movie("mine", str(first_file), channel=9, frame_start=5)
    blender.ops.vividkeys.render_video(video_replace=replace)
    found = movies(addon, speaking)
    assert foreign in found and foreign.channel == 9
    ours = [strip for strip in found if strip != foreign]
    if replace:
        assert [strip.channel for strip in ours] == [channel]
        assert file_of(blender, ours[0]) != first_file
    else:
        assert [strip.channel for strip in ours] == [channel, channel + 1]
    assert first_file.is_file(), "no file is ever deleted"


def test_another_persons_video_is_not_replaced(blender, addon, backend, speaking, head, make_face):
    blender.ops.vividkeys.render_video()
    head.name = "Somebody else"
    blender.ops.vividkeys.render_video(video_replace=True)
    assert len(movies(addon, speaking)) == 2


def test_it_goes_into_the_scene_from_which_it_was_sent(blender, addon, connected, speaking):
    cls, operator = as_modal(addon, blender, video_preview=False)
    other = blender.data.scenes.new("Other")
    blender.context.window.scene = other
    assert run(cls, operator, blender.context) == {"FINISHED"}
    assert len(movies(addon, speaking)) == 1
    assert other.sequence_editor is None


def test_a_scene_that_is_gone_does_not_cost_the_film(
    blender, addon, connected, backend, speaking, films
):
    cls, operator = as_modal(addon, blender, video_preview=False)
    other = blender.data.scenes.new("Other")
    blender.context.window.scene = other
    blender.data.scenes.remove(speaking)
    assert run(cls, operator, blender.context) == {"CANCELLED"}
    notice = connected.notice
    assert notice.is_error and "saved as" in notice.sentences[0]
    path = Path(notice.sentences[0].split("saved as ")[1].rstrip("."))
    assert path.read_bytes() == films["large"] and not connected.busy
    assert other.sequence_editor is None


def test_a_frame_rate_that_changed_meanwhile_is_said(blender, addon, connected, speaking):
    cls, operator = as_modal(addon, blender, video_preview=False)
    speaking.render.fps = 30
    assert run(cls, operator, blender.context) == {"FINISHED"}
    (movie,) = movies(addon, speaking)
    assert frames(addon, movie) == (5, 5 + FRAMES)
    assert any("24 frames per second" in sentence for sentence in connected.notice.sentences)


def test_what_blender_cannot_play_leaves_the_sequencer_as_it_was(
    blender, addon, connected, backend, speaking
):
    blender.ops.vividkeys.render_video()
    before = list(strips_of(addon, speaking))
    backend.files["render"] = b"this is no film"
    with pytest.raises(RuntimeError, match="cannot play the video") as caught:
        blender.ops.vividkeys.render_video(video_replace=True)
    assert "saved as" in str(caught.value)
    assert list(strips_of(addon, speaking)) == before


# --- where the file lies -----------------------------------------------------------------------


def test_it_lies_beside_the_blend_file_and_overwrites_nothing(
    blender, addon, speaking, films, voice, tmp_path
):
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    folder = tmp_path / "vividkeys"
    folder.mkdir()
    (folder / f"{voice.stem}.mp4").write_bytes(b"the user's")
    for _ in range(2):
        blender.ops.vividkeys.render_video()
    assert (folder / f"{voice.stem}.mp4").read_bytes() == b"the user's"
    names = {f"{voice.stem}.mp4", f"{voice.stem} 2.mp4", f"{voice.stem} 3.mp4"}
    assert {path.name for path in folder.iterdir()} == names
    strip = movies(addon, blender.context.scene)[0]
    assert strip.filepath == f"//vividkeys/{voice.stem} 2.mp4"


def test_it_lies_among_the_takes_where_the_blend_cannot_be(
    blender, addon, speaking, tmp_path, films
):
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    (tmp_path / "vividkeys").write_bytes(b"a file where the folder should be")
    blender.ops.vividkeys.render_video()
    (strip,) = movies(addon, blender.context.scene)
    assert file_of(blender, strip).parent == addon("folders").takes_folder()
