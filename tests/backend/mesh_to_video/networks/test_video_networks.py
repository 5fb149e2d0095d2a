# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from backend.mesh_to_video.networks.generator import DetailRefiner, Generator, GeneratorShape
from backend.mesh_to_video.networks.layers import shrink
from backend.mesh_to_video.networks.motion_vae import (
    DualBranchMotionVAE,
    MotionInputs,
    MotionShape,
    motion_inputs,
)
from backend.mesh_to_video.networks.warping import lay_in, sampling_grid, warp
from backend.mesh_to_video.networks.weights import (
    load_generator,
    load_motion_vae,
    load_networks,
    save_generator,
    save_motion_vae,
)
from backend.mesh_to_video.settings import PAINTED_SIDE, Parts
from shared.errors import ErrorKind, VividKeysError

SMALL = GeneratorShape(photo=(8, 8, 8), frame=(8, 16, 16), refiner=8)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def frame_inputs(count: int = 1, seed: int = 0) -> dict[str, Tensor]:
    return {
        "flow": 8.0 * random(count, 2, 256, 256, seed=seed) - 4.0,
        "occlusion": random(count, 1, 256, 256, seed=seed + 1),
        "composite": random(count, 3, 256, 256, seed=seed + 2),
        "code": random(count, 3, 256, 256, seed=seed + 3),
        "face": random(count, 1, 256, 256, seed=seed + 4),
        "inside": random(count, 4, 256, 256, seed=seed + 5),
    }


def vae_inputs(count: int = 1) -> MotionInputs:
    return motion_inputs(
        photo=random(count, 3, 256, 256),
        photo_code=random(count, 3, 256, 256, seed=1),
        flow=8.0 * random(count, 2, 256, 256, seed=2) - 4.0,
        seen=random(count, 1, 256, 256, seed=3),
        face=random(count, 1, 256, 256, seed=4),
        code=random(count, 3, 256, 256, seed=5),
        lips=random(count, 8, 64, 64, seed=6),
    )


