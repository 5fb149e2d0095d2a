# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from backend.training.video.critic import PatchCritic
from backend.training.video.losses import (
    charbonnier,
    critic_error,
    divergence,
    feature_error,
    flow_error,
    fooling_error,
    gradient_error,
    occlusion_error,
    occlusion_target,
    pyramid_error,
    signal_to_noise,
    smoothness,
    structure_error,
)
from backend.training.video.picture_features import PictureFeatures, perceptual_error, spoil
from backend.training.video.regions import regions
from backend.training.video.windows import choose_windows


def pictures(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_the_divergence_has_its_known_values() -> None:
    zero = torch.zeros(2, 3, 4, 4)
    assert divergence(zero, zero).item() == 0.0
    assert divergence(zero + 2.0, zero).item() == pytest.approx(2.0)
    expected = 0.5 * (4.0 - 1.0 - math.log(4.0))
    assert divergence(zero, zero + math.log(4.0)).item() == pytest.approx(expected, rel=1e-5)


def test_picture_errors_have_their_known_values() -> None:
    first = pictures(2, 3, 16, 16)
    assert charbonnier(first, first).item() == 0.0
    assert charbonnier(first, first + 0.5).item() == pytest.approx(0.5, abs=2e-3)
    assert pyramid_error(first, first + 0.5).item() == pytest.approx(0.5, abs=2e-3)
    # Light alone is no error of steps; a wrong step counts on both sides of its pixel.
    assert gradient_error(first, first + 0.5).item() == pytest.approx(0.0, abs=1e-6)
    ramp = torch.arange(16.0).expand(1, 3, 16, 16) * 0.1
    assert gradient_error(ramp, torch.zeros_like(ramp)).item() == pytest.approx(0.05, abs=1e-6)


def test_weights_say_where_an_error_counts() -> None:
    first = torch.zeros(1, 3, 16, 16)
    second = first.clone()
    second[..., :8] = 1.0
    left = torch.zeros(1, 1, 16, 16)
    left[..., :8] = 1.0
    assert charbonnier(first, second, left).item() == pytest.approx(1.0, abs=2e-3)
    assert charbonnier(first, second, 1.0 - left).item() == 0.0
    assert structure_error(first, second, left) > 1.5 * structure_error(first, second, 1 - left)
    levels = signal_to_noise(first, second * 0.1, torch.ones(1, 1, 16, 16))
    assert levels.item() == pytest.approx(-10 * math.log10(0.005), rel=1e-4)
    assert torch.isnan(signal_to_noise(first, second, torch.zeros(1, 1, 16, 16))).all()


def test_structure_is_one_for_equal_pictures_and_worse_for_blurred_ones() -> None:
    first = pictures(1, 3, 32, 32)
    assert structure_error(first, first).item() == pytest.approx(0.0, abs=1e-5)
    blurred = torch.nn.functional.avg_pool2d(first, 3, 1, 1)
    inverted = 1.0 - first
    assert 0.1 < structure_error(first, blurred) < structure_error(first, inverted)


def test_a_smooth_field_is_free_and_a_step_is_cheap_at_an_edge() -> None:
    field, plain = torch.zeros(1, 2, 8, 8), torch.zeros(1, 3, 8, 8)
    assert smoothness(field, plain).item() == 0.0
    field[..., 4:] = 1.0
    edged = plain.clone()
    edged[..., 4:] = 1.0
    assert smoothness(field, plain).item() == pytest.approx(1 / 7, rel=1e-5)
    assert smoothness(field, edged) < 0.01 * smoothness(field, plain)


def test_flow_counts_where_it_is_known() -> None:
    flow = torch.zeros(1, 2, 8, 8, requires_grad=True)
    exact = torch.full((1, 2, 8, 8), math.nan)
    weight = torch.ones(1, 1, 8, 8)
    assert flow_error(flow, exact, weight).item() == 0.0
    exact[:, 0, :2], exact[:, 1, :2] = 3.0, 4.0
    error = flow_error(flow, exact, weight)
    assert error.item() == pytest.approx(5.0, rel=1e-4)
    error.backward()
    assert flow.grad is not None and torch.isfinite(flow.grad).all()
    assert flow.grad[:, :, :2].abs().min() > 0 and not flow.grad[:, :, 2:].any()
    # Another layer altogether.
    exact[:, 0, :2] = 40.0
    assert flow_error(flow, exact, weight).item() == 0.0


def test_what_is_wrong_is_to_be_hidden() -> None:
    target = torch.full((1, 3, 16, 16), 0.5)
    seen = torch.ones(1, 1, 16, 16)
    assert torch.allclose(occlusion_target(target, target, seen), seen)
    moved = target.clone()
    moved[..., 8:] = 1.0
    wanted = occlusion_target(moved, target, seen)
    assert wanted[..., :5].min() == 1.0 and wanted[..., 11:].max() == 0.0
    assert occlusion_error(wanted, wanted) < 0.05 < 1.0 < occlusion_error(1 - wanted, wanted)


def test_the_critic_is_content_beyond_one() -> None:
    real, made = torch.tensor([1.5, 0.5]), torch.tensor([-2.0, 0.0])
    assert critic_error(real, made).item() == pytest.approx(0.25 + 0.5)
    assert fooling_error(made).item() == pytest.approx(1.0)
    features = [torch.ones(1, 2, 4, 4), torch.zeros(1, 2, 2, 2)]
    wanted = [torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 2, 2)]
    assert feature_error(features, wanted).item() == pytest.approx(0.5)


