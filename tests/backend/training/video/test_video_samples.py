# SPDX-License-Identifier: GPL-3.0-or-later
"""Training samples of mesh to video: written once, taken up again, read in varied batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from backend.face import template_face
from backend.face.template import load_template
from backend.mesh_to_video.networks.projection_texture import lip_maps
from backend.training.video.head_cache import training_head
from backend.training.video.make_samples import SampleRecipe, make_samples, shard_pairs
from backend.training.video.pairs import TrainingPair
from backend.training.video.sample_set import SampleSet, mirrored, relit
from backend.training.video.samples import HALVES, NOTE, SHARES, shards_in, write_shard
from backend.training.video.sources import Shard, Shares
from backend.training.video.synthetic_heads import random_scene, scene_pairs
from shared.errors import VividKeysError


@pytest.fixture(scope="module")
def pairs() -> list[TrainingPair]:
    random = np.random.default_rng(3)
    head = training_head(template_face(), "nobody")
    scene = random_scene(head, random, 256)
    return list(scene_pairs(scene, random, "nobody", 3))


@pytest.fixture(scope="module")
def folder(pairs, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    assert write_shard(folder / "synthetic_0000", pairs, 8) == 3
    return folder


def plain(folder: Path) -> dict[str, torch.Tensor]:
    return SampleSet(folder, varied=False).all(8)


def test_samples_are_what_the_networks_take(folder):
    batch = plain(folder)
    for name, channels in {**SHARES, **HALVES}.items():
        side = 64 if name == "lips" else 256
        assert batch[name].shape == (3, channels, side, side), name
        assert batch[name].dtype == torch.float32
        if name in SHARES:
            assert batch[name].min() >= 0.0 and batch[name].max() <= 1.0
    assert batch["photo"].mean() > 0.05
    # What is known about the motion beside what is guessed of it.
    exact, flow = batch["exact_flow"], batch["flow"]
    face = (batch["face"] > 0.9) & exact.isfinite().all(dim=1, keepdim=True)
    assert face.sum() > 3000
    off = torch.linalg.norm(exact.nan_to_num() - flow, dim=1, keepdim=True)[face]
    assert off.median() < 2.0


def test_the_composite_is_nearer_to_the_target_than_the_photo(folder):
    batch = plain(folder)
    face = batch["face"]

    def error(name: str) -> float:
        return float(((batch[name] - batch["target"]).abs() * face).sum() / (3 * face.sum()))

    assert error("composite") < 0.8 * error("photo")


def test_a_finished_shard_is_kept_and_a_broken_one_is_not_seen(folder, pairs):
    def must_not_be_asked():
        raise AssertionError("made again")
        yield

    assert write_shard(folder / "synthetic_0000", must_not_be_asked(), 8) == 3
    broken = folder / "synthetic_0001.tmp"
    broken.mkdir(exist_ok=True)
    np.save(broken / "photo.npy", np.zeros(3))
    assert [path.name for path in shards_in(folder)] == ["synthetic_0000"]


def test_shards_that_come_later_are_found(folder, pairs, tmp_path):
    write_shard(tmp_path / "a", pairs[:1], 8)
    samples = SampleSet(tmp_path)
    assert len(samples) == 1
    write_shard(tmp_path / "b", pairs[:2], 1)
    assert samples.look_again() == 2


def test_pictures_of_a_film_come_with_the_ones_that_follow(folder):
    samples = SampleSet(folder)
    both = samples.next_batch(np.random.default_rng(0), 4)
    assert both is not None
    first, second = both
    # One photo, varied alike; another picture.
    assert torch.equal(first["photo"], second["photo"])
    assert not torch.equal(first["target"], second["target"])


def test_batches_follow_from_the_seed(folder):
    samples = SampleSet(folder)
    one, two, other = (samples.batch(np.random.default_rng(seed), 4) for seed in (1, 1, 2))
    for name in one:
        assert torch.equal(one[name].nan_to_num(7), two[name].nan_to_num(7)), name
    assert not torch.equal(one["photo"], other["photo"])
    assert len(one["photo"]) == 4


def test_a_mirror_changes_everything_alike(folder):
    batch = plain(folder)
    everyone = torch.ones(3, dtype=torch.bool)
    there = mirrored(batch, everyone)
    back = mirrored(there, everyone)
    for name, values in batch.items():
        assert torch.allclose(back[name].nan_to_num(7), values.nan_to_num(7), atol=1e-6), name
    # Warping the mirrored photo by the mirrored flow is the mirrored warped photo.
    warped, mirror = (_warped(b["photo"], b["flow"]) for b in (batch, there))
    assert (mirror - warped.flip(-1)).abs().max() < 1e-3
    # Across the face colours run from one side to the other, whoever looks into a mirror.
    face = there["face"][:, 0] > 0.5
    middle = torch.arange(256.0)[None, None].expand_as(face)
    for values in (batch, there):
        face, across = values["face"][0, 0] > 0.5, values["code"][0, 0]
        columns, colours = middle[0][face], across[face]
        assert torch.corrcoef(torch.stack([columns, colours]))[0, 1] > 0.9
    nobody = mirrored(batch, torch.zeros(3, dtype=torch.bool))
    assert torch.equal(nobody["photo"], batch["photo"])


def _warped(photo: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    side = photo.shape[-1]
    own = torch.arange(side) + 0.5
    x, y = own + flow[:, 0], own[:, None] + flow[:, 1]
    grid = torch.stack([x, y], dim=-1) * 2 / side - 1
    return torch.nn.functional.grid_sample(photo, grid, align_corners=False)


def test_a_mirror_exchanges_the_lips_sides():
    random = np.random.default_rng(0)
    template = load_template()
    points = template.vertices[:, [0, 2]] * (260.0, -260.0) + (32.0, 20.0)
    driven = points + random.normal(0, 1.0, points.shape)
    maps = lip_maps(driven.astype(np.float32), points.astype(np.float32))
    partner = template.mirror[: len(points)]
    other_driven, other_points = (
        (p[partner] * (-1.0, 1.0) + (64.0, 0.0)).astype(np.float32) for p in (driven, points)
    )
    wanted = lip_maps(other_driven, other_points)
    batch = {"lips": torch.from_numpy(maps.transpose(2, 0, 1).copy())[None]}
    seen = mirrored(batch, torch.ones(1, dtype=torch.bool))["lips"][0].numpy()
    assert np.abs(maps).max() > 0.2
    assert np.abs(seen - wanted.transpose(2, 0, 1)).max() < 1e-4


def test_light_changes_colours_and_nothing_else(folder):
    batch = plain(folder)
    brighter = relit(batch, torch.full((3, 3), 1.2), torch.ones(3, 1))
    for name in ("photo", "target", "composite"):
        assert torch.allclose(brighter[name], (1.2 * batch[name]).clamp(max=1.0), atol=1e-3)
    assert torch.equal(brighter["inside"][:, 3], batch["inside"][:, 3])
    assert torch.equal(brighter["code"], batch["code"])
    inner = (batch["photo_face"] > 0.5).expand_as(batch["photo_code"])
    assert torch.equal(brighter["photo_code"][inner], batch["photo_code"][inner])


def test_an_empty_folder_says_what_to_do(tmp_path):
    with pytest.raises(VividKeysError, match="no training samples"):
        SampleSet(tmp_path)


def test_a_shard_without_usable_pairs_is_no_error(tmp_path, capsys):
    grey, landmarks = np.full((64, 64, 3), 90, np.uint8), np.zeros((478, 3))
    pair = TrainingPair(grey, grey, landmarks, landmarks, None, "nobody", "clip")
    assert write_shard(tmp_path / "clip_0000", [pair], 4) == 0
    assert "nobody" in capsys.readouterr().out
    assert list(shards_in(tmp_path)) == []
    # It is not tried again and again.
    assert (tmp_path / "clip_0000" / NOTE).is_file()


def test_a_few_samples_of_real_people(shared_data, tmp_path):
    shares = Shares(synthetic=0.0, london=0.5, portrait=0.5)
    recipe = SampleRecipe(
        shared_data / "faces", tmp_path / "heads", shards=2, shares=shares, shard_size=1
    )
    make_samples(recipe, tmp_path / "samples")
    samples = SampleSet(tmp_path / "samples")
    assert len(samples) == 2
    assert samples.next_batch(np.random.default_rng(0), 1) is None
    first, again = (
        next(shard_pairs(recipe, Shard("portrait_0000", "portrait", 0))) for _ in range(2)
    )
    assert np.array_equal(first.source, again.source)
