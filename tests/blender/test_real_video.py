# SPDX-License-Identifier: GPL-3.0-or-later
"""The talking video with a real backend: its own Python, real sockets, a film that it encoded."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.backend.server.stand_in_photos import REAL
from tests.patience import PATIENCE

from .conftest import REPOSITORY
from .modal_operators import modal, run
from .test_real_backend import INTERPRETER, SAMPLES, real_backend_is_there  # noqa: F401


@pytest.fixture(scope="module")
def backend_with_stand_in(installed, real_backend_is_there, tmp_path_factory):  # noqa: F811
    """A backend that draws a stand-in, unless a photo says that it is real; one for both tests."""
    folder = tmp_path_factory.mktemp("backend")
    process = importlib.import_module(f"{installed}.connection.backend_process").BackendProcess(
        INTERPRETER,
        REPOSITORY,
        folder / "backend.log",
        command=(
            *("-m", "tests.backend.server.run_child", str(folder / "data")),
            "modules=tests.backend.server.stand_in_frames",
        ),
        start_seconds=PATIENCE,
    )
    process.start()
    yield process, folder / "data"
    process.stop()


@pytest.fixture
def work(blender, addon, backend_with_stand_in):
    process, _data = backend_with_stand_in
    keys = process.wait_until_ready()
    addon("folders").unfinished_file().unlink(missing_ok=True)
    made = addon("jobs.work").state()
    made.session.connect(keys.address, keys)
    made.wait_until_connected(PATIENCE)
    yield made
    addon("jobs.work").close()


def movies(blender, addon):
    strips = addon("versions").strips_of(blender.context.scene.sequence_editor)
    return [strip for strip in strips if strip.type == "MOVIE"]


def test_a_voice_is_keyed_and_then_spoken_by_a_photo(
    blender, addon, work, backend_with_stand_in, head, tmp_path, monkeypatch
):
    scene = blender.context.scene
    scene.render.fps, scene.render.fps_base = 30, 1.001
    speech = SAMPLES / "speech.flac"
    ops = blender.ops.vividkeys
    assert ops.animate(audio_file=str(speech), start_frame=10) == {"FINISHED"}
    blender.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    scene = blender.context.scene
    scene.vividkeys.video_photo = str(SAMPLES / "portrait.jpg")
    shown = []
    requests = addon("shared.requests")
    read = requests.first_picture
    monkeypatch.setattr(
        requests, "first_picture", lambda arrays: (shown.append(arrays), read(arrays))[1]
    )
    cls, operator = modal(
        addon, blender, "render_video", "VIVIDKEYS_OT_render_video", video_preview=True,
        video_size=320,
    )  # fmt: skip
    run(cls, operator, blender.context, until=lambda: len(movies(blender, addon)) == 1)
    assert movies(blender, addon)[0].elements[0].orig_width == 256, "the preview"
    assert run(cls, operator, blender.context) == {"FINISHED"}
    (movie,) = movies(blender, addon)
    assert movie.elements[0].orig_width == 320 and len(shown) == 2
    assert movie.fps == pytest.approx(30 / 1.001, rel=1e-4)
    assert movie.filepath == "//vividkeys/speech.mp4"
    _, first, end = addon("versions").strip_frames(movie)
    sound = addon("video.sequencer").our_strip(scene, "Kopf")
    _, heard_from, heard_to = addon("versions").strip_frames(sound)
    # In sync: the same first frame, and one frame of the film for each of the scene.
    assert first == heard_from == 10 and abs(end - heard_to) <= 2
    assert movie.channel != sound.channel
    assert "It is only a stand-in." in work.notice.sentences
    assert not any("silent" in sentence for sentence in work.notice.sentences)
    kept, (_process, data) = work.session.welcome, backend_with_stand_in
    assert kept is not None and not list((data / "server" / "working").iterdir())
    text = Path(work.notice.sentences[1].removeprefix("It is saved as ").removesuffix("."))
    assert text == tmp_path / "vividkeys" / "speech.mp4"


def test_the_whole_pipeline_lands_in_the_sequencer(blender, addon, work, head, tmp_path):
    scene = blender.context.scene
    scene.render.fps = 12
    ops = blender.ops.vividkeys
    assert ops.animate(audio_file=str(SAMPLES / "speech.flac")) == {"FINISHED"}
    photo = tmp_path / "portrait.jpg"
    photo.write_bytes((SAMPLES / "portrait.jpg").read_bytes() + REAL)
    assert ops.render_video(video_photo=str(photo), video_size=96) == {"FINISHED"}
    assert "It is only a stand-in." not in work.notice.sentences
    (movie,) = movies(blender, addon)
    assert max(movie.elements[0].orig_width, movie.elements[0].orig_height) == 96
    _, first, end = addon("versions").strip_frames(movie)
    assert first == 1 and end > 12
    path = Path(blender.path.abspath(movie.filepath))
    assert path.parent == addon("folders").takes_folder() and path.stat().st_size > 5000
