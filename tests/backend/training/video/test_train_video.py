# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_samples import MadeUpSamples
from torch import distributed

from backend.mesh_to_video.networks.generator import GeneratorShape
from backend.mesh_to_video.networks.motion_vae import MotionShape
from backend.mesh_to_video.networks.weights import load_generator, load_motion_vae
from backend.training.loop.checkpoint import CHECKPOINT
from backend.training.loop.to_the_end import run_to_the_end
from backend.training.video.recipes import generator_recipe, motion_recipe
from backend.training.video.run import PictureRun, PictureSchedule
from backend.training.video.train_generator import GeneratorLoss, GeneratorRecipe, GeneratorRun
from backend.training.video.train_motion_vae import MotionRecipe, MotionRun
from shared.errors import ErrorKind, VividKeysError
from tests.patience import PATIENCE, port_to_listen_on

SCHEDULE = PictureSchedule(
    steps=4, minutes=math.inf, batch=2, warm_up=1, save_every=2, report_every=2,
    validate_every=100, validation=2,
)  # fmt: skip
MOTION = MotionRecipe(
    SCHEDULE, shape=MotionShape(widths=(8, 8, 8, 8), lip_widths=(8, 8, 8, 8), latent=4)
)
GENERATOR = GeneratorRecipe(
    SCHEDULE,
    loss=GeneratorLoss(critic_from=0.4, steady_every=2),
    shape=GeneratorShape(photo=(8, 8, 8), frame=(8, 8, 8), refiner=8),
    window=96,
    critic_window=48,
    feature_steps=2,
)


def motion_run(recipe: MotionRecipe = MOTION, held_out: MadeUpSamples | None = None) -> MotionRun:
    return MotionRun(MadeUpSamples(), recipe, held_out=held_out)


def generator_run(recipe: GeneratorRecipe = GENERATOR) -> GeneratorRun:
    return GeneratorRun(MadeUpSamples(), recipe)


def held_out(run: PictureRun, samples: MadeUpSamples | None = None) -> dict[str, float]:
    (batch,) = run.validation_batches(samples or MadeUpSamples())
    return run.validate(batch)


def test_the_motion_vae_learns_what_the_geometry_misses() -> None:
    schedule = replace(SCHEDULE, steps=50, learning_rate=4e-3, average=0.8)
    run = motion_run(replace(MOTION, schedule=schedule, without_lips=0.0))
    before = held_out(run)
    assert before["mouth network"] == pytest.approx(before["mouth geometry"], abs=1e-4)
    losses = [run.optimise()["picture"] for _ in range(schedule.steps)]
    after = held_out(run)
    run.close()
    assert sum(losses[-5:]) < 0.75 * sum(losses[:5])
    assert after["mouth network"] > after["mouth geometry"] + 1.0


def test_the_generator_learns_what_the_moved_photo_misses() -> None:
    schedule = replace(SCHEDULE, steps=50, learning_rate=4e-3, average=0.8)
    loss = replace(GENERATOR.loss, critic_from=2.0)
    samples = MadeUpSamples(painted=True)
    run = GeneratorRun(samples, replace(GENERATOR, schedule=schedule, loss=loss))
    before = held_out(run, samples)
    assert before["face generator"] == pytest.approx(before["face geometry"], abs=1e-4)
    for _ in range(schedule.steps):
        run.optimise()
    after = held_out(run, samples)
    run.close()
    assert after["face generator"] > after["face geometry"] + 2.0
    assert after["ssim generator"] > after["ssim geometry"]


def test_all_parts_of_the_loss_take_part() -> None:
    run = generator_run()
    found: dict[str, float] = {}
    for _ in range(SCHEDULE.steps):
        found |= run.optimise()
    run.close()
    for name in [
        "picture",
        "gradient",
        "structure",
        "change",
        "refiner",
        "steady",
        "motion",
        "perceptual",
        "critic",
        "features",
    ]:
        assert math.isfinite(found[name]), name
    assert found["critic's own"] > 0.0
    # Without films there is nothing that follows.
    alone = GeneratorRun(MadeUpSamples(films=False), GENERATOR)
    parts = [alone.optimise() for _ in range(2)]
    alone.close()
    assert all("motion" not in part for part in parts)


