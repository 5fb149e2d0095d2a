# SPDX-License-Identifier: GPL-3.0-or-later
"""Render Talking Video, over real sockets: what is sent, and which strips land where."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from .modal_operators import modal, run

FRAMES = 12


@pytest.fixture(scope="session")
def films(installed, tmp_path_factory):
    """Two small films, as Blender itself writes them: 'large' and 'small', bytes."""
    import importlib

    import bpy

    versions = importlib.import_module(f"{installed}.versions")
    made = {}
    for name, width in (("large", 96), ("small", 64)):
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        scene = bpy.context.scene
        strips = versions.strips_of(scene.sequence_editor_create())
        length = "length" if "length" in strips.bl_rna.functions["new_effect"].parameters else None
        end = {"length": FRAMES} if length else {"frame_end": 1 + FRAMES}
        strips.new_effect("colour", "COLOR", channel=1, frame_start=1, **end)
        render = scene.render
        render.resolution_x, render.resolution_y, render.resolution_percentage = width, 48, 100
        render.fps, render.fps_base = 24, 1.0
        scene.frame_end = FRAMES
        versions.set_film_output(render)
        render.use_file_extension = False
        render.filepath = str(tmp_path_factory.mktemp("film") / f"{name}.mp4")
        bpy.ops.render.render(animation=True, scene=scene.name)
        made[name] = Path(render.filepath).read_bytes()
    return made


@pytest.fixture
def speaking(blender, addon, connected, backend, head, voice, photo, films):
    """A head that speaks from frame 5 on, and a backend that makes films."""
    assert blender.ops.vividkeys.animate(audio_file=str(voice), start_frame=5) == {"FINISHED"}
    blender.context.scene.vividkeys.image_file = str(photo)
    backend.submits.clear()

    def film(submit):
        return films["small" if submit.params["preview"] else "large"]

    backend.files["render"] = film
    backend.infos["render"] = {"frames": FRAMES, "warnings": ["The photo is small."]}
    return blender.context.scene


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
    styled = addon("delivery").performance_on(blender.context)
    plain = addon("delivery").plain_performance_on(blender.context)
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
    with pytest.raises(RuntimeError, match="There is no file 'Berta.png'"):
        blender.ops.vividkeys.render_video()
    assert len(backend.submits) == 1


def test_only_what_a_trimmed_strip_lets_hear_is_rendered(
    blender, addon, connected, backend, head, voice, photo, films
):
    scene = blender.context.scene
    strip = addon("sequencer").lay_sound(scene, voice, 30, "by hand")
    del strip["vividkeys"]
    newer = hasattr(strip, "left_handle_offset")
    setattr(strip, "left_handle_offset" if newer else "frame_offset_start", 6)
    strip.select = True
    scene.vividkeys.audio_source, scene.vividkeys.image_file = "STRIP", str(photo)
    blender.ops.vividkeys.animate()
    whole = addon("delivery").performance_on(blender.context)
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
    addon("sequencer").remove_strip(
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


# --- preview, cancel, failures -----------------------------------------------------------------


def test_the_preview_is_laid_first_and_the_film_takes_its_place(
    blender, addon, connected, backend, speaking, films
):
    cls, operator = as_modal(addon, blender, video_preview=True)
    assert backend.submits[0].params["preview"] is True
    run(cls, operator, blender.context, until=lambda: len(movies(addon, speaking)) == 1)
    (preview,) = movies(addon, speaking)
    assert file_of(blender, preview).read_bytes() == films["small"]
    channel, name = preview.channel, file_of(blender, preview)
    # What is turned in the panel meanwhile changes nothing of what is under way.
    speaking.vividkeys.video_size, speaking.vividkeys.video_background = 99, "ALPHA"
    assert run(cls, operator, blender.context) == {"FINISHED"}
    (movie,) = movies(addon, speaking)
    assert file_of(blender, movie).read_bytes() == films["large"]
    assert movie.channel == channel and frames(addon, movie)[0] == 5
    assert name.is_file(), "an undo step shows the preview again"
    assert [submit.params["preview"] for submit in backend.submits] == [True, False]
    assert backend.submits[1].params["size"] == 720
    assert backend.submits[1].params["background"] == "keep"
    assert not connected.busy and operator.timer is None


def test_an_earlier_video_stays_until_the_full_one_is_there(blender, addon, backend, speaking):
    blender.ops.vividkeys.render_video()
    (earlier,) = movies(addon, speaking)
    cls, operator = as_modal(addon, blender, video_preview=True, video_replace=True)
    run(cls, operator, blender.context, until=lambda: len(movies(addon, speaking)) == 2)
    preview = movies(addon, speaking)[-1]
    assert preview.channel > earlier.channel, "the earlier one would hide it"
    run(cls, operator, blender.context)
    assert len(movies(addon, speaking)) == 1


def test_preview_and_film_are_an_undo_step_each(
    blender, addon, connected, backend, speaking, films
):
    blender.ops.ed.undo_push(message="before")
    cls, operator = as_modal(addon, blender, video_preview=True)
    assert run(cls, operator, blender.context) == {"FINISHED"}
    # Blender's window pushes this one itself for an operator with UNDO.
    assert cls.bl_options == {"UNDO"}
    blender.ops.ed.undo_push(message="Render Talking Video")

    def shown():
        return [file_of(blender, s).read_bytes() for s in movies(addon, blender.context.scene)]

    assert shown() == [films["large"]]
    blender.ops.ed.undo()
    assert shown() == [films["small"]]
    blender.ops.ed.undo()
    assert shown() == []


def test_cancelled_it_leaves_the_sequencer_as_it_was(blender, addon, connected, backend, speaking):
    backend.holds_back.set()
    before = list(strips_of(addon, speaking))
    cls, operator = as_modal(addon, blender, video_preview=False)
    run(cls, operator, blender.context, until=lambda: connected.job.fraction == 0.5)
    assert blender.ops.vividkeys.cancel() == {"FINISHED"}
    assert run(cls, operator, blender.context) == {"CANCELLED"}
    assert backend.cancelled == [backend.submits[0].job]
    assert list(strips_of(addon, speaking)) == before and not connected.busy
    assert addon("unfinished").read_unfinished(addon("folders").unfinished_file()) == []


def test_a_full_film_that_is_cancelled_leaves_the_preview(
    blender, addon, connected, backend, speaking, films
):
    cls, operator = as_modal(addon, blender, video_preview=True)
    run(cls, operator, blender.context, until=lambda: len(movies(addon, speaking)) == 1)
    backend.holds_back.set()
    backend.piece_limit = 0  # the full film may have been made before that
    run(cls, operator, blender.context, until=lambda: len(backend.submits) == 2)
    blender.ops.vividkeys.cancel()
    assert run(cls, operator, blender.context) == {"CANCELLED"}
    (strip,) = movies(addon, speaking)
    assert file_of(blender, strip).read_bytes() == films["small"]


def test_cancelled_while_the_film_is_received_it_is_forgotten(
    blender, addon, connected, backend, speaking
):
    backend.piece_limit = 0
    cls, operator = as_modal(addon, blender, video_preview=False)
    run(cls, operator, blender.context, until=lambda: connected.job.result_waits)
    blender.ops.vividkeys.cancel()
    assert run(cls, operator, blender.context) == {"CANCELLED"}
    deadline = time.monotonic() + 5
    while backend.submits[0].job not in backend.forgotten and time.monotonic() < deadline:
        time.sleep(0.01)
    assert backend.submits[0].job in backend.forgotten
    assert connected.offers == () and movies(addon, speaking) == []
    assert not list(addon("folders").received_folder().glob(f"{backend.submits[0].job}*"))


def test_a_failure_shows_its_sentence_and_changes_nothing(
    blender, addon, connected, backend, speaking
):
    before = list(strips_of(addon, speaking))
    backend.failure = ("no_face", "No face was found in the photo.", "Choose another photo.")
    with pytest.raises(RuntimeError, match="No face was found"):
        blender.ops.vividkeys.render_video()
    assert connected.notice.next_step == "Choose another photo."
    assert list(strips_of(addon, speaking)) == before and not connected.busy


def test_a_failed_preview_is_the_end_of_it(blender, addon, connected, backend, speaking):
    backend.failure = ("no_face", "No face was found in the photo.", "Choose another photo.")
    cls, operator = as_modal(addon, blender, video_preview=True)
    assert run(cls, operator, blender.context) == {"CANCELLED"}
    assert len(backend.submits) == 1


def test_no_room_here_keeps_the_film_at_the_backend_and_offers_it(
    blender, addon, connected, backend, speaking, films, monkeypatch
):
    usage = SimpleNamespace(free=100)
    receipts = addon("receipts")
    monkeypatch.setattr(receipts.shutil, "disk_usage", lambda _folder: usage)
    with pytest.raises(RuntimeError, match="no room on this computer"):
        blender.ops.vividkeys.render_video()
    job = backend.submits[0].job
    assert [offer.job for offer in connected.offers] == [job]
    assert backend.forgotten.count(job) == 0
    monkeypatch.undo()
    backend.kept[job] = "render"
    assert blender.ops.vividkeys.fetch(job=job) == {"FINISHED"}
    (movie,) = movies(addon, speaking)
    assert file_of(blender, movie).read_bytes() == films["large"]
    assert connected.offers == ()


def test_a_film_is_fetched_after_blender_was_started_again(
    blender, addon, connected, backend, speaking, films
):
    backend.holds_back.set()
    cls, operator = as_modal(addon, blender, video_preview=False)
    run(cls, operator, blender.context, until=lambda: len(backend.submits) == 1)
    job = backend.submits[0].job
    addon("work").close()  # as if Blender had quit
    backend.holds_back.clear()
    backend.kept[job] = "render"
    keys = str(backend.key_file)
    blender.ops.vividkeys.connect_address(address=backend.address, key_file=keys)
    assert [offer.job for offer in addon("work").state().offers] == [job]
    assert blender.ops.vividkeys.fetch() == {"FINISHED"}
    (movie,) = movies(addon, speaking)
    assert frames(addon, movie) == (5, 5 + FRAMES) and len(sounds(addon, speaking)) == 1


def test_when_another_file_was_opened_the_film_is_kept_and_told(
    blender, addon, connected, backend, speaking, films
):
    as_modal(addon, blender, video_preview=False)
    blender.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    work = addon("work")
    while not connected.job.finished:
        connected.pump()
        time.sleep(0.01)
    connected.job.looked_at -= 10.0
    work.tick()
    assert not connected.notice.is_error and "is saved as" in connected.notice.sentences[0]
    assert not addon("video_strips").strips_of_owner(blender.context.scene, "Kopf")
    assert connected.job is None


# --- the panel ---------------------------------------------------------------------------------


def draw(blender, addon):
    from .test_panels import Recorder

    recorder = Recorder(blender)
    addon("panels_video").VIVIDKEYS_PT_video.draw(SimpleNamespace(layout=recorder), blender.context)
    return recorder


def test_the_panel_asks_for_consent_and_can_be_pressed(blender, addon, speaking):
    shown = draw(blender, addon)
    assert "Only animate the face of someone who agreed to it." in shown.text
    assert "The head's photo: Anna.jpg" in shown.text
    assert shown.buttons["vividkeys.render_video"]
    fields = {"video_photo", "video_size", "video_background", "video_preview", "video_mark"}
    assert fields | {"video_replace"} == set(shown.fields)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda scene, work: setattr(scene.vividkeys, "image_file", ""), "Choose a photo first"),
        (lambda scene, work: setattr(scene.vividkeys, "video_photo", "//x.jpg"), "no file 'x.jpg'"),
        (lambda scene, work: scene.vividkeys.targets.clear(), "Animate a target first"),
        (lambda scene, work: setattr(scene.render, "fps", 240), "at most 120 frames"),
    ],
)
def test_the_reason_why_it_is_grey(blender, addon, connected, speaking, spoil, reason):
    spoil(speaking, connected)
    assert draw(blender, addon).buttons["vividkeys.render_video"] is False
    assert reason in addon("availability").disabled_reason(blender.context, "render_video")


def test_a_backend_without_the_job_is_named_as_the_reason(
    blender, addon, connected, speaking, monkeypatch
):
    import dataclasses

    older = dataclasses.replace(connected.session.welcome, kinds=("animate",))
    monkeypatch.setattr(connected.session, "_welcome", older)
    reason = addon("availability").disabled_reason(blender.context, "render_video")
    assert reason == "This backend cannot make videos; update it"


def test_the_first_picture_is_taken_for_the_panel_and_leaves_nothing_in_the_file(
    blender, addon, connected, backend, speaking
):
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[0] = 255  # the upper row
    backend.chunks["render"] = {"picture": picture}
    backend.holds_back.set()
    cls, operator = as_modal(addon, blender, video_preview=False)
    first = addon("first_picture")
    run(cls, operator, blender.context, until=lambda: bool(first._collections))
    preview = first._collections[-1]["first"]
    assert tuple(preview.image_size) == (6, 4)
    pixels = np.array(preview.image_pixels_float[:]).reshape(4, 6, 4)
    assert pixels[-1].min() == 1.0 and pixels[0, :, :3].max() == 0.0
    assert not any("first" in image.name for image in blender.data.images)
    backend.release.set()
    assert run(cls, operator, blender.context) == {"FINISHED"}
    first.show({"picture": np.zeros((3, 3), np.float32)})  # a strange one changes nothing
    first.clear()
    assert first.icon() == 0


def test_a_plan_survives_as_json(addon):
    delivery, targets = addon("video_delivery"), addon("targets")
    plan = delivery.VideoPlan(
        "Satz", "Kopf", targets.Reference("scenes", targets.NO_UID, "Scene"), 7, 29.97, "mov",
        Path("/x/y.wav"), True, True, False, True, ("a note",),
    )  # fmt: skip
    again = delivery.plan_from_json(json.loads(json.dumps(delivery.plan_to_json(plan))))
    assert again == plan
    assert delivery.plan_from_json({"scene": 3, "fps": "x"}).fps == 24.0