def stir(network: nn.Module, seed: int = 5) -> nn.Module:
    """Weights that are nowhere zero, so that everything counts."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.03 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def gmac(work: FlopCounterMode) -> float:
    return work.get_total_flops() / 2e9


def test_a_flow_says_where_a_pixel_comes_from() -> None:
    picture = random(1, 3, 32, 32)
    flow = torch.zeros(1, 2, 32, 32)
    assert torch.allclose(warp(picture, flow), picture, atol=1e-6)
    flow[:, 0] = 3.0
    flow[:, 1] = -2.0
    moved = warp(picture, flow)
    assert torch.allclose(moved[..., 2:, :29], picture[..., :30, 3:], atol=1e-5)


def test_the_mouth_is_laid_over_the_picture() -> None:
    picture, inside = random(1, 3, 8, 8), random(1, 4, 8, 8, seed=1)
    expected = picture * (1 - inside[:, 3:]) + inside[:, :3] * inside[:, 3:]
    assert torch.allclose(lay_in(picture, inside), expected, atol=1e-6)


@torch.no_grad()
def test_an_untrained_motion_vae_passes_the_geometry_on() -> None:
    inputs = vae_inputs(2)
    motion = DualBranchMotionVAE().eval()(inputs)
    assert motion.residual.shape == (2, 2, 64, 64) and not motion.residual.any()
    assert torch.equal(motion.occlusion, inputs.seen)


@torch.no_grad()
def test_residual_motion_and_occlusion_are_bounded() -> None:
    network = DualBranchMotionVAE().eval()
    network.answer.bias.copy_(torch.tensor([50.0, -50.0, 50.0]))
    motion = network(vae_inputs())
    assert torch.allclose(motion.residual[:, 0], torch.tensor(network.shape.reach))
    assert torch.allclose(motion.residual[:, 1], torch.tensor(-network.shape.reach))
    assert torch.allclose(motion.occlusion, torch.ones(1), atol=1e-5)


@torch.no_grad()
def test_without_its_lip_branch_it_does_not_see_the_lips() -> None:
    network = stir(DualBranchMotionVAE())
    inputs = vae_inputs()
    other = MotionInputs(**{**vars(inputs), "lips": inputs.lips.flip(-1)})
    with_lips, moved = network(inputs), network(other)
    assert not torch.allclose(with_lips.residual, moved.residual, atol=1e-4)
    without = network(inputs, lip_branch=False)
    assert torch.equal(without.residual, network(other, lip_branch=False).residual)
    assert not without.lip_motion.any()
    # Leaving samples out in training is the same.
    kept = network(inputs, keep_lips=torch.zeros(1))
    assert torch.allclose(kept.residual, without.residual, atol=1e-6)


@torch.no_grad()
def test_the_latent_is_sampled_in_training_only() -> None:
    network = stir(DualBranchMotionVAE())
    inputs = vae_inputs()
    assert torch.equal(network(inputs).residual, network(inputs).residual)
    network.train()
    assert not torch.equal(network(inputs).residual, network(inputs).residual)


@torch.no_grad()
def test_an_untrained_generator_gives_the_composite_back() -> None:
    generator, refiner = Generator().eval(), DetailRefiner().eval()
    given = frame_inputs(2)
    features = generator.encode(random(1, 3, 256, 256), random(1, 3, 256, 256))
    assert torch.equal(generator(features, **given), given["composite"])
    large, made = random(2, 3, 512, 512, seed=9), given["composite"]
    assert torch.equal(refiner(large, made, made, given["occlusion"]), large)
    # What the generator changed is added to the large picture.
    lighter = refiner(0.5 * large, 0.5 * made, 0.5 * made + 0.25, given["occlusion"])
    assert torch.allclose(lighter, 0.5 * large + 0.25, atol=1e-6)


@torch.no_grad()
def test_a_frame_looks_the_same_alone_and_in_a_batch() -> None:
    generator = stir(Generator(SMALL))
    features = generator.encode(random(1, 3, 256, 256), random(1, 3, 256, 256, seed=1))
    given = frame_inputs(2)
    both = generator(features, **given)
    second = generator(features, **{name: value[1:] for name, value in given.items()})
    assert not torch.allclose(both, given["composite"], atol=1e-3)
    assert torch.allclose(both[1:], second, atol=1e-5)


@torch.no_grad()
def test_a_window_is_painted_like_the_whole() -> None:
    generator = stir(Generator(SMALL))
    features = generator.encode(random(1, 3, 256, 256), random(1, 3, 256, 256, seed=1))
    given = frame_inputs()
    whole = generator(features, **given)
    box = (..., slice(48, 208), slice(32, 192))
    part = {**given, "composite": given["composite"][box]}
    asked_for = generator(features, **part, corner=(32, 48))
    places = sampling_grid(given.pop("flow")).permute(0, 3, 1, 2)
    grid = shrink(places[box], 2).permute(0, 2, 3, 1)
    window = generator.paint(features, grid, **{n: v[box] for n, v in given.items()})
    assert torch.allclose(asked_for, window.clamp(0, 1), atol=1e-4)
    inner = (..., slice(64, 96), slice(64, 96))
    # Far from the window's border, whose zeros reach inwards a little.
    difference = (whole[box][inner] - window.clamp(0, 1)[inner]).abs().mean()
    changed = (whole - given["composite"])[box][inner].abs().mean()
    assert difference < 0.02 * changed


@torch.no_grad()
def test_the_networks_are_small_enough_for_a_processor() -> None:
    generator, inputs, given = Generator().eval(), vae_inputs(), frame_inputs()
    features = generator.encode(random(1, 3, 256, 256), random(1, 3, 256, 256))
    with FlopCounterMode(display=False) as work:
        DualBranchMotionVAE().eval()(inputs)
    assert gmac(work) < 0.25
    painted = PAINTED_SIDE
    composite = random(1, 3, painted, painted)
    with FlopCounterMode(display=False) as work:
        generator(features, **{**given, "composite": composite})
    assert gmac(work) < 0.55
    large, occlusion = random(1, 3, 2 * painted, 2 * painted), random(1, 1, painted, painted)
    with FlopCounterMode(display=False) as work:
        DetailRefiner().eval()(large, composite, composite, occlusion)
    assert gmac(work) < 0.3


def test_weights_come_back_as_they_were_saved(tmp_path: Path) -> None:
    vae = stir(DualBranchMotionVAE(MotionShape(latent=8, reach=3.0)))
    generator, refiner = stir(Generator(SMALL)), stir(DetailRefiner(SMALL))
    assert isinstance(vae, DualBranchMotionVAE) and isinstance(generator, Generator)
    assert isinstance(refiner, DetailRefiner)
    save_motion_vae(vae, tmp_path / "motion_vae.safetensors", steps="7")
    save_generator(generator, refiner, tmp_path / "generator.safetensors", steps="7")
    found = load_networks(Parts(), tmp_path)
    assert found.warnings == () and found.motion_vae is not None
    assert found.motion_vae.shape == vae.shape
    assert found.generator is not None and found.generator.shape == SMALL
    assert found.refiner is not None
    pairs = ((vae, found.motion_vae), (generator, found.generator), (refiner, found.refiner))
    for before, after in pairs:
        assert not after.training
        for name, value in before.state_dict().items():
            assert torch.equal(after.state_dict()[name], value.half().float())


def test_without_weights_the_geometry_remains_and_it_is_said(tmp_path: Path) -> None:
    found = load_networks(Parts(), tmp_path)
    assert (found.motion_vae, found.generator, found.refiner) == (None, None, None)
    assert len(found.warnings) == 2
    assert load_networks(Parts(motion_vae=False, generator=False), tmp_path).warnings == ()


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    path = tmp_path / "motion_vae.safetensors"
    network = DualBranchMotionVAE()

    def refuse(file: Path) -> None:
        for load in (load_motion_vae, load_generator):
            with pytest.raises(VividKeysError) as raised:
                load(file)
            assert raised.value.kind is ErrorKind.BAD_FILE and file.name in raised.value.sentence

    path.write_bytes(b"nothing of use")
    refuse(path)
    refuse(tmp_path / "absent.safetensors")
    save_motion_vae(network, path)
    tensors = load_file(path)
    about = {
        "name": "motion_vae",
        "format": "1",
        "shape": json.dumps(network.shape.as_dict()),
    }
    spoilt = {**tensors, "answer.bias": torch.full((3,), torch.nan, dtype=torch.float16)}
    save_file(spoilt, path, about)
    refuse(path)
    save_file({k: v for k, v in tensors.items() if k != "answer.bias"}, path, about)
    refuse(path)
    save_file(tensors, path, {**about, "format": "999"})
    refuse(path)
    save_file(tensors, path, {**about, "shape": json.dumps({"latent": 8})})
    refuse(path)
    save_file(tensors, path, about)
    assert load_motion_vae(path).shape == network.shape
