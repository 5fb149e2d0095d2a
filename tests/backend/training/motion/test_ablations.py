# SPDX-License-Identifier: GPL-3.0-or-later
"""Ablations: each leaves out what it says, and they are trained, evaluated and shown."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from train_together import RECIPE

from backend.evaluation.ablations import ablations, read_scores, score_table, train_one
from backend.training.corpus.espeak import speak
from backend.training.corpus.held_out import write_recording
from backend.training.corpus.utterance import save_corpus
from backend.training.motion.draw_ahead import TrainingSet
from backend.training.motion.prepare import PrepareRecipe, prepare
from backend.training.motion.train import Trainer

COPIES = (("real", 2), ("native-*", 1), ("espeak", 1), ("flite", 0))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    english, german = speak("My boy is here.", "en"), speak("Guten Morgen.", "de")
    save_corpus([english], folder / "real")
    save_corpus([german], folder / "native-x-de")
    save_corpus([english], folder / "native-y-en")
    save_corpus([german, english, german], folder / "espeak")
    save_corpus([english], folder / "flite")
    prepare(folder, PrepareRecipe(copies=COPIES, noise_clips=1, processes=1))
    write_recording(replace(english, name="one"), folder / "held" / "real-test")
    return folder


def _counts(source: TrainingSet) -> dict[str, int]:
    return {name: len(clips) for name, clips in source.open().clips_of().items()}


def test_each_leaves_out_what_it_says(cache: Path) -> None:
    found = ablations(cache / "prepared", RECIPE)
    everything = _counts(found["reference"].source)
    natives = {"native-x-de": 2, "native-y-en": 2}
    assert everything == {"espeak": 6, "flite": 1, "noise": 1, "real": 3} | natives
    assert _counts(found["without-offsets"].source) == everything
    synthetic = {"espeak": 6, "flite": 1, "noise": 1}
    assert _counts(found["without-real-speech"].source) == synthetic
    clean = {"espeak": 3, "flite": 1, "native-x-de": 1, "native-y-en": 1, "noise": 1, "real": 1}
    assert _counts(found["without-augmentation"].source) == clean
    english = {"espeak": 2, "flite": 1, "native-y-en": 2, "noise": 1, "real": 3}
    assert _counts(found["english-only"].source) == english
    assert {ablation.recipe.steps for ablation in found.values()} == {RECIPE.steps}


def test_copies_are_known_in_older_sets_too(cache: Path) -> None:
    prepared = TrainingSet(cache / "prepared").open()
    stamps = list((cache / "prepared").glob("*/recipe.json"))
    kept = {stamp: stamp.read_text() for stamp in stamps}
    for stamp in stamps:
        stamp.unlink()
    try:
        older = TrainingSet(cache / "prepared").open()
    finally:
        for stamp, text in kept.items():
            stamp.write_text(text)
    np.testing.assert_array_equal(older.copy, prepared.copy)


def test_without_offsets_the_branch_is_silent(cache: Path) -> None:
    ablation = ablations(cache / "prepared", RECIPE)["without-offsets"]
    trainer = Trainer(ablation.source, ablation.recipe)
    assert "offsets" not in trainer.optimise()
    trainer.close()
    outputs = trainer.network(torch.randn(1, 20, 160), torch.randn(1, RECIPE.shape.style))
    assert not outputs.offsets.any() and outputs.curves.std() > 0


def test_one_is_trained_evaluated_and_shown(cache: Path, tmp_path: Path) -> None:
    ablation = ablations(cache / "prepared", replace(RECIPE, steps=2))["without-real-speech"]
    train_one("without-real-speech", ablation, tmp_path, cache / "held", ("real-test", "nowhere"))
    found = read_scores(tmp_path, ("reference", "without-real-speech"))
    assert list(found) == ["without-real-speech"]
    scores = found["without-real-speech"]["corpora"]["real-test"]["systems"][0]["scores"]
    counted = [name for name, value in scores.items() if value is not None]
    assert counted
    console = Console(width=160, record=True, file=StringIO())
    console.print(score_table(found, tuple(counted[:1])))
    assert f"{scores[counted[0]]:.3f}" in console.export_text()
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "scores.json").write_text("{")
    assert list(read_scores(tmp_path, ("reference", "without-real-speech"))) == list(found)
    assert json.loads((tmp_path / "without-real-speech" / "scores.json").read_text())["steps"] == 2
