# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped jobs with the shipped models, from a file to a Take and a face at the client."""

from __future__ import annotations

import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from backend.models import __file__ as models_file
from blender_addon.connection.backend_process import BackendProcess
from blender_addon.connection.connection_check import check_connection
from blender_addon.connection.session import Event, Session
from shared.errors import ErrorKind, VividKeysError
from shared.face import LANDMARK_COUNT, face_from_arrays
from shared.messages import Chunk, Progress
from shared.requests import (
    AnimateRequest,
    as_params,
    face_arrays,
    from_params,
    motion_slice,
)
from shared.take import take_from_arrays, take_to_arrays
from tests.backend.server.held_jobs import HELD_SECONDS
from tests.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = ROOT / "backend" / "samples"

pytestmark = pytest.mark.skipif(
    not (Path(models_file).parent / "motion.safetensors").is_file(),
    reason="the motion model is not in backend/models",
)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackendProcess]:
    """`serve --child` as the add-on starts it, with the standard jobs (see held_jobs)."""
    folder = tmp_path_factory.mktemp("backend")
    process = BackendProcess(
        Path(sys.executable),
        ROOT,
        folder / "backend.log",
        command=(
            "-m",
            "tests.backend.server.run_child",
            str(folder / "data"),
            "modules=tests.backend.server.held_jobs",
        ),
        start_seconds=PATIENCE,
    )
    process.start()
    process.wait_until_ready()
    yield process
    process.stop()


@pytest.fixture
def session(backend: BackendProcess) -> Iterator[Session]:
    connected = Session("a test")
    assert backend.keys is not None
    connected.connect(backend.keys.address, backend.keys)
    connected.wait_until_connected(PATIENCE)
    yield connected
    connected.close()


@pytest.fixture
def portrait_job(session: Session) -> str:
    job = session.submit("reconstruct", {}, uploads={"image": SAMPLES / "portrait.jpg"})
    session.wait(job, timeout=PATIENCE)
    return job


def test_the_check_of_the_connection_goes_well_to_its_end(backend: BackendProcess) -> None:
    assert backend.keys is not None
    steps = check_connection(backend.keys.address, backend.keys, timeout=PATIENCE)
    assert all(step.ok for step in steps), steps
    assert steps[-1].name == "models" and "motion" in steps[-1].sentence


def test_speech_becomes_a_take_piece_by_piece(session: Session) -> None:
    heard: list[Event] = []
    request = {"audio_name": "speech.flac", "seed": 5, "fps": 30.0, "stream": True}
    job = session.submit("animate", request, uploads={"audio": SAMPLES / "speech.flac"})
    done = session.wait(job, timeout=PATIENCE, on_event=heard.append)
    take = take_from_arrays(done.arrays)
    assert take.fps == 30.0 and take.frame_count == done.info["frames"]
    assert take.neutral.shape == (LANDMARK_COUNT, 3)
    assert take.meta["seed"] == 5 and take.meta["audio_name"] == "speech.flac"
    assert take.meta["models"]
    assert len(take.offset_basis) == take.offset_weights.shape[1] == 12
    pieces = [motion_slice(event.info, event.arrays) for event in heard if isinstance(event, Chunk)]
    assert len(pieces) > 1
    starts = np.cumsum([0, *(len(piece.weights) for piece in pieces)])
    assert [piece.start_frame for piece in pieces] == list(starts[:-1])
    assert {piece.fps for piece in pieces} == {30.0}
    for name in ("weights", "head_rotation", "head_translation", "offset_weights"):
        joined = np.concatenate([getattr(piece, name) for piece in pieces])
        np.testing.assert_array_equal(joined, getattr(take, name))
    fractions = [e.fraction for e in heard if isinstance(e, Progress) and e.stage == "animating"]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0


def test_nothing_is_sent_twice_to_a_client_that_did_not_ask(session: Session) -> None:
    heard: list[Event] = []
    job = session.submit("animate", {}, uploads={"audio": SAMPLES / "speech.flac"})
    session.wait(job, timeout=PATIENCE, on_event=heard.append)
    assert not any(isinstance(event, Chunk) for event in heard)
    fractions = [e.fraction for e in heard if isinstance(e, Progress) and e.stage == "animating"]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0


