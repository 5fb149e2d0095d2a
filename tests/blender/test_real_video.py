# SPDX-License-Identifier: GPL-3.0-or-later
"""The talking video with a real backend: its own Python, real sockets, a film that it encoded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.patience import PATIENCE

from .conftest import REPOSITORY
from .modal_operators import modal, run
from .test_real_backend import INTERPRETER, SAMPLES, real_backend_is_there  # noqa: F401

VIDEO = REPOSITORY / "backend" / "mesh_to_video" / "video.py"


@pytest.fixture
def connect_to(blender, addon, tmp_path):
    """Starts a backend with the jobs of a module and connects to it."""
    started, data = [], tmp_path / "data"

    def connect(modules: str):
        process = addon("connection.backend_process").BackendProcess(
            INTERPRETER,
            REPOSITORY,
            tmp_path / "backend.log",
            command=("-m", "tests.backend.server.run_child", str(data), f"modules={modules}"),
            start_seconds=PATIENCE,
        )
        process.start()
        started.append(process)
        process.wait_until_ready()
        work = addon("jobs.work").state()
        work.session.connect(process.keys.address, process.keys)
        work.wait_until_connected(PATIENCE)
        return work

    addon("folders").unfinished_file().unlink(missing_ok=True)
    yield connect
    addon("jobs.work").close()
    for process in started:
        process.stop()


def movies(blender, addon):
    strips = addon("versions").strips_of(blender.context.scene.sequence_editor)
    return [strip for strip in strips if strip.type == "MOVIE"]


def test_a_voice_is_keyed_and_then_spoken_by_a_photo(
    blender, addon, connect_to, head, tmp_path, monkeypatch
):
    if not VIDEO.is_file():
        pytest.skip("backend.mesh_to_video.video is not there")
    work = connect_to("tests.backend.server.stand_in_frames")
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
    kept = work.session.welcome
    assert kept is not None and not list((tmp_path / "data" / "server" / "working").iterdir())
    text = Path(work.notice.sentences[1].removeprefix("It is saved as ").removesuffix("."))
    assert text == tmp_path / "vividkeys" / "speech.mp4"


def test_the_whole_pipeline_lands_in_the_sequencer(blender, addon, connect_to, head, tmp_path):
    if not VIDEO.is_file():
        pytest.skip("backend.mesh_to_video.video is not there")
    connect_to("backend.server.jobs.animate,backend.server.jobs.render")
    scene = blender.context.scene
    scene.render.fps = 12
    ops = blender.ops.vividkeys
    assert ops.animate(audio_file=str(SAMPLES / "speech.flac")) == {"FINISHED"}
    photo = str(SAMPLES / "portrait.jpg")
    assert ops.render_video(video_photo=photo, video_size=96) == {"FINISHED"}
    (movie,) = movies(blender, addon)
    assert max(movie.elements[0].orig_width, movie.elements[0].orig_height) == 96
    _, first, end = addon("versions").strip_frames(movie)
    assert first == 1 and end > 12
    path = Path(blender.path.abspath(movie.filepath))
    assert path.parent == addon("folders").takes_folder() and path.stat().st_size > 5000
