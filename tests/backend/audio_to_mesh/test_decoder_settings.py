# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of the decoder's values: what ships, what belongs to other weights, what is wrong."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from backend.audio_to_mesh.channels import CHANNELS
from backend.audio_to_mesh.decoder_settings import (
    SHIPPED_DECODER,
    decoder_beside,
    load_decoder,
    save_decoder,
    shipped_decoder,
)
from backend.audio_to_mesh.motion_model import SHIPPED, MotionModel
from shared.errors import ErrorKind, VividKeysError

OTHER = replace(
    shipped_decoder(), seal_on=0.41, seal_early=7, gains=tuple(1.0 + k / 8 for k in range(13))
)


def described_by(path: Path, decoder: str | None) -> Path:
    """The shipped weights under another name, whose metadata say this of the decoder."""
    with safe_open(SHIPPED, "np") as stream:
        about = dict(stream.metadata())
    about.pop("decoder")
    save_file(load_file(SHIPPED), path, about if decoder is None else about | {"decoder": decoder})
    return path


def test_what_ships_is_what_the_file_says_and_is_nowhere_else() -> None:
    assert MotionModel.load().decoder == shipped_decoder()
    assert decoder_beside(SHIPPED) == SHIPPED_DECODER
    with safe_open(SHIPPED, "np") as stream:
        assert stream.metadata()["decoder"] == SHIPPED_DECODER.name


def test_values_survive_their_file_with_the_explanations(tmp_path: Path) -> None:
    path = tmp_path / "my_decoder.toml"
    save_decoder(OTHER, path)
    assert load_decoder(path) == OTHER

    def comments(of: Path) -> list[str]:
        return [line for line in of.read_text("utf-8").splitlines() if line.startswith("#")]

    assert comments(path) == comments(SHIPPED_DECODER) != []


def test_other_weights_find_the_values_beside_them(tmp_path: Path) -> None:
    weights = tmp_path / "actor.safetensors"
    shutil.copy(SHIPPED, weights)
    save_decoder(OTHER, tmp_path / "actor_decoder.toml")
    assert MotionModel.load(weights).decoder == OTHER


def test_old_weights_hold_the_values_themselves_unless_a_file_is_beside_them(
    tmp_path: Path,
) -> None:
    values = json.dumps(asdict(OTHER))
    weights = described_by(tmp_path / "old.safetensors", values)
    assert MotionModel.load(weights).decoder == OTHER
    tuned = replace(OTHER, seal_on=0.3)
    save_decoder(tuned, decoder_beside(weights))
    assert MotionModel.load(weights).decoder == tuned


def test_weights_that_say_nothing_get_what_ships(tmp_path: Path) -> None:
    weights = described_by(tmp_path / "plain.safetensors", None)
    assert MotionModel.load(weights).decoder == shipped_decoder()


def test_weights_that_were_moved_without_their_values_are_refused(tmp_path: Path) -> None:
    weights = tmp_path / "motion.safetensors"
    shutil.copy(SHIPPED, weights)
    with pytest.raises(VividKeysError) as caught:
        MotionModel.load(weights)
    assert caught.value.kind is ErrorKind.BAD_FILE
    assert "motion_decoder.toml" in caught.value.sentence and caught.value.next_step


@pytest.mark.parametrize(
    ("line", "instead", "named"),
    [
        (r"lead = \d+", "", "lead"),
        (r"lead = \d+", "lead = 1\nleed = 2", "leed"),
        (r"lead = \d+", "lead = 1.5", "lead"),
        (r"lead = \d+", "lead = -1", "lead"),
        (r"seal_on = [\d.]+", "seal_on = nan", "seal_on"),
        (r"seal_on = [\d.]+", 'seal_on = "much"', "seal_on"),
        (r"jawOpen = [\d.]+", "", "jawOpen"),
        (r"\[gains\]", "[factors]", "gains"),
        (r"\[gains\]", "gains", "line"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(
    tmp_path: Path, line: str, instead: str, named: str
) -> None:
    shipped = SHIPPED_DECODER.read_text("utf-8")
    text, found = re.subn(rf"^{line}", instead, shipped, count=1, flags=re.MULTILINE)
    assert found == 1
    path = tmp_path / "x_decoder.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(VividKeysError) as caught:
        load_decoder(path)
    assert caught.value.kind is ErrorKind.BAD_FILE and named in caught.value.sentence


def test_every_channel_has_a_gain() -> None:
    assert len(shipped_decoder().gains) == len(CHANNELS)
