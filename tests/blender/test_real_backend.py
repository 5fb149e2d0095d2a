# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole way with the real backend: its own Python, real models, real photo, real voice."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import wave
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.patience import PATIENCE, wait_until

from .conftest import PACKAGE, REPOSITORY, shape_curve
from .made_up_character import choose
from .modal_operators import modal, run

SAMPLES = REPOSITORY / "backend" / "samples"
WEIGHTS = REPOSITORY / "backend" / "models" / "motion.safetensors"
INTERPRETER = (
    REPOSITORY
    / ".venv"
    / "backend"
    / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
)


@pytest.fixture(scope="module", autouse=True)
def real_backend_is_there(tmp_path_factory: pytest.TempPathFactory):
    if not INTERPRETER.is_file():
        pytest.skip(f"no backend environment at {INTERPRETER}; python install.py backend makes it")
    if not WEIGHTS.is_file():
        pytest.skip(f"the motion weights are missing: {WEIGHTS.name}")
    # The backend's data folder: keys, uploads, results. Never the user's own.
    patch = pytest.MonkeyPatch()
    folder = str(tmp_path_factory.mktemp("user"))
    for name in ("XDG_DATA_HOME", "HOME", "LOCALAPPDATA", "APPDATA"):
        patch.setenv(name, folder)
    yield
    patch.undo()


def _connect_local(blender, addon):
    addon("folders").unfinished_file().unlink(missing_ok=True)
    blender.context.preferences.addons[PACKAGE].preferences.start_seconds = PATIENCE
    result = blender.ops.vividkeys.connect_local(python=str(INTERPRETER), folder=str(REPOSITORY))
    assert result == {"FINISHED"}
    return addon("jobs.work").state()


@pytest.fixture
def local(blender, addon):
    """Blender with a local backend, started as the panel starts it."""
    return _connect_local(blender, addon)


@pytest.fixture
def held(blender, addon, monkeypatch):
    """The same with a backend that holds the performance of a voice of more than a minute."""
    module = addon("connection.backend")
    command = ("-m", "tests.backend.server.run_child", os.environ["HOME"])
    process = partial(
        module.BackendProcess, command=(*command, "modules=tests.backend.server.held_jobs")
    )
    monkeypatch.setattr(module, "BackendProcess", process)
    return _connect_local(blender, addon)


@pytest.fixture
def long_voice(tmp_path: Path) -> Path:
    """A minute and a second of noise: what `held` holds."""
    random = np.random.default_rng(0)
    noise = random.integers(60, 196, 8000 * 61).astype(np.uint8)
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(noise.tobytes())
    return path


def test_a_photo_and_a_voice_become_a_keyed_head(blender, addon, local, tmp_path):
    ops = blender.ops.vividkeys
    assert ops.create_head(image_file=str(SAMPLES / "portrait.jpg")) == {"FINISHED"}
    head = blender.data.objects["portrait Head"]
    names = [block.name for block in head.data.shape_keys.key_blocks]
    lips = [f"vk_offset_{number:02d}" for number in range(1, 13)]
    assert names == ["Basis", *addon("shared.arkit").ARKIT_NAMES, *lips]
    assert 0.12 < head.dimensions.x < 0.25, "a head is measured in metres"
    blender.context.scene.render.fps = 30
    assert ops.animate(audio_file=str(SAMPLES / "speech.flac"), seed=3) == {"FINISHED"}
    take = addon("jobs.performances").performance_on(blender.context)
    resampled = addon("shared.take").resample_take(take, 30.0)
    for column, name in enumerate(addon("shared.arkit").ARKIT_NAMES):
        keys = shape_curve(addon, head.data.shape_keys, name)
        assert np.array_equal(keys[:, 1], resampled.weights[:, column])
    assert take.offset_weights.any(), "no lip ever needs more than the 52 channels"
    for column, name in enumerate(lips):
        keys = shape_curve(addon, head.data.shape_keys, name)
        wanted = np.clip(resampled.offset_weights[:, column], -10.0, 10.0)
        assert np.array_equal(keys[:, 1], wanted)
    index = addon("shared.arkit").INDEX
    assert take.weights[:, index["jawOpen"]].max() > 0.15, "the mouth does not open"
    assert take.weights[:, index["eyeBlinkLeft"]].max() > 0.5, "the eyes do not blink"
    assert np.abs(take.head_rotation).max() > 0.005, "the head does not move"
    strip = addon("video.sequencer").our_strip(blender.context.scene, head.name)
    _, first, end = addon("versions").strip_frames(strip)
    assert first == 1 and abs((end - first) - len(resampled.weights)) <= 2
    for file_format, suffix in (("TAKE", ".take.npz"), ("GLB", ".glb")):
        assert ops.export(format=file_format, filepath=str(tmp_path / "out")) == {"FINISHED"}
        assert (tmp_path / f"out{suffix}").stat().st_size > 10_000
    # The same voice and seed again: the same performance.
    assert ops.animate(audio_file=str(SAMPLES / "speech.flac"), seed=3) == {"FINISHED"}
    again = addon("jobs.performances").performance_on(blender.context)
    assert np.array_equal(again.weights, take.weights)


