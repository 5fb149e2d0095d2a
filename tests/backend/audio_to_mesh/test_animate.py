# SPDX-License-Identifier: GPL-3.0-or-later
"""Audio to Take with the shipped weights: real speech moves the lips, silence and noise do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from backend.audio.load import Audio
from backend.audio_to_mesh import animate as animate_module
from backend.audio_to_mesh.animate import animate, animate_chunks
from backend.audio_to_mesh.motion_model import MotionModel
from backend.audio_to_mesh.settings import FRAME_RATES, AnimateSettings
from backend.audio_to_mesh.speaker import OFFSETS, SpeakerStyle
from backend.audio_to_mesh.streaming import MotionChunk
from backend.watch import Watch
from shared.arkit import INDEX
from shared.errors import ErrorKind, VividKeysError

STILL = AnimateSettings(blinks=0.0, gaze=0.0, head_motion=0.0)


@pytest.fixture(scope="module")
def model() -> MotionModel:
    return MotionModel.load()


@pytest.fixture(scope="module")
def voice() -> Audio:
    """Speech by espeak-ng: 12 s, with pauses."""
    espeak = pytest.importorskip(
        "backend.training.corpus.espeak", reason="the training package is not there"
    )
    pytest.importorskip("espeakng_loader", reason="espeakng-loader is not installed")
    sentence = "Mama baked a big brown pie for Bob. We have five very fine vans, you know! "
    samples = espeak.speak(sentence * 2, "en-us+f3", rate=150).samples
    return Audio(samples.astype(np.float32) / 32768.0)


def _audio(samples: np.ndarray) -> Audio:
    return Audio(samples.astype(np.float32))


def _weights(chunks: list[MotionChunk]) -> np.ndarray:
    return np.concatenate([chunk.weights for chunk in chunks])


def _opening(weights: np.ndarray) -> np.ndarray:
    return weights[:, INDEX["jawOpen"]] - weights[:, INDEX["mouthClose"]]


def test_speech_opens_and_closes_the_mouth(model: MotionModel, voice: Audio) -> None:
    chunks = list(animate_chunks(voice, model, STILL))
    weights = _weights(chunks)
    assert weights.dtype == np.float32 and weights.shape[1] == 52
    assert len(weights) == int(np.ceil(voice.duration * 60))
    assert np.isfinite(weights).all() and weights.min() >= 0 and weights.max() <= 1
    opening = _opening(weights)
    assert opening.max() > 0.3
    # "Mama baked a big brown pie for Bob": each half has at least eight seals.
    sealed = weights[:, INDEX["mouthPressLeft"]] > 0.15
    seals = np.flatnonzero(np.diff(sealed.astype(int)) == 1)
    assert 10 <= len(seals) <= 40
    assert opening[sealed].max() < 0.2
    rolled = weights[:, INDEX["mouthRollLower"]] > 0.3
    assert (np.diff(rolled.astype(int)) == 1).sum() >= 4
    lengths = [len(chunk) for chunk in chunks]
    assert [chunk.start_frame for chunk in chunks] == [0, *np.cumsum(lengths)[:-1]]
    fractions = [chunk.fraction for chunk in chunks]
    assert len(chunks) > 1 and fractions == sorted(fractions) and fractions[-1] == 1.0
    assert not chunks[0].head_rotation.any()


def test_pieces_do_not_matter(
    model: MotionModel, voice: Audio, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = AnimateSettings(seed=3)
    usual = list(animate_chunks(voice, model, settings))
    monkeypatch.setattr(animate_module, "_FIRST_PIECE", 1.3)
    monkeypatch.setattr(animate_module, "_PIECE", 2.7)
    small = list(animate_chunks(voice, model, settings))
    assert len(small) >= len(usual) + 2
    for name in ("weights", "offset_weights", "head_rotation", "head_translation"):
        left, right = (np.concatenate([getattr(c, name) for c in x]) for x in (usual, small))
        np.testing.assert_allclose(left, right, atol=1e-4, err_msg=name)


def test_silence_stays_shut(model: MotionModel) -> None:
    weights = _weights(list(animate_chunks(_audio(np.zeros(16_000 * 4)), model, STILL)))
    assert _opening(weights).max() < 0.02
    assert weights.max() < 0.2


@pytest.mark.parametrize("loudness", [1e-4, 0.003, 0.1])
def test_white_noise_does_not_flap(model: MotionModel, loudness: float) -> None:
    random = np.random.default_rng(0)
    noise = loudness * random.standard_normal(16_000 * 6)
    weights = _weights(list(animate_chunks(_audio(noise), model, STILL)))
    assert np.abs(np.diff(weights, axis=0)).mean(axis=0).max() < 0.004
    assert _opening(weights).mean() < 0.08


def test_a_tenth_of_a_second_works(model: MotionModel) -> None:
    random = np.random.default_rng(0)
    take = animate(_audio(0.1 * random.standard_normal(1600)), model, AnimateSettings())
    assert take.frame_count == 6 and take.fps == 60.0
    assert take.neutral.shape == (468, 3) and take.triangles.max() < 468


def test_other_frame_rates_keep_the_time(model: MotionModel, voice: Audio) -> None:
    fast, slow = (
        _weights(list(animate_chunks(voice, model, AnimateSettings(fps=fps, blinks=0.0))))
        for fps in (60.0, 30.0)
    )
    np.testing.assert_allclose(fast[::2], slow, atol=1e-5)


def test_dials_at_zero_remove_motion_completely(model: MotionModel, voice: Audio) -> None:
    settings = AnimateSettings(articulation=0.0, blinks=0.0, gaze=0.0, head_motion=0.0)
    chunks = list(animate_chunks(voice, model, settings))
    assert not any(chunk.weights.any() for chunk in chunks)
    assert not any(c.head_rotation.any() or c.head_translation.any() for c in chunks)


def test_the_same_seed_gives_the_same_take_and_another_does_not(
    model: MotionModel, voice: Audio
) -> None:
    one, two, other = (animate(voice, model, AnimateSettings(seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.weights, two.weights)
    np.testing.assert_array_equal(one.head_rotation, two.head_rotation)
    assert np.abs(one.weights - other.weights).max() > 0.1
    assert one.meta["models"] == {model.name: model.version}


def test_progress_and_cancel(model: MotionModel, voice: Audio) -> None:
    seen: list[float] = []
    animate(voice, model, STILL, watch=Watch(lambda fraction, _: seen.append(fraction)))
    assert seen == sorted(seen) and seen[-1] == 1.0
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    with pytest.raises(VividKeysError) as error:
        list(animate_chunks(voice, model, STILL, watch=Watch(cancelled=cancelled)))
    assert error.value.kind == ErrorKind.CANCELLED


RANGES = {"fps": FRAME_RATES} | {d.name: (d.lowest, d.highest) for d in AnimateSettings.DIALS}


@pytest.mark.parametrize("name", RANGES)
def test_impossible_settings_are_refused(name: str) -> None:
    low, high = RANGES[name]
    for good in (low, high):
        assert getattr(AnimateSettings(**{name: good}), name) == good  # type: ignore[arg-type]
    for bad in (low - 0.1, high + 0.1, float("nan"), float("inf")):
        with pytest.raises(VividKeysError) as error:
            AnimateSettings(**{name: bad})  # type: ignore[arg-type]
        assert error.value.kind == ErrorKind.BAD_REQUEST
        assert ("frame rate" if name == "fps" else name) in error.value.sentence


def test_the_speaker_is_noted_and_reaches_the_network(model: MotionModel, voice: Audio) -> None:
    settings = AnimateSettings(effort=0.5, jaw_share=-0.3, parted=1.0, head_liveliness=0.4)
    assert settings.speaker == SpeakerStyle(0.5, -0.3, 1.0)
    short = Audio(voice.samples[: 3 * 16_000])
    take = animate(short, model, settings)
    noted = take.meta["settings"]
    assert (noted["effort"], noted["jaw_share"], noted["parted"]) == (0.5, -0.3, 1.0)
    assert noted["head_liveliness"] == 0.4 and noted["gaze"] == 1.0
    assert take.offset_weights.shape == (take.frame_count, OFFSETS)
    assert take.offset_basis.shape == (OFFSETS, 468, 3)
    usual = animate(short, model, AnimateSettings())
    assert np.abs(take.head_rotation - usual.head_rotation).max() > 1e-3
    silence = Audio(np.zeros(16_000, np.float32))
    parted, shut = (
        _opening(_weights(list(animate_chunks(silence, model, AnimateSettings(parted=p)))))
        for p in (1.0, 0.0)
    )
    assert parted[30] > shut[30] + 0.03


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    broken = tmp_path / "motion.safetensors"
    broken.write_bytes(b"not weights")
    for path in (broken, tmp_path / "missing.safetensors"):
        with pytest.raises(VividKeysError) as error:
            MotionModel.load(path)
        assert error.value.kind == ErrorKind.BAD_FILE and path.name in error.value.sentence


def test_lips_meet_on_real_bilabials(model: MotionModel, shared_data: Path) -> None:
    """One real clip: most p, b and m close the mouth, most open vowels do not."""
    import json

    path = shared_data / "speech" / "arctic_a0009.wav"
    samples, _ = soundfile.read(path, dtype="float32")
    labels = json.loads(path.with_suffix(".phones.json").read_text())
    labels = labels["phones"] if isinstance(labels, dict) else labels
    opening = _opening(_weights(list(animate_chunks(_audio(samples), model, STILL))))
    vowels = []
    for start, end, label in labels:
        part = opening[int(start * 60) : int(end * 60) + 1]
        if label.lower().rstrip("012") in ("aa", "ae", "ay", "aw", "ao"):
            vowels.append(part.max())
    assert vowels and np.median(vowels) > 0.2
