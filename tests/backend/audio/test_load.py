# SPDX-License-Identifier: GPL-3.0-or-later
"""`load_audio` on real files of every kind, on broken ones and on random bytes."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.audio import load as load_module
from backend.audio.load import SAMPLE_RATE, Audio, load_audio
from shared.errors import ErrorKind, VividKeysError

TONE = 440.0


def tone(seconds: float, rate: int, channels: int = 1, level: float = 0.5) -> np.ndarray:
    time = np.arange(round(seconds * rate)) / rate
    wave = level * np.sin(2 * np.pi * TONE * time)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def soundfile_bytes(
    samples: np.ndarray, rate: int, container: str = "WAV", subtype: str | None = None
) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=container, subtype=subtype)
    return out.getvalue()


def ffmpeg_bytes(samples: np.ndarray, rate: int, container: str, codec: str) -> bytes:
    """Encode samples [frames, channels] with FFmpeg into a container in memory."""
    out = io.BytesIO()
    with av.open(out, mode="w", format=container) as file:
        layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
        stream = file.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.reshape(1, -1)), format="flt", layout=layout
        )
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    return out.getvalue()


def film_bytes(with_sound: bool) -> bytes:
    """A second of black film in MP4, with or without a tone."""
    out = io.BytesIO()
    with av.open(out, mode="w", format="mp4") as file:
        picture = file.add_stream("mpeg4", rate=25)
        picture.width = picture.height = 64
        picture.pix_fmt = "yuv420p"
        sound = file.add_stream("aac", rate=44100, layout="mono") if with_sound else None
        for _ in range(25):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            file.mux(picture.encode(frame))
        file.mux(picture.encode(None))
        if sound is not None:
            frame = av.AudioFrame.from_ndarray(
                tone(1.0, 44100).reshape(1, -1), format="flt", layout="mono"
            )
            frame.sample_rate = 44100
            file.mux(sound.encode(frame))
            file.mux(sound.encode(None))
    return out.getvalue()


def assert_valid(audio: Audio) -> None:
    assert audio.samples.dtype == np.float32 and audio.samples.ndim == 1
    assert audio.sample_rate == SAMPLE_RATE
    assert len(audio.samples) >= 0.1 * SAMPLE_RATE
    assert audio.duration == len(audio.samples) / SAMPLE_RATE
    assert np.isfinite(audio.samples).all()
    assert len(audio.sha256) == 64


def tone_level(audio: Audio) -> float:
    """Amplitude of the tone in the middle half of the sound."""
    middle = audio.samples[len(audio.samples) // 4 : -len(audio.samples) // 4]
    phase = np.exp(-2j * np.pi * TONE * np.arange(len(middle)) / SAMPLE_RATE)
    return float(2 * abs((middle * phase).mean()))


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000, 44101])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_any_rate_and_channel_count(rate: int, channels: int) -> None:
    data = soundfile_bytes(tone(1.0, rate, channels), rate, subtype="PCM_16")
    audio = load_audio(data)
    assert_valid(audio)
    assert abs(audio.duration - 1.0) < 2e-4
    assert tone_level(audio) == pytest.approx(0.5, rel=0.01)
    assert audio.warnings == ()
    assert audio.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        ("WAV", "PCM_U8"),
        ("WAV", "PCM_24"),
        ("WAV", "PCM_32"),
        ("WAV", "FLOAT"),
        ("WAV", "DOUBLE"),
        ("WAV", "ULAW"),
        ("WAV", "IMA_ADPCM"),
        ("FLAC", "PCM_24"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", None),
        ("AIFF", "PCM_16"),
        ("CAF", "PCM_16"),
    ],
)
def test_formats_of_libsndfile(container: str, subtype: str | None) -> None:
    audio = load_audio(soundfile_bytes(tone(1.0, 24000, 2), 24000, container, subtype))
    assert_valid(audio)
    assert abs(audio.duration - 1.0) < 0.06
    assert tone_level(audio) == pytest.approx(0.5, rel=0.05)
    assert audio.warnings == ()


@pytest.mark.parametrize(
    ("container", "codec"),
    [("ipod", "aac"), ("mp4", "aac"), ("mov", "pcm_s16le"), ("matroska", "aac"), ("avi", "pcm_u8"),
     ("adts", "aac"), ("mov", "alac"), ("webm", "libopus"), ("mpegts", "aac")],
)  # fmt: skip
def test_formats_of_ffmpeg(container: str, codec: str) -> None:
    audio = load_audio(ffmpeg_bytes(tone(1.0, 48000, 2), 48000, container, codec))
    assert_valid(audio)
    assert abs(audio.duration - 1.0) < 0.06
    assert tone_level(audio) == pytest.approx(0.5, rel=0.05)
    assert audio.warnings == ()


def test_blocks_of_an_mp3_join_without_damage() -> None:
    """MP3 frames borrow bits from earlier ones: a decoder that restarts per block distorts."""
    data = soundfile_bytes(tone(4.0, 16000, 2), 16000, "MP3")
    whole, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    assert np.abs(load_audio(data).samples - whole.mean(axis=1)).max() < 1e-5


@pytest.mark.parametrize("channels", [3, 6, 8])
def test_film_with_many_channels(channels: int) -> None:
    """PyAV's own way to numpy reads past the planes of a frame from eight channels on."""
    layout = {3: "3.0", 6: "5.1", 8: "7.1(wide)"}[channels]
    out = io.BytesIO()
    with av.open(out, mode="w", format="mov") as file:
        stream = file.add_stream("alac", rate=48000, layout=layout)
        packed = np.ascontiguousarray((tone(1.0, 48000, channels) * 32767).astype(np.int16))
        frame = av.AudioFrame.from_ndarray(packed.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = 48000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    audio = load_audio(out.getvalue())
    assert abs(audio.duration - 1.0) < 0.06
    assert tone_level(audio) == pytest.approx(0.5, rel=0.05)


def test_resampling_keeps_time_and_shape() -> None:
    """A click stays where it is to the sample, so that lips stay with the voice."""
    for rate in (44100, 48000, 8000):
        clip = np.zeros(rate, np.float32)
        clip[rate // 2] = 1.0
        audio = load_audio(soundfile_bytes(clip, rate, subtype="FLOAT"))
        assert abs(int(np.argmax(np.abs(audio.samples))) - SAMPLE_RATE // 2) <= 1


def test_sound_of_a_film_and_a_film_without_sound() -> None:
    audio = load_audio(film_bytes(with_sound=True), name="scene.mp4")
    assert tone_level(audio) == pytest.approx(0.5, rel=0.05)
    with pytest.raises(VividKeysError) as caught:
        load_audio(film_bytes(with_sound=False), name="scene.mp4")
    assert caught.value.kind == ErrorKind.BAD_AUDIO
    assert "no sound track" in caught.value.sentence and "scene.mp4" in caught.value.sentence


def test_dead_channel_does_not_halve_the_voice() -> None:
    for dead in (0.0, 0.3):  # silent, or a constant voltage
        both = tone(1.0, 48000, 2)
        both[:, 1] = dead
        audio = load_audio(soundfile_bytes(both, 48000, subtype="FLOAT"))
        assert tone_level(audio) == pytest.approx(0.5, rel=0.01)


def test_opposite_signs_do_not_cancel_the_voice() -> None:
    both = tone(1.0, 48000, 2)
    both[:, 1] *= -0.9
    audio = load_audio(soundfile_bytes(both, 48000, subtype="FLOAT"))
    assert tone_level(audio) == pytest.approx(0.475, rel=0.01)


def test_two_speakers_on_two_channels_are_both_kept() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (32000, 2)).astype(np.float32)
    noise[:16000, 1] = 0
    noise[16000:, 0] = 0
    audio = load_audio(soundfile_bytes(noise, 16000, subtype="FLOAT"))
    assert np.allclose(audio.samples, noise.mean(axis=1), atol=1e-6)


def test_silence_is_fine() -> None:
    audio = load_audio(soundfile_bytes(np.zeros((16000, 2)), 16000))
    assert_valid(audio)
    assert not audio.samples.any()


def test_shortest_and_too_short() -> None:
    audio = load_audio(soundfile_bytes(tone(0.1, 48000), 48000))
    assert len(audio.samples) == 1600
    for seconds in (0.0, 0.001, 0.099):
        with pytest.raises(VividKeysError) as caught:
            load_audio(soundfile_bytes(tone(seconds, 48000), 48000))
        assert caught.value.kind == ErrorKind.BAD_AUDIO


def test_longest_and_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "LONGEST_SECONDS", 2.0)
    assert load_audio(soundfile_bytes(tone(2.0, 16000), 16000)).duration == 2.0
    long = tone(20.0, 16000)
    for data in (
        soundfile_bytes(long, 16000),
        soundfile_bytes(long, 16000, "OGG", "VORBIS"),
        ffmpeg_bytes(long, 16000, "ipod", "aac"),
        ffmpeg_bytes(long, 16000, "adts", "aac"),  # a stream without a length
    ):
        with pytest.raises(VividKeysError) as caught:
            load_audio(data)
        assert caught.value.kind == ErrorKind.TOO_LARGE
        assert caught.value.next_step


def test_not_a_number_here_and_there_is_mended_and_said() -> None:
    clip = tone(1.0, 48000)
    clip[1000], clip[2000], clip[3000] = np.nan, np.inf, -np.inf
    audio = load_audio(soundfile_bytes(clip, 48000, subtype="FLOAT"))
    assert_valid(audio)
    assert "3 samples" in audio.warnings[0]
    assert tone_level(audio) == pytest.approx(0.5, rel=0.01)


def test_mostly_not_numbers_is_refused() -> None:
    clip = tone(1.0, 48000)
    clip[::3] = np.nan
    with pytest.raises(VividKeysError) as caught:
        load_audio(soundfile_bytes(clip, 48000, subtype="FLOAT"))
    assert caught.value.kind == ErrorKind.BAD_AUDIO and "33%" in caught.value.sentence


def test_float_file_in_integer_units_is_turned_down() -> None:
    audio = load_audio(soundfile_bytes(tone(1.0, 16000) * 32768, 16000, subtype="FLOAT"))
    assert np.abs(audio.samples).max() == pytest.approx(1.0)
    assert audio.warnings


@pytest.mark.parametrize(
    "make",
    [
        lambda clip: soundfile_bytes(clip, 48000, "WAV"),
        lambda clip: soundfile_bytes(clip, 48000, "FLAC"),
        lambda clip: soundfile_bytes(clip, 48000, "OGG", "VORBIS"),
        lambda clip: soundfile_bytes(clip, 48000, "MP3"),
        lambda clip: ffmpeg_bytes(clip, 48000, "matroska", "aac"),
    ],
    ids=["wav", "flac", "vorbis", "mp3", "matroska"],
)
def test_broken_off_file_is_used_as_far_as_it_goes(make: Callable[[np.ndarray], bytes]) -> None:
    noise = np.random.default_rng(1).normal(0, 0.1, (6 * 48000, 1)).astype(np.float32)
    data = make(noise)
    audio = load_audio(data[: len(data) // 2])
    assert_valid(audio)
    assert 1.5 < audio.duration < 4.0
    assert any("cut off" in warning for warning in audio.warnings)


def test_header_alone_and_index_missing() -> None:
    wave = soundfile_bytes(tone(1.0, 48000), 48000)
    m4a = ffmpeg_bytes(tone(3.0, 48000), 48000, "ipod", "aac")
    for data, word in (
        (wave[:44], "contains no sound"),
        (wave[:20], "damaged"),
        (m4a[: len(m4a) // 2], "index"),
        (m4a[:30], "index"),
    ):
        with pytest.raises(VividKeysError) as caught:
            load_audio(data)
        assert caught.value.kind == ErrorKind.BAD_AUDIO and caught.value.next_step
        assert word in caught.value.sentence


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"RIFF", b"hello, this is a shopping list\n" * 500, b"%PDF-1.7\n" + b"\0" * 4096],
    ids=["empty", "one byte", "four bytes", "text", "pdf"],
)
def test_not_a_sound(data: bytes) -> None:
    with pytest.raises(VividKeysError) as caught:
        load_audio(data, name="thing.wav")
    assert caught.value.kind == ErrorKind.BAD_AUDIO
    assert "thing.wav" in caught.value.sentence and caught.value.next_step


def test_playlist_cannot_open_other_files(tmp_path: Path) -> None:
    """FFmpeg would follow a playlist to any file or address that the sender names."""
    other = tmp_path / "private.ts"
    other.write_bytes(ffmpeg_bytes(tone(1.0, 48000), 48000, "mpegts", "aac"))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n"
    script = f"ffconcat version 1.0\nfile '{other}'\n"
    for text, ending in ((playlist, "m3u8"), (script, "ffconcat")):
        path = tmp_path / f"list.{ending}"
        path.write_text(text)
        for source in (path, text.encode()):
            with pytest.raises(VividKeysError):
                load_audio(source)


def test_paths(tmp_path: Path) -> None:
    data = soundfile_bytes(tone(0.5, 16000), 16000)
    for name in ("Stimme über alles.wav", "声 音.wav", "no_ending", "wrong.raw", "wrong.mp4"):
        path = tmp_path / name
        path.write_bytes(data)
        assert load_audio(path).name == name
    empty = tmp_path / "empty.wav"
    empty.touch()
    for path, word in (
        (tmp_path / "absent.wav", "no file"),
        (tmp_path, "folder"),
        (empty, "empty"),
        (Path("a\0b.wav"), "no file"),
    ):
        with pytest.raises(VividKeysError) as caught:
            load_audio(path)
        assert caught.value.kind == ErrorKind.BAD_AUDIO
        assert word in caught.value.sentence and caught.value.next_step


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may read every file"
)
def test_unreadable_file(tmp_path: Path) -> None:
    path = tmp_path / "locked.wav"
    path.write_bytes(soundfile_bytes(tone(0.5, 16000), 16000))
    path.chmod(0)
    with pytest.raises(VividKeysError) as caught:
        load_audio(path)
    assert "permission" in caught.value.sentence


def test_permission_error_has_its_own_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "locked.wav"
    path.write_bytes(b"x")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(VividKeysError) as caught:
        load_audio(path)
    assert "permission denied" in caught.value.sentence


FUZZING = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


def _attempt(data: bytes) -> None:
    try:
        assert_valid(load_audio(data))
    except VividKeysError as error:
        assert error.kind in (ErrorKind.BAD_AUDIO, ErrorKind.TOO_LARGE)
        assert error.sentence and error.next_step


_MAGIC = [b"", b"RIFF\x40\0\0\0WAVEfmt ", b"fLaC", b"OggS\0\2", b"ID3\4\0\0", b"\xff\xfb\x90\x64",
          b"\0\0\0\x18ftypmp42", b"\x1a\x45\xdf\xa3", b"RIFF\x40\0\0\0AVI LIST", b"caff\0\1\0\0",
          b"FORM\0\0\1\0AIFF", b"\xff\xf1\x50\x80", b".snd"]  # fmt: skip


@settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(st.sampled_from(_MAGIC), st.binary(max_size=2000))
def test_random_bytes_give_sound_or_a_sentence(magic: bytes, rest: bytes) -> None:
    _attempt(magic + rest)


_VALID = [
    soundfile_bytes(tone(0.3, 16000, 2), 16000),
    soundfile_bytes(tone(0.3, 16000), 16000, "FLAC"),
    soundfile_bytes(tone(0.3, 16000), 16000, "OGG", "OPUS"),
    soundfile_bytes(tone(0.3, 16000), 16000, "MP3"),
    ffmpeg_bytes(tone(0.3, 16000), 16000, "ipod", "aac"),
    ffmpeg_bytes(tone(0.3, 16000), 16000, "matroska", "aac"),
]


@settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
@given(st.data())
def test_damaged_files_give_sound_or_a_sentence(data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from(_VALID)))
    for _ in range(data.draw(st.integers(1, 12))):
        # Damage the header more often, which holds sizes and counts.
        place = data.draw(st.one_of(st.integers(0, 80), st.integers(0, len(damaged) - 1)))
        damaged[min(place, len(damaged) - 1)] = data.draw(st.integers(0, 255))
    _attempt(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