def _bad_files_are_said_in_one_sentence(blender, local, folder: Path) -> None:
    empty, text = folder / "empty.wav", folder / "not a sound.mp3"
    empty.write_bytes(b"")
    text.write_text("This is no sound at all.\n" * 50)
    for broken in (empty, text):
        with pytest.raises(RuntimeError):
            blender.ops.vividkeys.animate(audio_file=str(broken))
        notice = local.notice
        assert notice.is_error and broken.name in notice.sentences[0] and notice.next_step
    with pytest.raises(RuntimeError):
        blender.ops.vividkeys.create_head(image_file=str(text))
    assert local.notice.is_error


def test_bad_files_cancel_and_a_killed_backend_leave_blender_usable(
    blender, addon, held, head, long_voice, tmp_path
):
    # One test for three things, because a backend takes seconds to start.
    _bad_files_are_said_in_one_sentence(blender, held, tmp_path)

    def start():
        cls, operator = modal(
            addon, blender, "animate", "VIVIDKEYS_OT_animate", audio_file=str(long_voice)
        )

        run(cls, operator, blender.context, until=lambda: held.job.sentence == "Held")
        return cls, operator

    cls, operator = start()
    blender.ops.vividkeys.cancel()
    assert run(cls, operator, blender.context) == {"CANCELLED"}
    assert not blender.data.actions
    cls, operator = start()
    held.backend.process._process.kill()
    assert run(cls, operator, blender.context) == {"CANCELLED"}
    assert held.notice.is_error and "backend" in held.notice.sentences[0]
    assert not held.busy and not blender.data.actions
    blender.ops.vividkeys.connect_local(python=str(INTERPRETER), folder=str(REPOSITORY))
    sample = str(SAMPLES / "speech.flac")
    assert blender.ops.vividkeys.animate(audio_file=sample) == {"FINISHED"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory):
    """A backend that somebody else started, and a key file for this client."""
    folder = tmp_path_factory.mktemp("elsewhere")
    data = folder / "served"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    serve = [str(INTERPRETER), "-m", "backend", "serve", "--port", "0", "--data", str(data)]
    key_file = folder / "laptop.key"
    add = [str(INTERPRETER), "-m", "backend", "keys", "add", "laptop", "--data", str(data)]
    subprocess.run([*add, "--out", str(key_file)], cwd=REPOSITORY, env=environment, check=True)
    process = subprocess.Popen(
        serve,
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True)
    reader.start()

    def address():
        return re.search(r"tcp://[\w.:]+", "".join(list(lines)))

    wait_until(lambda: address() or process.poll() is not None)
    assert address(), "".join(lines)
    yield SimpleNamespace(address=address()[0], key_file=key_file)
    process.terminate()
    process.wait(PATIENCE)
    reader.join(PATIENCE)
    process.stdout.close()