def test_the_critics_steps_are_bounded() -> None:
    torch.manual_seed(0)
    critic = PatchCritic().eval()
    first = pictures(2, 3, 64, 64)
    score, found = critic(first, first)
    assert score.shape == (2, 1, 8, 8) and len(found) == 3
    other, _ = critic(first + 0.01, first)
    change = torch.linalg.vector_norm(other - score) / torch.linalg.vector_norm(
        torch.full_like(first, 0.01)
    )
    # Each kernel as a matrix has norm 1; as a convolution of 3 x 3 at most 3 times that.
    assert change < 3.0**4


def test_what_pictures_are_seen_by_learns_to_restore() -> None:
    torch.manual_seed(0)
    network = PictureFeatures((12, 16, 16))
    smooth = torch.nn.functional.interpolate(pictures(4, 3, 6, 6), size=48, mode="bilinear")
    spoilt = spoil(smooth)
    assert (spoilt == 0.5).float().mean() > 0.1
    optimiser = torch.optim.Adam(network.parameters(), lr=5e-3)
    errors = []
    for _ in range(60):
        loss = charbonnier(network(spoil(smooth)), smooth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(loss.item())
    assert sum(errors[-5:]) < 0.6 * sum(errors[:5])
    assert perceptual_error(network, smooth, smooth).item() == 0.0
    assert perceptual_error(network, smooth, smooth.flip(-1)) > 0.01


def face_code() -> tuple[Tensor, Tensor]:
    """A face that fills the middle half of a picture of 64: its code, and where it is."""
    code, face = torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)
    line = (torch.arange(32.0) + 0.5) / 32
    code[0, 0, 16:48, 16:48] = line[None, :]
    code[0, 1, 16:48, 16:48] = line[:, None]
    face[..., 16:48, 16:48] = 1.0
    return code, face


def test_mouth_and_eyes_are_found_by_the_code() -> None:
    code, face = face_code()
    where = regions(code, face, torch.zeros(1, 4, 64, 64))
    rows, columns = (torch.arange(64.0) + 0.5)[:, None], (torch.arange(64.0) + 0.5)[None]
    middles = [
        (float((m * rows).sum() / m.sum()), float((m * columns).sum() / m.sum()))
        for m in (where.mouth, where.eyes)
    ]
    (mouth, across), (eyes, between) = middles
    assert across == pytest.approx(32, abs=1) and between == pytest.approx(32, abs=1)
    assert 16 < eyes < 32 < mouth < 46
    assert where.mouth[0, 0, int(eyes), 32] < 0.05 and where.eyes[0, 0, int(mouth), 32] < 0.05
    # Between the eyes there is none.
    assert where.eyes[0, 0, int(eyes), 32] < 0.5 * where.eyes.max()


def test_an_open_mouth_belongs_to_the_mouth() -> None:
    code, face = face_code()
    inside = torch.zeros(1, 4, 64, 64)
    inside[:, 3, 36:42, 28:36] = 1.0
    code[..., 36:42, 28:36] = 0.0
    face[..., 36:42, 28:36] = 0.0
    where = regions(code, face, inside)
    assert where.mouth[..., 37:41, 29:35].min() > 0.7 and where.face[..., 37:41, 29:35].min() > 0.7


def test_windows_favour_the_mouth_and_stay_inside() -> None:
    code, face = face_code()
    where = regions(code, face, torch.zeros(1, 4, 64, 64))
    torch.manual_seed(3)
    held = []
    for _ in range(60):
        windows = choose_windows(where, 24, room=8)
        left, top = windows.lefts[0], windows.tops[0]
        assert 0 <= left <= 32 and 0 <= top <= 32
        cut = windows.cut(where.mouth)
        assert torch.equal(cut[0, 0], where.mouth[0, 0, top : top + 24, left : left + 24])
        held.append(float(cut.sum() / where.mouth.sum()))
    even = (24 / 64) ** 2
    assert sum(held) / len(held) > 2 * even
    shifted = windows.shifted(3, 5).cut(where.mouth)
    assert torch.equal(shifted[0, 0], where.mouth[0, 0, top + 5 : top + 29, left + 3 : left + 27])
