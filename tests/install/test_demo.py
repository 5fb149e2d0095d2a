# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole way once: `install.py demo` with a second of speech, and what it leaves behind."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import demo_runs
import numpy as np
import pytest
from beside import Beside, Ran
from demo_runs import SECONDS

from installer.demo import RESULTS
from installer.paths import MOTION_WEIGHTS
from shared.arkit import ARKIT_NAMES
from shared.take import load_take

pytestmark = pytest.mark.timeout(3600)


def ran(beside: Beside, name: str) -> Ran:
    """A run of the demo that was begun when the tests were collected."""
    if beside.missing["demo"]:
        pytest.skip(beside.missing["demo"])
    assert MOTION_WEIGHTS.is_file(), "the weights belong to the checkout"
    return beside.result(name)


@pytest.fixture(scope="module")
def results(beside: Beside) -> tuple[Path, str]:
    answer = ran(beside, demo_runs.WHOLE)
    assert answer.status == 0, answer.output + answer.errors
    return demo_runs.results(beside.folder), answer.output


def test_leaves_exactly_its_files_and_lists_them(results: tuple[Path, str]) -> None:
    out, text = results
    assert {path.name for path in out.iterdir()} == {name for name, _ in RESULTS}
    closing = text.split("Done in")[1]
    for name, _ in RESULTS:
        assert name in closing
        assert (out / name).stat().st_size > 1000


def test_the_take_is_a_performance(results: tuple[Path, str]) -> None:
    take = load_take(results[0] / "performance.take.npz")
    assert take.duration == pytest.approx(SECONDS, abs=0.05)
    jaw = take.weights[:, ARKIT_NAMES.index("jawOpen")]
    assert jaw.max() > 0.1 and np.ptp(jaw) > 0.05, "the mouth does not move"


def test_the_glb_holds_the_head_and_its_keys(results: tuple[Path, str]) -> None:
    data = (results[0] / "head.glb").read_bytes()
    magic, _, _, length, _ = struct.unpack("<4sIIII", data[:20])
    assert magic == b"glTF"
    scene = json.loads(data[20 : 20 + length])
    names = scene["meshes"][0]["extras"]["targetNames"]
    assert set(ARKIT_NAMES) <= set(names)
    assert scene["images"], "the photo is missing"
    paths = {c["target"]["path"] for a in scene["animations"] for c in a["channels"]}
    assert "weights" in paths and "rotation" in paths


def test_the_film_has_picture_and_sound(results: tuple[Path, str]) -> None:
    import av

    with av.open(str(results[0] / "preview.mp4")) as film:
        picture, sound = film.streams.video[0], film.streams.audio[0]
        assert (picture.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(picture)]
        film.seek(0)
        loudest = max(np.abs(frame.to_ndarray()).max() for frame in film.decode(sound))
    assert len(frames) == pytest.approx(SECONDS * 30, abs=2)
    first = frames[0].astype(float)
    assert first.std() > 20, "nothing is in the picture"
    corner = first[:40, :40].mean(axis=(0, 1))
    middle = first[200:280, 200:280].mean(axis=(0, 1))
    assert np.abs(middle - corner).max() > 30, "the head is not in the middle"
    moved = max(np.abs(frame - first).mean() for frame in frames)
    assert moved > 0.5, "the picture does not move"
    assert loudest > 0.05, "the film is silent"


def test_a_photo_without_a_face_is_one_sentence(beside: Beside) -> None:
    answer = ran(beside, demo_runs.WITHOUT_A_FACE)
    assert answer.status == 1
    assert "Traceback" not in answer.output + answer.errors
    assert "face" in answer.errors.lower()


def test_the_photo_speaks(results: tuple[Path, str]) -> None:
    import av

    with av.open(str(results[0] / "talking_photo.mp4")) as film:
        picture = film.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(picture)]
        assert film.streams.audio, "the film is silent"
    assert len(frames) == pytest.approx(SECONDS * 25, abs=2)
    assert max(frames[0].shape) == 512
    first = frames[0].astype(float)
    assert max(np.abs(frame - first)[150:400].mean() for frame in frames) > 0.5
    assert max(np.abs(frame - first)[:20, :20].max() for frame in frames) < 12, "the wall moves"
