# SPDX-License-Identifier: GPL-3.0-or-later
"""`capture` on film files: made-up ones, bad ones, and a real one where the data is there."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from backend.commands.main import main, parse
from backend.training.capture.dataset import load_captures
from backend.training.capture.read_video import Picture, read_pictures
from backend.training.capture.store import clip_names, load_index, valid_stretches
from backend.training.capture.track import track_face
from shared.arkit import INDEX
from shared.errors import ErrorKind, VividKeysError
from shared.lips import aperture
from shared.take import load_take

PORTRAIT = Path(__file__).resolve().parents[4] / "backend" / "samples" / "portrait.jpg"
RATE = 16_000


def write_film(path: Path, pictures: list[np.ndarray] | None, sound: np.ndarray | None,
               fps: int = 25) -> Path:  # fmt: skip
    """A Matroska film of uint8 [H,W,3] pictures and one channel of float sound at 16 kHz."""
    with av.open(str(path), "w", format="matroska") as film:
        video = audio = None
        if pictures is not None:
            video = film.add_stream("mpeg4", rate=fps)
            video.height, video.width = pictures[0].shape[:2]
            video.pix_fmt, video.bit_rate = "yuv420p", 4_000_000
        if sound is not None:
            audio = film.add_stream("pcm_s16le", rate=RATE)
            audio.layout = "mono"
        if video is not None and pictures is not None:
            for picture in pictures:
                film.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            film.mux(video.encode(None))
        if audio is not None and sound is not None:
            values = (sound * 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(values, format="s16", layout="mono")
            frame.sample_rate = RATE
            film.mux(audio.encode(frame))
            film.mux(audio.encode(None))
    return path


def tones(seconds: float) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return 0.3 * np.sin(2 * np.pi * 220 * time) * (np.sin(2 * np.pi * 3 * time) > 0)


def portrait(side: int = 320) -> np.ndarray:
    with Image.open(PORTRAIT) as image:
        square = image.convert("RGB").resize((side, round(side * image.height / image.width)))
    pixels = np.asarray(square, np.uint8)
    return np.ascontiguousarray(pixels[: pixels.shape[0] // 2 * 2])


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, str, str]:
    """One second of a still portrait, one silent film of it, and bad files, captured together."""
    folder = tmp_path_factory.mktemp("films")
    face = portrait()
    still = write_film(folder / "still.mkv", [face] * 25, tones(1.2))
    mute = write_film(folder / "mute.mkv", [face] * 8, None)
    grey = write_film(folder / "grey.mkv", [np.full((120, 160, 3), 90, np.uint8)] * 8, None)
    heard = write_film(folder / "heard.mkv", None, tones(0.5))
    broken = folder / "broken.mp4"
    broken.write_bytes(bytes(range(256)) * 40)
    (folder / "photo.mp4").write_bytes(PORTRAIT.read_bytes())
    films = [still, broken, mute, grey, heard, folder / "photo.mp4", folder / "missing.mp4"]
    import contextlib
    import io

    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
        code = main(
            ["capture", *map(str, films), "--out", str(folder / "out"),
             "--plot", str(folder / "plots")]
        )  # fmt: skip
    return folder, code, out.getvalue(), " ".join(errors.getvalue().split())


def test_a_still_portrait_hardly_moves(captured):
    folder, code, _, _ = captured
    assert code == 0
    take = load_take(folder / "out" / "still.take.npz")
    assert take.fps == 60.0 and 0.9 < take.duration < 1.05
    assert np.ptp(take.weights, axis=0).max() < 0.1
    assert take.weights[:, INDEX["jawOpen"]].max() < 0.1
    assert np.degrees(np.ptp(take.head_rotation, axis=0)).max() < 0.5
    assert take.neutral.shape == (468, 3) and "consent" in take.meta["consent"]
    assert take.meta["video_name"] == "still.mkv"


def test_the_files_beside_it_say_what_they_are(captured):
    folder, _, _, _ = captured
    out = folder / "out"
    assert [entry.name for entry in load_index(out)] == ["mute", "still"]
    about = json.loads((out / "still.capture.json").read_text())
    assert about["figures"]["frames"] == 25 and about["figures"]["tracked"] == 1.0
    assert about["valid"][0][0] == 0.0 and about["valid"][0][1] > 0.9
    samples, rate = soundfile.read(out / "still.wav")
    assert rate == RATE and abs(len(samples) - 1.2 * RATE) < 400
    import hashlib

    digest = hashlib.sha256((out / "still.wav").read_bytes()).hexdigest()
    assert load_take(out / "still.take.npz").meta["audio_sha256"] == digest
    with Image.open(folder / "plots" / "still.png") as picture:
        assert picture.width > 800


def test_bad_films_are_named_and_the_others_go_on(captured):
    _, _, out, errors = captured
    for name, what in (
        ("broken.mp4", "not a film"),
        ("grey.mkv", "No face"),
        ("heard.mkv", "no video track"),
        ("photo.mp4", "not a film"),
        ("missing.mp4", "There is no file"),
    ):
        assert name in errors and what in errors, name
    assert "lips hardly move" in " ".join(out.split())
    assert "has no sound" in " ".join(out.split()) and "consent" in out
    assert "wrote 2 of 7" in out


def test_only_bad_films_end_in_an_error_code(tmp_path, capsys):
    assert main(["capture", str(tmp_path / "none.mp4"), "--out", str(tmp_path / "out")]) == 1
    assert "none.mp4" in capsys.readouterr().err
    assert not (tmp_path / "out" / "index.json").exists()


def test_training_reads_what_was_captured(captured):
    folder, _, _, _ = captured
    [clip] = load_captures(folder / "out")  # the silent film is left out
    assert clip.name == "still" and clip.samples.dtype == np.int16
    assert len(clip.weights) == len(clip.valid) == len(clip.samples) // 160 + 1
    # The sound goes on for 0.2 s after the last picture.
    assert clip.valid[:95].all() and not clip.valid[105:].any()
    assert clip.weights.shape[1] == 52 and 0 <= clip.weights.min() <= clip.weights.max() <= 1
    take = load_take(folder / "out" / "still.take.npz")
    assert np.abs(clip.weights[50] - take.weights[30]).max() < 1e-6


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda out: (out / "index.json").unlink(), "index.json"),
        (lambda out: (out / "index.json").write_text("[1]"), "index.json"),
        (lambda out: (out / "still.wav").write_bytes(b"RIFF"), "still.wav"),
        (lambda out: (out / "still.take.npz").write_bytes(b"PK"), "still.take.npz"),
        (lambda out: (out / "still.capture.json").write_text("{}"), "still.capture.json"),
        (
            lambda out: (out / "index.json").write_text(
                (out / "index.json").read_text().replace('"still.wav"', '"../still.wav"')
            ),
            "index.json",
        ),
    ],
)
def test_a_damaged_folder_names_the_file(captured, tmp_path, spoil, named):
    import shutil

    folder = tmp_path / "out"
    shutil.copytree(captured[0] / "out", folder)
    spoil(folder)
    with pytest.raises(VividKeysError) as caught:
        load_captures(folder)
    assert named in caught.value.sentence and caught.value.next_step


def test_damaged_clips_can_be_passed_over(captured, tmp_path):
    import shutil

    folder = tmp_path / "out"
    shutil.copytree(captured[0] / "out", folder)
    (folder / "still.take.npz").write_bytes(b"no take")
    told: list[VividKeysError] = []
    with pytest.raises(VividKeysError) as caught:
        load_captures(folder, told.append)
    assert caught.value.kind is ErrorKind.BAD_REQUEST
    assert len(told) == 1 and "still.take.npz" in told[0].sentence


def test_the_largest_face_is_followed_and_nobody_else_while_it_is_away():
    large, small = portrait(220), portrait(110)

    def scene(number: int) -> Picture:
        pixels = np.full((360, 640, 3), 120, np.uint8)
        pixels[150 : 150 + len(small), 520:630] = small
        if number not in (8, 9) and not 16 <= number < 28:
            left = 40 + 4 * number
            pixels[40 : 40 + len(large), left : left + 220] = large
        return Picture(pixels, number / 25)

    track = track_face(map(scene, range(36)), "two faces")
    assert list(np.flatnonzero(~track.seen)[:2]) == [8, 9]
    assert track.valid[:16].all() and not track.valid[16:28].any() and track.valid[-4:].all()
    nose = track.landmarks[:, 4, 0] - 4 * np.arange(36)
    assert np.ptp(nose[track.seen]) < 6


def test_picture_times_count_from_the_sound(tmp_path):
    film = write_film(tmp_path / "f.mkv", [np.zeros((64, 64, 3), np.uint8)] * 10, tones(0.5), 50)
    times = [picture.time for picture in read_pictures(film)]
    assert np.allclose(times, np.arange(10) / 50, atol=0.0015)


def test_two_films_of_one_name_get_two_names():
    assert clip_names([Path("a/x.mp4"), Path("b/X.mov"), Path("y.mp4")]) == ["x", "X-2", "y"]


def test_valid_stretches():
    assert valid_stretches(np.array([0, 1, 1, 0, 1], np.bool_), 10.0) == [[0.1, 0.3], [0.4, 0.5]]


def test_a_shift_out_of_reach_is_refused(tmp_path, capsys):
    assert main(["capture", "f.mp4", "--out", str(tmp_path), "--shift", "9000"]) == 1
    assert "9000" in capsys.readouterr().err
    assert parse(["capture", "f.mp4", "--out", str(tmp_path), "--correct-sync"])


def test_a_real_speaker_closes_the_lips_where_the_voice_does(shared_data, tmp_path):
    """'Place white in j three please': lips meet on both p, and agree with what is heard."""
    film = shared_data / "video" / "pwij3p.mpg"
    if not film.is_file():
        pytest.skip(f"no film {film.name} in {film.parent}")
    assert main(["capture", str(film), "--out", str(tmp_path)]) == 0
    figures = json.loads((tmp_path / "pwij3p.capture.json").read_text())["figures"]
    assert figures["tracked"] > 0.98 and figures["sync_r"] > 0.4
    assert abs(figures["sync_ms"]) < 80 and figures["residual_mm"] < 1.0
    take = load_take(tmp_path / "pwij3p.take.npz")
    gap = aperture(take.weights.T)
    usual = np.percentile(gap, 90)
    for start, end in ((0.35, 0.5), (1.64, 1.78)):
        assert gap[round(60 * start) : round(60 * end)].min() < 0.15 * usual
    assert gap[round(60 * 1.3) : round(60 * 1.45)].max() > 0.6 * usual