def test_blender_quits_in_mid_job_and_the_result_waits(blender, addon, served, head, tmp_path):
    addon("folders").unfinished_file().unlink(missing_ok=True)
    connect = {"address": served.address, "key_file": str(served.key_file)}
    blender.ops.vividkeys.connect_address(**connect)
    work = addon("jobs.work").state()
    sample = str(SAMPLES / "speech.flac")
    modal(addon, blender, "animate", "VIVIDKEYS_OT_animate", audio_file=sample)
    wait_until(lambda: work.job.fraction > 0 or work.job.finished, work.pump)
    path = str(tmp_path / "scene.blend")
    blender.ops.wm.save_as_mainfile(filepath=path)
    addon("jobs.work").close()
    blender.ops.wm.open_mainfile(filepath=path)
    blender.ops.vividkeys.connect_address(**connect)
    work = addon("jobs.work").state()
    assert [offer.label for offer in work.offers] == ["speech"]
    assert blender.ops.vividkeys.fetch() == {"FINISHED"}
    again = blender.data.objects["Kopf"]
    keys = shape_curve(addon, again.data.shape_keys, "jawOpen")
    assert len(keys) > 100 and keys[:, 1].max() > 0.15


def test_a_character_without_keys_gets_them(blender, addon, served):
    """A head of ours, stripped of all that we know about it, stands for a stranger's character."""
    addon("folders").unfinished_file().unlink(missing_ok=True)
    blender.ops.vividkeys.connect_address(address=served.address, key_file=str(served.key_file))
    work = addon("jobs.work").state()
    assert "transfer" in work.session.welcome.kinds
    ops, coordinates = blender.ops.vividkeys, addon("animation.lip_detail").coordinates
    assert ops.create_head(image_file=str(SAMPLES / "portrait.jpg")) == {"FINISHED"}
    head = blender.data.objects["portrait Head"]
    landmarks = addon("heads.scene").landmarks_at_rest(head)
    stranger = blender.data.objects.new("Stranger", head.data.copy())
    stranger.shape_key_clear()
    blender.context.scene.collection.objects.link(stranger)
    # Another unit, another direction, another place.
    stranger.scale, stranger.rotation_euler = (10.0, 10.0, 10.0), (0.0, 0.0, 0.9)
    stranger.location = (4.0, -3.0, 20.0)
    choose(blender, stranger)
    assert ops.find_face_points() == {"FINISHED"}
    assert not any("guessed" in sentence for sentence in work.notice.sentences)
    for landmark, point in addon("heads.face_points").of(stranger).items():
        apart = np.linalg.norm(np.array(point.location) - landmarks[landmark])
        assert apart < 0.012, f"{point.name} is {1000 * apart:.0f} mm off"
    assert ops.make_face_keys() == {"FINISHED"}
    assert addon("animation.targets").target_meshes(blender.context) == [stranger]
    names = addon("shared.arkit").ARKIT_NAMES
    made, known = stranger.data.shape_keys.key_blocks, head.data.shape_keys.key_blocks
    assert set(names) < set(made.keys())
    for name in ("jawOpen", "mouthFunnel", "mouthSmileLeft", "eyeBlinkRight", "browInnerUp"):
        own = coordinates(made[name].points) - coordinates(made["Basis"].points)
        wanted = coordinates(known[name].points) - coordinates(known["Basis"].points)
        likeness = (own * wanted).sum() / np.linalg.norm(own) / np.linalg.norm(wanted)
        assert likeness > 0.6, f"{name}: {likeness:.2f}"
        assert 0.4 < np.linalg.norm(own) / np.linalg.norm(wanted) < 2.5, name
    assert ops.animate(audio_file=str(SAMPLES / "speech.flac"), seed=3) == {"FINISHED"}
    assert work.notice.sentences[0] == "52 of 52 channels drive 52 shape keys."
    assert not any("ip detail" in sentence for sentence in work.notice.sentences)
    keys = shape_curve(addon, stranger.data.shape_keys, "jawOpen")
    assert keys[:, 1].max() > 0.15
    assert shape_curve(addon, stranger.data.shape_keys, "vk_offset_01")[:, 1].any()
