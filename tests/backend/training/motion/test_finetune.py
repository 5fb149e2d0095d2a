# SPDX-License-Identifier: GPL-3.0-or-later
"""Fine-tuning on footage: it learns the actor's mouth, and only what may change does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from train_together import RECIPE

from backend.audio.log_mel import frame_count, log_mel
from backend.audio_to_mesh.channels import CHANNEL, CHANNELS, arkit_columns
from backend.audio_to_mesh.decoder_settings import (
    decoder_beside,
    load_decoder,
    save_decoder,
    shipped_decoder,
)
from backend.audio_to_mesh.motion_model import MotionModel
from backend.audio_to_mesh.network import MotionNetwork
from backend.training.capture.dataset import Capture
from backend.training.corpus.espeak import speak
from backend.training.corpus.utterance import to_float
from backend.training.motion import finetune
from backend.training.motion.export import export
from backend.training.motion.finetune import FinetuneRecipe, adapt, captured_channels
from backend.training.teacher.articulation import loudness, phone_names
from shared.arkit import INDEX
from shared.errors import VividKeysError

QUICK = FinetuneRecipe(steps=150, learning_rate=5e-3, look_every=10, frames=100, size=4)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network that knows nothing and hears no contacts."""
    torch.manual_seed(0)
    network = MotionNetwork(RECIPE.shape)
    with torch.no_grad():
        network.recognition.bias[:3] = -12.0
    phones = len(phone_names())
    table = {
        "phones.poses": torch.zeros(phones, len(CHANNELS)),
        "phones.share": torch.full((phones,), 1 / phones),
    }
    path = tmp_path_factory.mktemp("weights") / "motion.safetensors"
    export(network.state_dict() | table, RECIPE.shape.as_dict(), path, steps=0, version="7")
    # Its guesses at events are those of a network that was never asked to be sure.
    unsure = replace(shipped_decoder(), seal_on=0.4, seal_off=0.25)
    save_decoder(unsure, decoder_beside(path))
    return path


@pytest.fixture(scope="module")
def footage() -> list[Capture]:
    """Somebody whose jaw follows the loudness of the voice."""
    captures = []
    for number, text in enumerate(("Who are you and why did you go away?", "All the way around.")):
        samples = speak(text, "en", rate=110).samples
        level = loudness(log_mel(to_float(samples)))
        found = np.zeros((frame_count(len(samples)), len(INDEX)), np.float32)
        found[:, INDEX["jawOpen"]] = 0.4 * np.clip((level - level.max() + 40) / 40, 0, 1)
        found[:, INDEX["mouthSmileLeft"]], found[:, INDEX["mouthSmileRight"]] = 0.1, 0.3
        captures.append(Capture(f"clip{number}", samples, found, np.ones(len(found), bool)))
    return captures


def test_left_and_right_are_averaged() -> None:
    weights = np.zeros((2, len(INDEX)), np.float32)
    weights[:, INDEX["mouthSmileLeft"]], weights[:, INDEX["mouthSmileRight"]] = 0.2, 0.4
    weights[1, INDEX["jawOpen"]] = 0.7
    channels = captured_channels(weights)
    assert channels.shape == (2, len(CHANNELS))
    np.testing.assert_allclose(channels[:, CHANNEL["mouthSmile"]], 0.3)
    np.testing.assert_allclose(channels[:, CHANNEL["jawOpen"]], [0.0, 0.7])


def test_the_actor_is_learned_and_hearing_stays(
    weights: Path,
    footage: list[Capture],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(finetune, "load_captures", lambda folder, pass_over: footage)
    path = adapt(tmp_path, tmp_path / "out", weights, QUICK)
    told = capsys.readouterr().out
    assert "before" in told and "after" in told
    base, model = MotionModel.load(weights), MotionModel.load(path)
    everything = [capture.valid for capture in footage]
    errors = [
        finetune.footage_error(footage, finetune.listen(footage, m), m.decoder, everything)
        for m in (base, model)
    ]
    assert errors[1].weights < 0.8 * errors[0].weights
    assert errors[1].gap < 0.6 * errors[0].gap and errors[1].gap_correlation > 0.5
    assert model.version == "7+finetuned" and model.decoder.gains == (1.0,) * len(CHANNELS)
    old, new = base.network.state_dict(), model.network.state_dict()
    changed = {name.split(".")[0] for name in old if not torch.equal(old[name], new[name])}
    assert changed == {"lips", "face", "style"}
    assert load_decoder(decoder_beside(path)) == model.decoder
    assert model.decoder.expected in QUICK.shares


def test_contacts_unseen_frames_and_what_is_held_out_teach_nothing(
    weights: Path, footage: list[Capture]
) -> None:
    model = MotionModel.load(weights)
    covered = footage[0].valid.copy()
    covered[20:40] = False
    captures = [replace(footage[0], valid=covered), footage[1]]
    heard = finetune.listen(captures, model)
    heard[0].events[60:80, 0] = 0.99
    held = finetune.held_out(captures, heard, 0.1)
    share = sum(h.sum() for h in held) / sum(c.valid.sum() for c in captures)
    assert 0.03 < share < 0.25
    found = finetune.collect(captures, heard, held, model, QUICK)
    jaw, smile = CHANNEL["jawOpen"], CHANNEL["mouthSmile"]
    known = found.known.numpy()
    assert not known[22:40].any() and not known[62:78, jaw].any() and known[45:55, jaw].all()
    # What never moves was not measured, and neither was anything behind the end of a clip.
    assert not known[:, smile].any()
    length = len(covered)
    assert not known[length : length + QUICK.frames].any()
    # A row is shown a moment before its time.
    first = np.flatnonzero(held[0][: length - 1])
    assert len(first) and found.held.numpy()[first + model.decoder.lead].all()
    nothing = [replace(c, valid=np.zeros_like(c.valid)) for c in captures]
    with pytest.raises(VividKeysError, match="too little footage"):
        finetune.collect(nothing, heard, finetune.held_out(nothing, heard, 0.1), model, QUICK)
    assert len(arkit_columns("mouthSmile")) == 2