def test_a_photo_becomes_a_face_and_its_take_fits_it(session: Session, portrait_job: str) -> None:
    session.attach(portrait_job)
    face = face_from_arrays(session.wait(portrait_job, timeout=PATIENCE).arrays)
    assert np.ptp(face.texture) > 100, "the photo is on it"
    speech = {"audio": SAMPLES / "speech.flac"}
    by_job = session.submit("animate", {"face_job": portrait_job}, uploads=speech)
    first = take_from_arrays(session.wait(by_job, timeout=PATIENCE).arrays)
    by_arrays = session.submit("animate", {}, face_arrays(face), uploads=speech)
    second = take_from_arrays(session.wait(by_arrays, timeout=PATIENCE).arrays)
    for take in (first, second):
        np.testing.assert_array_equal(take.neutral, face.vertices[:LANDMARK_COUNT])
        assert len(take.triangles) > 800 and take.triangles.max() < LANDMARK_COUNT
    np.testing.assert_array_equal(first.weights, second.weights)


def test_the_take_is_the_one_that_is_made_without_a_server(session: Session) -> None:
    from backend.audio.load import load_audio
    from backend.audio_to_mesh.animate import AnimateSettings, animate
    from backend.audio_to_mesh.motion_model import MotionModel

    speech = SAMPLES / "speech.flac"
    params = {"seed": 11, "articulation": 1.2, "audio_name": speech.name}
    job = session.submit("animate", params, uploads={"audio": speech})
    served = take_to_arrays(take_from_arrays(session.wait(job, timeout=PATIENCE).arrays))
    settings = AnimateSettings(seed=11, articulation=1.2)
    made = take_to_arrays(animate(load_audio(speech), MotionModel.load(), settings))
    assert list(served) == list(made)
    for name, array in made.items():
        np.testing.assert_allclose(served[name], array, atol=1e-5, err_msg=name)


def test_a_way_of_speaking_reaches_the_networks(session: Session) -> None:
    asked = {"effort": 0.75, "jaw_share": -0.5, "parted": 1.0, "head_liveliness": 1.0}
    takes = []
    for params in ({}, asked):
        speech = {"audio": SAMPLES / "speech.flac"}
        job = session.submit("animate", {"seed": 2, **params}, uploads=speech)
        takes.append(take_from_arrays(session.wait(job, timeout=PATIENCE).arrays))
    plain, told = takes
    assert {name: told.meta["settings"][name] for name in asked} == asked
    assert np.abs(told.weights - plain.weights).max() > 0.03
    assert np.abs(told.head_rotation - plain.head_rotation).max() > 1e-3


def test_lip_offsets_are_made_for_the_face_that_was_sent(
    session: Session, portrait_job: str
) -> None:
    from backend.audio_to_mesh.lip_offsets import offset_basis

    speech = {"audio": SAMPLES / "speech.flac"}
    takes = []
    for params in ({}, {"face_job": portrait_job}):
        job = session.submit("animate", {**params, "stream": True}, uploads=speech)
        heard: list[Event] = []
        take = take_from_arrays(session.wait(job, timeout=PATIENCE, on_event=heard.append).arrays)
        pieces = [motion_slice(e.info, e.arrays) for e in heard if isinstance(e, Chunk)]
        joined = np.concatenate([piece.offset_weights for piece in pieces])
        np.testing.assert_array_equal(joined, take.offset_weights)
        takes.append(take)
    mean, own = takes
    for take in takes:
        np.testing.assert_array_equal(take.offset_basis, offset_basis(take.neutral))
    assert (own.offset_basis != mean.offset_basis).any()
    if not mean.offset_weights.any():
        pytest.skip("the motion model in backend/models has learned no lip offsets")
    assert np.abs(own.offset_weights - mean.offset_weights).max() > 0.01


def test_style_dials_are_applied_to_the_result(session: Session) -> None:
    from shared.performance.style import StyleDials, restyle_take

    speech = {"audio": SAMPLES / "speech.flac"}
    takes = []
    for params in ({}, {"anger": 0.75, "jaw": 0.5, "asymmetry": -0.5}):
        job = session.submit("animate", params, uploads=speech)
        takes.append(take_from_arrays(session.wait(job, timeout=PATIENCE).arrays))
    plain, styled = takes
    expected = restyle_take(plain, StyleDials(anger=0.75, jaw=0.5, asymmetry=-0.5))
    np.testing.assert_allclose(styled.weights, expected.weights, atol=1e-5)
    assert styled.meta["style"] == {"anger": 0.75, "jaw": 0.5, "asymmetry": -0.5}
    assert "style" not in plain.meta