@pytest.mark.parametrize("make", [motion_run, generator_run])
def test_a_resumed_run_does_what_the_unbroken_one_does(
    make: type[PictureRun], tmp_path: Path
) -> None:
    unbroken = make()
    unbroken.prepare()
    for _ in range(2):
        unbroken.optimise()
    unbroken.save(tmp_path / CHECKPOINT)
    resumed = make()
    resumed.resume(tmp_path / CHECKPOINT)
    assert resumed.step == 2
    for _ in range(2):
        unbroken.optimise()
        resumed.optimise()
    for run in (unbroken, resumed):
        run.close()
    for name, module in unbroken.modules.items():
        again = resumed.modules[name].state_dict()
        for key, value in module.state_dict().items():
            assert torch.equal(value, again[key]), f"{name}.{key}"
    for key, value in unbroken.average.items():
        assert torch.equal(value, resumed.average[key])


def test_a_run_ends_with_weights_that_can_be_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run_to_the_end(motion_run(held_out=MadeUpSamples()), tmp_path / "vae")
    network = load_motion_vae(path)
    assert network.shape == MOTION.shape
    assert "held out: face geometry" in capsys.readouterr().out
    recipe = replace(GENERATOR, motion_vae=path)
    path = run_to_the_end(generator_run(recipe), tmp_path / "generator")
    generator, _ = load_generator(path)
    assert generator.shape == GENERATOR.shape
    # What was broken off goes on; what is done stays done.
    again = run_to_the_end(motion_run(), tmp_path / "vae")
    assert f"going on from step {SCHEDULE.steps}" in capsys.readouterr().out
    for name, value in load_motion_vae(again).state_dict().items():
        assert torch.equal(value, network.state_dict()[name])
    # And may be where another run begins.
    begun = motion_run(replace(MOTION, initial=again))
    begun.close()
    assert torch.equal(begun.network.stem.weight, network.stem.weight)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    checkpoint = tmp_path / CHECKPOINT
    checkpoint.write_bytes(b"not a checkpoint")
    with pytest.raises(VividKeysError) as raised:
        run_to_the_end(motion_run(), tmp_path)
    assert raised.value.kind is ErrorKind.BAD_FILE and str(checkpoint) in raised.value.sentence
    other = motion_run()
    other.save(checkpoint)
    other.close()
    with pytest.raises(VividKeysError):
        run_to_the_end(generator_run(), tmp_path)


def test_a_batch_that_is_no_number_changes_nothing() -> None:
    run = motion_run()
    run.optimise()
    before = {k: v.clone() for k, v in run.network.state_dict().items()}
    batch = run.to_device(MadeUpSamples().batch(np.random.default_rng(0), 2))
    batch["target"][0, 0, 128, 128] = math.nan
    run.learn(batch)
    run.close()
    for name, value in run.network.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_gpu_is_given_larger_batches() -> None:
    small = motion_recipe(torch.device("cpu"), 1.0, 10).schedule
    large = motion_recipe(torch.device("cuda"), 1.0, 10).schedule
    assert large.batch > 4 * small.batch
    asked = generator_recipe(torch.device("cuda"), 1.0, 10, batch=3, rate=1e-3, seed=4)
    assert (asked.schedule.batch, asked.schedule.learning_rate, asked.schedule.seed) == (3, 1e-3, 4)
    assert asked.window > GeneratorRecipe().window


def test_two_processes_keep_the_same_weights(tmp_path: Path) -> None:
    if not (distributed.is_available() and distributed.is_gloo_available()):
        pytest.skip("this torch has no gloo, so processes cannot train together on a CPU")
    root = Path(__file__).parents[4]
    both = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port_to_listen_on())}
    both["PYTHONPATH"] = str(root)
    command = [sys.executable, __file__, str(tmp_path)]
    processes = [
        subprocess.Popen(
            command, env=os.environ | both | {"RANK": str(rank), "LOCAL_RANK": str(rank)}, cwd=root
        )
        for rank in range(2)
    ]
    try:
        assert [process.wait(PATIENCE) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    first, second = (np.load(tmp_path / f"weights{rank}.npz") for rank in range(2))
    assert len(first.files) > 20
    for name in first.files:
        np.testing.assert_array_equal(first[name], second[name])


def _train_together(folder: Path) -> None:
    from backend.training.loop.parallel import join_workers

    worker = join_workers("cpu")
    run = GeneratorRun(MadeUpSamples(), GENERATOR, worker)
    run_to_the_end(run, folder / "together")
    weights = {name: value.numpy() for name, value in run.average.items()}
    critic = {f"critic.{k}": v.numpy() for k, v in run.critic.state_dict().items()}
    np.savez(folder / f"weights{worker.rank}.npz", **weights, **critic)
    worker.leave()


if __name__ == "__main__":
    _train_together(Path(sys.argv[1]))
