# SPDX-License-Identifier: GPL-3.0-or-later
"""Untrusted pictures and films are opened in one place each, by a list of accepted formats."""

from __future__ import annotations

import ast
import io
import os
import shutil
import socket
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from backend.audio.decode import CannotDecodeError, SoundfileStream
from backend.audio.load import load_audio
from backend.face.load_image import load_image
from backend.media.containers import CONTAINERS, UnknownContainerError, open_container
from backend.media.pictures import (
    PHOTO_FORMATS,
    TEXTURE_FORMATS,
    NotAPictureError,
    TooManyPixelsError,
    open_picture,
)
from backend.mesh_files import read_mesh
from backend.mesh_to_video.film.provenance import read_provenance
from backend.training.capture.read_video import read_pictures, video_facts
from shared.errors import ErrorKind, VividKeysError
from tests.mutations import spoilt

REPOSITORY = Path(__file__).resolve().parents[3]
CASES = REPOSITORY / "tests" / "cases"
DOORS = {
    "Image.open": "backend/media/pictures.py",
    "av.open": "backend/media/containers.py",
}
OTHER_WAYS = ("imread", "imreadmulti", "VideoCapture", "CAP_FFMPEG")


def calls(path: Path) -> list[tuple[str, ast.Call]]:
    """All calls in a file, by their names in the source."""
    return [
        (ast.unparse(node.func), node)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
    ]


def writes(call: ast.Call) -> bool:
    words = [*call.args[1:2], *(word.value for word in call.keywords if word.arg == "mode")]
    return any(isinstance(word, ast.Constant) and word.value == "w" for word in words)