def test_cancel_stops_a_long_animation_without_losing_the_worker(
    backend: BackendProcess, session: Session, tmp_path: Path
) -> None:
    long = tmp_path / "long.wav"
    write_noise(long, seconds=HELD_SECONDS + 1)
    workers = psutil.Process(backend.pid).children()
    job = session.submit("animate", {"stream": True}, uploads={"audio": long})

    def cancel(event: Event) -> None:
        if isinstance(event, Chunk):
            session.cancel(job)

    with pytest.raises(VividKeysError) as caught:
        session.wait(job, timeout=PATIENCE, on_event=cancel)
    assert caught.value.kind is ErrorKind.CANCELLED
    speech = {"audio": SAMPLES / "speech.flac"}
    session.wait(session.submit("animate", {}, uploads=speech), timeout=PATIENCE)
    assert psutil.Process(backend.pid).children() == workers, "it stopped by itself"


@pytest.mark.parametrize(
    ("kind", "parameter", "data", "error"),
    [
        ("animate", "audio", b"", ErrorKind.BAD_AUDIO),
        ("animate", "audio", b"RIFF" + bytes(2000), ErrorKind.BAD_AUDIO),
        ("animate", "audio", b"no sound at all " * 100, ErrorKind.BAD_AUDIO),
        ("reconstruct", "image", b"", ErrorKind.BAD_IMAGE),
        ("reconstruct", "image", b"no picture at all " * 100, ErrorKind.BAD_IMAGE),
    ],
)
def test_bad_input_is_a_failed_job_with_a_sentence(
    session: Session, kind: str, parameter: str, data: bytes, error: ErrorKind
) -> None:
    job = session.submit(kind, {}, uploads={parameter: data})
    with pytest.raises(VividKeysError) as caught:
        session.wait(job, timeout=PATIENCE)
    assert caught.value.kind is error
    assert caught.value.next_step and "Traceback" not in caught.value.sentence


@pytest.mark.parametrize(
    "wrong",
    [
        {"fps": 0},
        {"fps": "60"},
        {"fps": 1e9},
        {"seed": -1},
        {"seed": 1.5},
        {"blinks": 3.5},
        {"joy": 1.5},
        {"smile": -1.5},
        {"effort": -1.5},
        {"parted": -0.5},
        {"jaw_share": "jaw"},
        {"head_liveliness": 2},
        {"jaw": "1"},
        {"volume": 1},
        {"stream": 1},
        {"audio_name": "../../etc/passwd"},
        {"face_job": "x"},
        {"face_job": "0" * 32},
    ],
)
def test_wrong_settings_are_refused(session: Session, wrong: dict[str, object]) -> None:
    job = session.submit("animate", wrong, uploads={"audio": SAMPLES / "speech.flac"})
    with pytest.raises(VividKeysError) as caught:
        session.wait(job, timeout=PATIENCE)
    assert caught.value.kind in (ErrorKind.BAD_REQUEST, ErrorKind.UNKNOWN_JOB)


def test_a_face_that_does_not_fit_is_refused(session: Session) -> None:
    arrays = {"face.vertices": np.zeros((3, 3), np.float32)}
    speech = {"audio": SAMPLES / "speech.flac"}
    with pytest.raises(VividKeysError) as caught:
        session.wait(session.submit("animate", {}, arrays, uploads=speech), timeout=PATIENCE)
    assert caught.value.kind is ErrorKind.BAD_ARRAY


def test_a_request_survives_its_way_as_params() -> None:
    request = AnimateRequest("0" * 64, "a.wav", "1" * 32, 7, 25.0, True, 0.5, 0.0, 2.0)
    assert from_params(AnimateRequest, as_params(request)) == request


def write_noise(path: Path, seconds: int) -> None:
    """Noise that swells and fades like syllables, 16 kHz."""
    second = np.random.default_rng(2).normal(0, 4000, 16_000)
    second *= np.sin(np.linspace(0, 4 * np.pi, 16_000)) ** 2
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        for _ in range(seconds):
            out.writeframes(second.astype("<i2").tobytes())
