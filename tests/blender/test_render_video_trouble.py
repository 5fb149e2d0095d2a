# SPDX-License-Identifier: GPL-3.0-or-later
"""Render Talking Video: the preview before it, what goes wrong, what comes later, and the panel."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.patience import wait_until

from .modal_operators import run
from .talking_video import FRAMES, as_modal, file_of, frames, movies, sounds, strips_of

# --- preview, cancel, failures -----------------------------------------------------------------


def test_the_preview_is_laid_first_and_the_film_takes_its_place(
    blender, addon, connected, backend, speaking, films
):
    cls, operator = as_modal(addon, blender, video_preview=True)
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
    assert addon("connection.unfinished").read_unfinished(addon("folders").unfinished_file()) == []


def test_a_full_film_that_is_cancelled_leaves_the_preview(
    blender, addon, connected, backend, speaking, films
):
    def stuck_when_large(submit):
        if not submit.params["preview"]:
            backend.piece_limit = 0
        return films["small" if submit.params["preview"] else "large"]

    backend.files["render"] = stuck_when_large
    cls, operator = as_modal(addon, blender, video_preview=True)
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
    wait_until(lambda: backend.submits[0].job in backend.forgotten)
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
    receipts = addon("connection.receipts")
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
    addon("jobs.work").close()  # as if Blender had quit
    backend.holds_back.clear()
    backend.kept[job] = "render"
    keys = str(backend.key_file)
    blender.ops.vividkeys.connect_address(address=backend.address, key_file=keys)
    assert [offer.job for offer in addon("jobs.work").state().offers] == [job]
    assert blender.ops.vividkeys.fetch() == {"FINISHED"}
    (movie,) = movies(addon, speaking)
    assert frames(addon, movie) == (5, 5 + FRAMES) and len(sounds(addon, speaking)) == 1


def test_when_another_file_was_opened_the_film_is_kept_and_told(
    blender, addon, connected, backend, speaking, films
):
    as_modal(addon, blender, video_preview=False)
    blender.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    wait_until(lambda: connected.job.finished, connected.pump)
    connected.job.looked_at -= 10.0
    addon("jobs.timer").tick()
    assert not connected.notice.is_error and "is saved as" in connected.notice.sentences[0]
    assert not addon("video.video_strips").strips_of_owner(blender.context.scene, "Kopf")
    assert connected.job is None


# --- the panel ---------------------------------------------------------------------------------


def draw(blender, addon):
    from .test_panels import Recorder

    recorder = Recorder(blender)
    addon("interface.panels_video").VIVIDKEYS_PT_video.draw(
        SimpleNamespace(layout=recorder), blender.context
    )
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
    assert reason in addon("interface.availability").disabled_reason(
        blender.context, "render_video"
    )


def test_a_backend_without_the_job_is_named_as_the_reason(
    blender, addon, connected, speaking, monkeypatch
):
    import dataclasses

    older = dataclasses.replace(connected.session.welcome, kinds=("animate",))
    monkeypatch.setattr(connected.session, "_welcome", older)
    reason = addon("interface.availability").disabled_reason(blender.context, "render_video")
    assert reason == "This backend cannot make videos; update it"


def test_the_first_picture_is_taken_for_the_panel_and_leaves_nothing_in_the_file(
    blender, addon, connected, backend, speaking
):
    picture = np.zeros((4, 6, 3), np.uint8)
    picture[0] = 255  # the upper row
    backend.chunks["render"] = {"picture": picture}
    backend.holds_back.set()
    cls, operator = as_modal(addon, blender, video_preview=False)
    first = addon("jobs.first_picture")
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
    render, targets = addon("jobs.kinds.render"), addon("animation.targets")
    plan = render.VideoPlan(
        "Satz", "Kopf", targets.Reference("scenes", targets.NO_UID, "Scene"), 7, 29.97, "mov",
        Path("/x/y.wav"), True, True, False, True, ("a note",),
    )  # fmt: skip
    again = render.plan_from_json(json.loads(json.dumps(render.plan_to_json(plan))))
    assert again == plan
    assert render.plan_from_json({"scene": 3, "fps": "x"}).fps == 24.0
