# SPDX-License-Identifier: GPL-3.0-or-later
"""The trainer on a tiny real corpus: it learns, it resumes, and what it exports can be loaded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from backend.audio_to_mesh.channels import CHANNELS
from backend.audio_to_mesh.motion_model import Heard, MotionModel
from backend.audio_to_mesh.network import MotionNetwork, NetworkShape
from backend.training.batches import BatchRecipe, clips_by_corpus, draw_batch, warp_bands
from backend.training.corpus.utterance import Phone, Utterance, save_corpus
from backend.training.export import amplitude_gains
from backend.training.held_out import write_held_out
from backend.training.losses import LossRecipe, losses
from backend.training.prepare import (
    Prepared,
    PrepareRecipe,
    load_prepared,
    prepare,
    teach_prepared,
)
from backend.training.teacher import phone_names, teach
from backend.training.train_motion import MotionRecipe, Trainer, train

RECIPE = MotionRecipe(
    steps=4,
    minutes=5.0,
    save_every=2,
    batch=BatchRecipe(size=3, seconds=1.0),
    shape=NetworkShape(
        width=16, groups=2, dilations=(1, 2), head_width=8, phones=len(phone_names())
    ),
)


def _voice(number: int) -> Utterance:
    """A buzz and a hiss in turn: enough to be told apart."""
    random = np.random.default_rng(number)
    time = np.arange(24_000) / 16_000
    buzz = np.sign(np.sin(2 * np.pi * (120 + 10 * number) * time)) * 0.2
    sound = np.where((time > 0.4) & (time < 0.9), buzz, 0.05 * random.standard_normal(24_000))
    phones = (Phone(0.0, 0.4, "s"), Phone(0.4, 0.9, "aa"), Phone(0.9, 1.2, "m"))
    return Utterance(
        f"v{number}", "robot", (sound * 20_000).astype(np.int16), (*phones, Phone(1.2, 1.5, "f"))
    )


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("training")
    save_corpus([_voice(number) for number in range(4)], folder / "espeak")
    recipe = PrepareRecipe(copies=(("espeak", 1), ("flite", 1)), noise_clips=2, processes=1)
    target = prepare(folder, recipe)
    teach_prepared(target)
    return load_prepared(target)


def test_clean_and_degraded_copies_and_noise_are_prepared(prepared: Prepared) -> None:
    assert sorted(prepared.corpus) == ["espeak"] * 8 + ["noise"] * 2
    assert prepared.length.sum() == len(prepared.features) == len(prepared.curves)
    assert len(prepared.phones) == len(prepared.features)
    assert np.isfinite(prepared.features.astype(np.float32)).all()
    spoken = {phone_names()[number] for number in np.unique(prepared.phones)}
    assert spoken == {"sil", "s", "aa", "m", "f"}


def test_batches_are_repeatable_and_normalised(prepared: Prepared) -> None:
    clips = clips_by_corpus(prepared)
    first, second = (
        draw_batch(prepared, clips, RECIPE.batch, np.random.default_rng(5)) for _ in range(2)
    )
    assert torch.equal(first.features, second.features)
    assert first.features.shape == (3, 100, 160) and first.curves.shape == (3, 100, len(CHANNELS))
    assert first.features.abs().max() <= 4.0
    assert (first.known.sum(dim=1) > 0).all()


def test_warping_by_one_changes_nothing_and_a_longer_tract_moves_bands_down() -> None:
    features = np.zeros((1, 3, 160), np.float32)
    features[:, :, 40] = 1.0
    same = warp_bands(features, np.ones(1, np.float32), np.zeros(1, np.float32))
    np.testing.assert_allclose(same, features, atol=1e-3)
    warped = warp_bands(features, np.full(1, 1.1, np.float32), np.zeros(1, np.float32))
    assert warped[0, 0, :80].argmax() in (36, 37)


def test_loss_is_lowest_for_the_right_answer(prepared: Prepared) -> None:
    batch = draw_batch(prepared, clips_by_corpus(prepared), RECIPE.batch, np.random.default_rng(1))
    network = MotionNetwork(RECIPE.shape)
    outputs = network(batch.features)
    spread = torch.ones(2, len(CHANNELS)) * 0.1
    _, parts = losses(outputs, batch, spread, LossRecipe())
    assert all(np.isfinite(value) for value in parts.values())
    right = replace(outputs, curves=batch.curves)
    _, better = losses(right, batch, spread, LossRecipe())
    assert better["position"] == 0.0 and better["velocity"] == 0.0 and better["opening"] == 0.0
    assert parts["position"] > 0.1
    logits = torch.full_like(outputs.events, -8.0)
    for event, name in enumerate(("m", "f", "sil")):
        logits[..., event][batch.phones == phone_names().index(name)] = 8.0
    _, better = losses(replace(outputs, events=logits), batch, spread, LossRecipe())
    assert better["events"] < 0.05 < parts["events"]


def test_two_steps_learn_and_a_resumed_run_equals_an_unbroken_one(
    prepared: Prepared, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, steps=100, warm_up=2)
    unbroken = Trainer(prepared, recipe)
    totals = [unbroken.optimise()["total"] for _ in range(2)]
    unbroken.save(tmp_path / "checkpoint.safetensors")
    totals += [unbroken.optimise()["total"] for _ in range(12)]
    assert np.mean(totals[-3:]) < 0.9 * np.mean(totals[:3])
    resumed = Trainer(prepared, recipe)
    resumed.resume(tmp_path / "checkpoint.safetensors")
    assert resumed.step == 2
    # The schedule follows the clock too, so the learning rate differs in the fifth digit.
    assert resumed.optimise()["total"] == pytest.approx(totals[2], rel=1e-3)


def test_gains_give_back_what_an_unsure_network_holds_back() -> None:
    class Timid:
        """Hears the taught curves at half their size."""

        context = 2

        def listen(self, features: np.ndarray) -> Heard:
            curves = np.zeros((len(features), len(CHANNELS)), np.float32)
            lesson = teach(voice.phones, np.full(151, 60.0, np.float32))
            count = min(len(features), len(lesson.curves))
            curves[:count] = 0.5 * lesson.curves[:count]
            return Heard(curves, np.zeros((len(features), 3), np.float32))

    voice = _voice(0)
    gains = amplitude_gains(Timid(), [voice], most=1.6)  # type: ignore[arg-type]
    jaw = gains[CHANNELS.index("jawOpen")]
    assert jaw == 1.6
    assert all(1.0 <= gain <= 1.6 for gain in gains)


def test_held_out_voices_are_written_with_their_phones(tmp_path: Path) -> None:
    save_corpus([_voice(0), _voice(1)], tmp_path / "real-test")
    write_held_out(tmp_path, tmp_path / "out")
    rows = json.loads((tmp_path / "out" / "real-test" / "robot.phones.json").read_text())
    assert [row[2] for row in rows] == ["S", "AA", "M", "F"] * 2
    assert rows[4][0] == pytest.approx(1.5)
    info = soundfile.info(tmp_path / "out" / "real-test" / "robot.wav")
    assert info.duration == pytest.approx(3.0) and info.samplerate == 16_000
    assert len(list((tmp_path / "out" / "real-test-degraded").glob("*.wav"))) == 3


def test_a_finished_run_leaves_weights_that_load(prepared: Prepared, tmp_path: Path) -> None:
    trainer = train(prepared, tmp_path, RECIPE)
    assert trainer.step == RECIPE.steps and trainer.progress() == 1.0
    again = train(prepared, tmp_path, RECIPE)
    assert again.step == RECIPE.steps
    model = MotionModel.load(tmp_path / "motion.safetensors")
    heard = model.listen(np.zeros((100, 160), np.float32))
    assert heard.curves.shape == (100, len(CHANNELS)) and heard.events.shape == (100, 3)
    assert 0.0 <= heard.events.min() <= heard.events.max() <= 1.0