def test_nothing_else_opens_pictures_and_films() -> None:
    for folder in ("backend", "blender_addon", "installer", "shared"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            place = path.relative_to(REPOSITORY).as_posix()
            for name, call in calls(path):
                end = name.rpartition(".")[2]
                assert end not in OTHER_WAYS, f"{place} line {call.lineno} reads by {name}"
                for door, home in DOORS.items():
                    if name == door or name.endswith("." + door):
                        assert place == home or writes(call), f"{place} line {call.lineno}"


# --- pictures ------------------------------------------------------------------------------------


@pytest.fixture
def ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the interpreter that Pillow would start; the file that it would write."""
    ran = tmp_path / "ran"
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("gs", "gswin32c", "gswin64c"):
        program = folder / name
        program.write_text(f"#!/bin/sh\necho ran > '{ran}'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    return ran


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_postscript_is_no_photo_and_runs_nowhere(ghostscript: Path, tmp_path: Path) -> None:
    program = (CASES / "loop.eps").read_bytes()
    for source in (CASES / "loop.eps", program, b"\xc5\xd0\xd3\xc6" + program):
        with pytest.raises(VividKeysError) as caught:
            load_image(source)
        assert caught.value.kind is ErrorKind.BAD_IMAGE
        assert "JPEG" in caught.value.sentence and caught.value.next_step
    disguised = tmp_path / "photo.jpg"
    disguised.write_bytes(program)
    with pytest.raises(VividKeysError):
        load_image(disguised)
    assert not ghostscript.exists()


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_postscript_is_no_texture_and_runs_nowhere(ghostscript: Path, tmp_path: Path) -> None:
    mesh = tmp_path / "a.obj"
    mesh.write_text("mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl a\nf 1 2 3\n")
    (tmp_path / "a.mtl").write_text("newmtl a\nmap_Kd a.eps\n")
    shutil.copy(CASES / "loop.eps", tmp_path / "a.eps")
    read = read_mesh(mesh)
    assert read.materials[0].picture is None
    assert "a.eps" in " ".join(read.warnings)
    assert not ghostscript.exists()


@pytest.mark.parametrize("kind", PHOTO_FORMATS)
def test_formats_that_photos_have_are_let_in(kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(buffer, kind)
    red = load_image(buffer.getvalue()).pixels[24, 32].astype(int)
    assert np.abs(red - (200, 30, 30)).max() < 12


@pytest.mark.parametrize("kind", ["TGA"])
def test_textures_may_have_formats_of_their_own(kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(buffer, kind)
    assert open_picture(buffer.getvalue(), TEXTURE_FORMATS).size == (64, 48)
    with pytest.raises(NotAPictureError):
        open_picture(buffer.getvalue())


@pytest.mark.parametrize("kind", ["EPS", "PPM", "PCX", "SGI", "ICO", "ICNS", "SPIDER", "XBM"])
def test_other_formats_are_not(kind: str) -> None:
    buffer = io.BytesIO()
    mode = {"XBM": "1", "SPIDER": "F"}.get(kind, "RGB")
    Image.new(mode, (64, 64)).save(buffer, kind)
    with pytest.raises(NotAPictureError):
        open_picture(buffer.getvalue())
    with pytest.raises(VividKeysError) as caught:
        load_image(buffer.getvalue())
    assert caught.value.kind is ErrorKind.BAD_IMAGE


@pytest.mark.parametrize("side", [11_000, 30_000, 60_000])
def test_the_pixels_of_a_picture_are_counted_before_they_are_unpacked(side: int) -> None:
    head = bytearray()
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "BMP")
    head += buffer.getvalue()
    head[18:26] = side.to_bytes(4, "little") * 2
    with pytest.raises(TooManyPixelsError):
        open_picture(bytes(head))


# --- films and sounds ----------------------------------------------------------------------------


@pytest.fixture
def visitors(tmp_path: Path) -> Callable[[], int]:
    """A server at an address that playlists name; how many have come so far."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    (tmp_path / "port").write_text(str(listener.getsockname()[1]))

    def count() -> int:
        found = 0
        while True:
            try:
                listener.accept()[0].close()
                found += 1
            except BlockingIOError:
                return found

    return count


PLAYLISTS = {
    "hls.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile '{other}'\n",
    "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=audio {port} RTP/AVP 0\n",
    "dash.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'profiles="urn:mpeg:dash:profile:isoff-main:2011" mediaPresentationDuration="PT1S"><Period>'
    '<AdaptationSet mimeType="audio/mp4"><Representation id="1" bandwidth="1">'
    "<BaseURL>{other}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "address.ram": "{other}\n",
    "metadata.ffmetadata": ";FFMETADATA1\ntitle=x\n",
    "lines.srt": "1\n00:00:00,000 --> 00:00:01,000\nwords\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
@pytest.mark.parametrize("remote", [True, False])
def test_what_names_other_files_is_not_followed(
    name: str, remote: bool, tmp_path: Path, visitors: Callable[[], int]
) -> None:
    voice = tmp_path / "voice.wav"
    with wave.open(str(voice), "wb") as file:
        file.setnchannels(1), file.setsampwidth(2), file.setframerate(16_000)
        file.writeframes(bytes(32_000))
    port = (tmp_path / "port").read_text()
    other = f"http://127.0.0.1:{port}/x.ts" if remote else voice.as_uri()
    path = tmp_path / name
    path.write_text(PLAYLISTS[name].replace("{other}", other).replace("{port}", port))
    for kind, use in (
        (ErrorKind.BAD_AUDIO, load_audio),
        (ErrorKind.BAD_AUDIO, lambda path: load_audio(path.read_bytes())),
        (ErrorKind.BAD_FILE, video_facts),
        (ErrorKind.BAD_FILE, lambda path: list(read_pictures(path))),
        (ErrorKind.BAD_FILE, read_provenance),
    ):
        with pytest.raises(VividKeysError) as caught:
            use(path)
        assert caught.value.kind is kind
        assert caught.value.sentence and caught.value.next_step
    assert visitors() == 0


def test_the_playlist_of_a_report_is_refused() -> None:
    with pytest.raises(VividKeysError) as caught:
        load_audio(CASES / "m3u8.m3u8")
    assert caught.value.kind is ErrorKind.BAD_AUDIO
    assert "WAV" in caught.value.next_step


def test_what_is_let_in_is_what_keeps_its_own_sound() -> None:
    for name in ("hls", "concat", "dash", "sdp", "rtsp", "image2", "lavfi", "webm_dash_manifest",
                 "imf", "vobsub", "data", "ffmetadata", "tty"):  # fmt: skip
        assert name not in CONTAINERS
        with pytest.raises(UnknownContainerError):
            open_container(io.BytesIO(b"\0" * 4096), name)


def test_titles_in_an_old_code_page_are_no_reason_to_refuse_a_sound() -> None:
    out = io.BytesIO()
    with av.open(out, "w", format="avi") as film:
        film.metadata["title"] = "marker"
        stream = film.add_stream("pcm_s16le", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.int16), "s16", "mono")
        frame.sample_rate = 16_000
        film.mux([*stream.encode(frame), *stream.encode(None)])
    data = out.getvalue()
    assert b"marker" in data
    assert load_audio(data.replace(b"marker", b"m\xfcr\xe7er")).duration == pytest.approx(1.0)


def test_formats_that_nobody_records_in_are_not_libsndfiles_to_read() -> None:
    import soundfile

    for kind in ("SVX", "PAF", "IRCAM", "MAT5", "PVF", "AVR", "MPC2K"):
        buffer = io.BytesIO()
        soundfile.write(buffer, np.zeros(1600, np.float32), 16_000, format=kind, subtype="PCM_16")
        buffer.seek(0)
        with pytest.raises(CannotDecodeError):
            SoundfileStream(buffer)


# --- damage --------------------------------------------------------------------------------------


def picture_bytes(kind: str) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    more = {"exif": exif} if kind in ("JPEG", "WEBP") else {}
    Image.fromarray(noise).save(buffer, kind, **more)
    return buffer.getvalue()


def sound_bytes(container: str) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format=container) as film:
        stream = film.add_stream("pcm_s16le", rate=16_000)
        noise = np.random.default_rng(0).integers(-3000, 3000, (1, 8000)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(noise, "s16", "mono")
        frame.sample_rate = 16_000
        film.mux([*stream.encode(frame), *stream.encode(None)])
    return out.getvalue()


@pytest.mark.parametrize("kind", PHOTO_FORMATS)
def test_spoilt_photos_are_photos_or_errors(kind: str) -> None:
    for data in spoilt(picture_bytes(kind), 60):
        try:
            load_image(data)
        except VividKeysError as error:
            assert error.kind in (ErrorKind.BAD_IMAGE, ErrorKind.TOO_LARGE)
            assert error.sentence and error.next_step


@pytest.mark.parametrize("container", ["wav", "avi", "mov", "matroska", "w64", "caf"])
def test_spoilt_sounds_are_sounds_or_errors(container: str) -> None:
    for data in spoilt(sound_bytes(container), 40):
        try:
            load_audio(data)
        except VividKeysError as error:
            assert error.kind in (ErrorKind.BAD_AUDIO, ErrorKind.TOO_LARGE)
            assert error.sentence and error.next_step
