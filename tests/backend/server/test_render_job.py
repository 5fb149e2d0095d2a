# SPDX-License-Identifier: GPL-3.0-or-later
"""The job `render`, from request to film, over real sockets; once with the whole pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from backend.server.jobs.render import JOB_KINDS, small_picture
from blender_addon.connection.events import Event, FileReceived
from blender_addon.connection.session import Session
from shared.arkit import INDEX
from shared.errors import ErrorKind, VividKeysError
from shared.messages import Chunk, Done, Progress
from shared.requests import RenderRequest, as_params, first_picture, take_arrays
from shared.take import Take
from tests.backend.server.real_server import RunningServer
from tests.backend.server.stand_in_photos import ENDLESS, PAUSING, REAL
from tests.patience import PATIENCE, wait_until

SAMPLES = Path(__file__).resolve().parents[3] / "backend" / "samples"
SHA = "0123456789abcdef" * 4
STAND_IN = ("tests.backend.server.stand_in_frames",)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    running = RunningServer(tmp_path_factory.mktemp("backend"), modules=STAND_IN)
    assert running.ready.wait(PATIENCE)
    yield running
    running.stop()


@pytest.fixture
def session(server: RunningServer) -> Iterator[Session]:
    made = Session("a test")
    made.connect(server.address, server.client_keys("anna"))
    made.wait_until_connected(PATIENCE)
    yield made
    made.close()


def take(frames: int = 60) -> Take:
    weights = np.zeros((frames, 52), np.float32)
    weights[:, INDEX["jawOpen"]] = np.linspace(0, 1, frames)
    return Take(
        fps=60.0,
        weights=weights,
        head_rotation=np.zeros((frames, 3), np.float32),
        head_translation=np.zeros((frames, 3), np.float32),
        neutral=np.random.default_rng(0).normal(0, 0.05, (468, 3)).astype(np.float32),
        triangles=np.array([[0, 1, 2]], np.int32),
    )


class Rendered:
    """What a client has in the end."""

    def __init__(self, done: Done, heard: list[Event]) -> None:
        self.info = done.info
        (self.path,) = [event.path for event in heard if isinstance(event, FileReceived)]
        self.chunks = [event for event in heard if isinstance(event, Chunk)]
        self.sentences = [event.sentence for event in heard if isinstance(event, Progress)]


def render(session: Session, folder: Path, arrays: Any = None, **asked: Any) -> Rendered:
    uploads = {name: asked.pop(name) for name in ("image", "audio") if name in asked}
    params = as_params(RenderRequest(SHA, **asked))
    if "take_job" not in asked and arrays is None:
        arrays = take_arrays(take())
    heard: list[Event] = []
    uploads = {"image": b"a photo", **uploads}
    job = session.submit("render", params, arrays, uploads, files_to=folder)
    done = session.wait(job, timeout=PATIENCE, on_event=heard.append)
    return Rendered(done, heard)


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


def test_a_film_arrives_with_its_sound_its_figures_and_its_first_picture(
    session: Session, tmp_path: Path
) -> None:
    made = render(
        session, tmp_path, image=PAUSING, fps=24.0, size=320, audio=SAMPLES / "speech.flac",
        audio_name="a.flac",
    )  # fmt: skip
    figures = {name: made.info[name] for name in ("width", "height", "fps", "frames", "container")}
    assert figures == {
        "width": 320, "height": 160, "fps": 24.0, "frames": 24, "container": "mp4",
    }  # fmt: skip
    assert made.info["seconds"] == pytest.approx(1.0)
    assert "It is only a stand-in." in made.info["warnings"]
    shown = pictures(made.path)
    assert len(shown) == 24
    light = [float(picture.mean()) for picture in shown]
    assert light[0] < 10 and light[-1] > 230 and light == sorted(light)
    with av.open(str(made.path)) as film:
        assert [stream.type for stream in film.streams] == ["video", "audio"]
    (chunk,) = made.chunks
    assert first_picture(chunk.arrays).pixels.shape == (80, 160, 3)
    told = [sentence for sentence in made.sentences if sentence.endswith(" left")]
    assert any(sentence.startswith("Frame 12 of 24, ") for sentence in told), made.sentences


def test_a_preview_is_small_whatever_was_asked_for(session: Session, tmp_path: Path) -> None:
    for size, width in ((0, 256), (720, 256), (128, 128)):
        made = render(session, tmp_path, size=size, preview=True)
        assert made.info["width"] == width
    long = render(session, tmp_path, take_arrays(take(660)), size=64, fps=12.0, preview=True)
    assert long.info["seconds"] == pytest.approx(10.0)
    assert "The preview shows the first 10 seconds." in long.info["warnings"]
    whole = render(session, tmp_path, take_arrays(take(660)), size=64, fps=12.0)
    assert whole.info["seconds"] == pytest.approx(11.0)


def test_a_transparent_film_is_a_mov_with_alpha(session: Session, tmp_path: Path) -> None:
    made = render(session, tmp_path, size=64, background="alpha", container="mov")
    with av.open(str(made.path)) as film:
        assert film.streams.video[0].codec_context.name.startswith("prores")
        assert "a" in next(film.decode(video=0)).format.name


def test_the_take_may_be_a_finished_job(session: Session, tmp_path: Path) -> None:
    voice = {"audio": SAMPLES / "speech.flac"}
    job = session.submit("animate", {"fps": 30.0}, uploads=voice)
    frames = session.wait(job, timeout=PATIENCE).info["frames"]
    made = render(session, tmp_path, take_job=job, fps=30.0, size=64)
    assert made.info["frames"] == frames


@pytest.mark.parametrize(
    ("arrays", "asked", "kind"),
    [
        ({}, {}, ErrorKind.BAD_REQUEST),
        (take_arrays(take()), {"take_job": "a" * 32}, ErrorKind.BAD_REQUEST),
        ({}, {"take_job": "a" * 32}, ErrorKind.UNKNOWN_JOB),
        ({"take.fps": np.ones(1)}, {}, ErrorKind.BAD_ARRAY),
        ({"face.fps": np.ones(1)}, {}, ErrorKind.BAD_ARRAY),
        (None, {"background": "alpha"}, ErrorKind.BAD_REQUEST),
    ],
)
def test_what_does_not_go_together_is_refused_before_it_is_begun(
    session: Session, tmp_path: Path, arrays: Any, asked: dict[str, Any], kind: ErrorKind
) -> None:
    with pytest.raises(VividKeysError) as caught:
        render(session, tmp_path, arrays, **asked)
    assert caught.value.kind is kind and caught.value.sentence


def test_it_is_broken_off_and_leaves_nothing(
    server: RunningServer, session: Session, tmp_path: Path
) -> None:
    params = as_params(RenderRequest(SHA))
    job = session.submit(
        "render", params, take_arrays(take()), {"image": ENDLESS}, files_to=tmp_path
    )

    def cancel(event: Event) -> None:
        if isinstance(event, Chunk):
            session.cancel(job)

    with pytest.raises(VividKeysError) as caught:
        session.wait(job, timeout=PATIENCE, on_event=cancel)
    assert caught.value.kind is ErrorKind.CANCELLED
    wait_until(
        lambda: not [path for path in (server.folder / "server").rglob("*") if job in str(path)]
    )


def test_a_first_picture_is_made_small_by_whole_squares() -> None:
    pixels = np.zeros((600, 1000, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = 200, 255
    pixels[:, 500:, 3] = 0
    small = small_picture(pixels)
    assert small.shape == (150, 250, 3) and small.dtype == np.uint8
    assert (small[:, :125] == 200).all() and (small[:, 125:] == 0).all()
    assert small_picture(np.full((3, 5, 3), 7, np.uint8)).tolist() == [[[7] * 3] * 5] * 3
    assert small_picture(np.zeros((1, 3000, 3), np.uint8)).shape[0] == 1


# --- the whole pipeline ------------------------------------------------------------------------


def test_a_voice_and_a_photo_become_a_film_that_speaks(session: Session, tmp_path: Path) -> None:
    animate = session.submit("animate", {}, uploads={"audio": SAMPLES / "speech.flac"})
    session.wait(animate, timeout=PATIENCE)
    made = render(
        session,
        tmp_path,
        take_job=animate,
        preview=True,
        size=96,
        fps=12.0,
        image=(SAMPLES / "portrait.jpg").read_bytes() + REAL,
        audio=SAMPLES / "speech.flac",
    )
    assert "It is only a stand-in." not in made.info["warnings"]
    shown = np.stack([picture.astype(np.float32) for picture in pictures(made.path)])
    assert len(shown) == made.info["frames"] > 12
    assert max(shown.shape[1:3]) == 96
    motion = shown.std(axis=0).mean(axis=-1)
    height = shown.shape[1]
    assert motion[height // 3 :].max() > 10, "nothing moves"


def test_warming_up_draws_a_picture_of_nobody() -> None:
    (kind,) = JOB_KINDS
    assert kind.warm is not None
    kind.warm()
