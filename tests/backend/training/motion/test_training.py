# SPDX-License-Identifier: GPL-3.0-or-later
"""The trainer on a few spoken sentences: it learns, it resumes, and what it exports loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import distributed
from train_together import RECIPE

from backend.audio_to_mesh.channels import CHANNELS, MOUTH_CHANNELS
from backend.audio_to_mesh.decoder_settings import shipped_decoder
from backend.audio_to_mesh.heard import Heard
from backend.audio_to_mesh.motion_model import MotionModel
from backend.audio_to_mesh.network import MotionNetwork
from backend.audio_to_mesh.speaker import OFFSETS, STYLE_SIZE, style_vector
from backend.training.corpus.espeak import speak
from backend.training.corpus.held_out import write_held_out
from backend.training.corpus.utterance import Utterance, save_corpus, to_float
from backend.training.motion import export
from backend.training.motion.batches import draw_batch, warp_bands
from backend.training.motion.draw_ahead import TrainingSet
from backend.training.motion.export import amplitude_gains, export_checkpoint
from backend.training.motion.losses import LossRecipe, losses
from backend.training.motion.prepare import PrepareRecipe, prepare
from backend.training.motion.set_statistics import measure, phone_poses
from backend.training.motion.train import Trainer, train
from backend.training.teacher.articulation import phone_names, teach
from shared.errors import VividKeysError
from tests.patience import PATIENCE, port_to_listen_on

SENTENCES = ("The boat was mine.", "Five warm puppies.", "Who knew about it?")


def _voice(number: int) -> Utterance:
    return speak(SENTENCES[number], "en")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    folder = tmp_path_factory.mktemp("training")
    save_corpus([_voice(number) for number in range(3)], folder / "espeak")
    recipe = PrepareRecipe(copies=(("espeak", 1),), noise_clips=2, processes=1)
    return TrainingSet(prepare(folder, recipe))


def test_clean_and_degraded_copies_and_noise_are_prepared(source: TrainingSet) -> None:
    prepared = source.open()
    assert sorted(prepared.corpus) == ["espeak"] * 6 + ["noise"] * 2
    for clip in range(len(prepared)):
        found = prepared.read(clip, frozenset(phone_names()))
        assert found is not None
        assert found[0].shape == (prepared.length[clip], 160)
        assert abs(found[1][-1].end * 100 - len(found[0])) < 3.0


def test_batches_are_repeatable_and_normalised(source: TrainingSet) -> None:
    prepared, profile = source.open(), np.full(160, -5.0, np.float32)
    first, second = (
        draw_batch(prepared, profile, RECIPE.batch, np.random.default_rng(5)) for _ in range(2)
    )
    assert torch.equal(first.features, second.features)
    assert torch.equal(first.style, second.style) and torch.equal(first.offsets, second.offsets)
    assert first.features.shape == (3, 100, 160) and first.curves.shape == (3, 100, len(CHANNELS))
    assert first.style.shape == (3, STYLE_SIZE) and first.offsets.shape == (3, 100, OFFSETS)
    assert torch.isfinite(first.features).all() and torch.isfinite(first.offsets).all()
    assert (first.known.sum(dim=1) > 0).all()
    # The plain speaker is there beside others.
    many = draw_batch(
        prepared, profile, replace(RECIPE.batch, size=12, short=0.0), np.random.default_rng(6)
    )
    plain = (many.style == 0).all(dim=1)
    assert 0 < int(plain.sum()) < 12


def test_batches_do_without_bad_clips(
    source: TrainingSet, capsys: pytest.CaptureFixture[str]
) -> None:
    prepared = source.open()
    only = prepared.subset(np.flatnonzero(prepared.corpus == "espeak"))
    rows = list(only._phones)
    rows[:4] = [[[0.3, 0.2, "aa"]]] * 4
    half = replace(only, _phones=tuple(rows))
    profile = np.full(160, -5.0, np.float32)
    for seed in range(4):
        batch = draw_batch(half, profile, RECIPE.batch, np.random.default_rng(seed))
        assert torch.isfinite(batch.curves).all()
    told = capsys.readouterr().out.splitlines()
    assert told and len(set(told)) == len(told) <= 4
    assert all("of espeak: its phones are out of order" in line for line in told)
    nothing = replace(only, _phones=tuple([[0.3, 0.2, "aa"]] for _ in rows))
    with pytest.raises(VividKeysError, match="espeak"):
        draw_batch(nothing, profile, RECIPE.batch, np.random.default_rng(0))


def test_warping_by_one_changes_nothing_and_a_longer_tract_moves_bands_down() -> None:
    features = np.zeros((1, 3, 160), np.float32)
    features[:, :, 40] = 1.0
    same = warp_bands(features, np.ones(1, np.float32), np.zeros(1, np.float32))
    np.testing.assert_allclose(same, features, atol=1e-3)
    warped = warp_bands(features, np.full(1, 1.1, np.float32), np.zeros(1, np.float32))
    assert warped[0, 0, :80].argmax() in (36, 37)


def test_loss_is_lowest_for_the_right_answer(source: TrainingSet) -> None:
    profile = np.full(160, -5.0, np.float32)
    batch = draw_batch(source.open(), profile, RECIPE.batch, np.random.default_rng(1))
    network = MotionNetwork(RECIPE.shape)
    outputs = network(batch.features, batch.style)
    spread = torch.ones(2, len(CHANNELS)) * 0.1
    _, parts = losses(outputs, batch, spread, LossRecipe())
    assert all(np.isfinite(value) for value in parts.values())
    right = replace(outputs, curves=batch.curves, offsets=batch.offsets)
    _, better = losses(right, batch, spread, LossRecipe())
    for name in ("position", "velocity", "opening", "offsets"):
        assert better[name] == 0.0 < parts[name]
    logits = torch.full_like(outputs.events, -8.0)
    for event, name in enumerate(("bilabial", "labiodental", "silence")):
        number = ("silence", "bilabial", "labiodental").index(name)
        logits[..., event][batch.classes == number] = 8.0
    _, better = losses(replace(outputs, events=logits), batch, spread, LossRecipe())
    assert better["events"] < 0.05 < parts["events"]


def test_shares_of_phones_are_measured_and_contacts_have_no_pose(source: TrainingSet) -> None:
    found = phone_poses(source.open())
    row = {name: number for number, name in enumerate(phone_names())}
    for name in ("p", "b", "m", "f", "v", "sil"):
        assert found.share[row[name]] == 0.0 and not found.poses[row[name]].any()
    assert 0.3 < found.share.sum() < 1.0
    assert found.share[row["uw"]] > found.share[row["zh"]] > 0.0
    jaw = CHANNELS.index("jawOpen")
    assert found.poses[row["aa"], jaw] > 0.2 > found.poses[row["s"], jaw]


def test_steps_learn_and_a_resumed_run_equals_an_unbroken_one(
    source: TrainingSet, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, steps=100, warm_up=2)
    unbroken = Trainer(source, recipe)
    totals = [unbroken.optimise()["total"] for _ in range(2)]
    unbroken.save(tmp_path / "checkpoint.safetensors")
    totals += [unbroken.optimise()["total"] for _ in range(12)]
    assert np.mean(totals[-3:]) < 0.9 * np.mean(totals[:3])
    unbroken.close()
    # Batches drawn by a process of its own are the same.
    resumed = Trainer(source, replace(recipe, own_process=True))
    resumed.resume(tmp_path / "checkpoint.safetensors")
    assert resumed.step == 2
    again = [resumed.optimise()["total"] for _ in range(2)]
    resumed.close()
    # Sums in another order of the threads differ in the last bits; another batch by far more.
    assert again == pytest.approx(totals[2:4], rel=1e-5)


def test_a_damaged_checkpoint_is_named(source: TrainingSet, tmp_path: Path) -> None:
    trainer = Trainer(source, RECIPE)
    path = tmp_path / "checkpoint.safetensors"
    trainer.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(VividKeysError, match=str(path)):
        trainer.resume(path)
    with pytest.raises(VividKeysError, match=str(path)):
        Trainer(source, replace(RECIPE, initial=path))
    with pytest.raises(VividKeysError, match=str(path)):
        export_checkpoint(path, tmp_path / "motion.safetensors", "1")


def test_gains_give_back_what_an_unsure_network_holds_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timid = MotionModel.load()
    timid.decoder = replace(shipped_decoder(), smoothing=1, expected=0.4, expected_smoothing=1)

    def hear(samples: np.ndarray, model: MotionModel) -> Heard:
        """The taught curves at half their size; what is expected is right."""
        frames = len(samples) // 160 + 1
        curves = teach(voice.phones, np.full(frames, 60.0, np.float32)).curves
        nothing = np.zeros((frames, OFFSETS), np.float32)
        return Heard(0.5 * curves, curves, np.zeros((frames, 3), np.float32), nothing)

    voice = _voice(0)
    assert len(to_float(voice.samples)) == len(voice.samples)
    monkeypatch.setattr(export, "hear", hear)
    gains = amplitude_gains(timid, [voice], most=1.6)
    assert all(1.0 <= gain <= 1.6 for gain in gains)
    # .6 of a half and .4 of the whole are .7; brows and cheeks have no expected pose.
    jaw = gains[MOUTH_CHANNELS[CHANNELS.index("jawOpen")]]
    assert jaw == pytest.approx(0.7**-0.85, rel=0.1)
    assert gains[CHANNELS.index("browInnerUp")] == pytest.approx(1.6, abs=0.05)


def test_held_out_voices_are_written_with_their_phones(tmp_path: Path) -> None:
    voices = [replace(_voice(number), speaker="robot") for number in range(2)]
    save_corpus(voices, tmp_path / "real-test")
    write_held_out(tmp_path, tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "real-test" / "robot.phones.json").read_text())
    assert [row[2] for row in rows] == [p.label.upper() for v in voices for p in v.phones]
    second = len(voices[0].phones)
    assert rows[second][0] == pytest.approx(voices[0].duration, abs=1e-3)
    info = soundfile.info(tmp_path / "out" / "real-test" / "robot.wav")
    assert info.duration == pytest.approx(sum(v.duration for v in voices))
    assert info.samplerate == 16_000
    assert len(list((tmp_path / "out" / "real-test-degraded").glob("*.wav"))) == 3


def test_a_finished_run_leaves_weights_that_load_and_can_be_gone_on_from(
    source: TrainingSet, tmp_path: Path
) -> None:
    trainer = train(source, tmp_path, RECIPE)
    assert trainer.step == RECIPE.steps and trainer.progress() == 1.0
    again = train(source, tmp_path, RECIPE)
    assert again.step == RECIPE.steps
    path = tmp_path / "motion.safetensors"
    model = MotionModel.load(path)
    (heard,) = model.listen(np.zeros((1, 100, 160), np.float32), style_vector())
    assert heard.curves.shape == heard.expected.shape == (100, len(CHANNELS))
    assert 0.0 <= heard.events.min() <= heard.events.max() <= 1.0
    statistics = measure(source.open())
    np.testing.assert_allclose(model.profile, statistics.profile, rtol=2e-3)
    for begun in (path, tmp_path / "checkpoint.safetensors"):
        beginning = Trainer(source, replace(RECIPE, initial=begun))
        weight = beginning.network.lips.direct.weight
        expected = trainer.averaged("network")["lips.direct.weight"]
        assert torch.allclose(weight, expected, atol=1e-3)


def test_torchrun_keeps_both_processes_alike(source: TrainingSet, tmp_path: Path) -> None:
    if not (distributed.is_available() and distributed.is_gloo_available()):
        pytest.skip("this torch has no gloo, so processes cannot train together on a CPU")
    script = Path(__file__).with_name("train_together.py")
    root = Path(__file__).parents[4]
    both = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port_to_listen_on())}
    both["PYTHONPATH"] = str(root)
    command = [sys.executable, str(script), str(source.folder), str(tmp_path)]
    processes = [
        subprocess.Popen(
            command,
            env=os.environ | both | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            cwd=root,
        )
        for rank in range(2)
    ]
    try:
        assert [process.wait(PATIENCE) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    first, second = (np.load(tmp_path / f"weights{rank}.npz") for rank in range(2))
    for name in first.files:
        np.testing.assert_array_equal(first[name], second[name])
    alone = Trainer(source, RECIPE)
    for _ in range(2):
        alone.optimise()
    alone.close()
    own = alone.network.lips.direct.weight.detach().numpy()
    # Other batches went into them than into a run alone.
    assert not np.array_equal(first["lips.direct.weight"], own)
    assert (tmp_path / "together" / "motion.safetensors").is_file()
