# SPDX-License-Identifier: GPL-3.0-or-later
"""Losses of the video networks. Pictures and masks are in 0..1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

# Differences below this are penalised quadratically, so that gradients vanish at zero.
_SOFT = 1e-3


def weighted_mean(
    values: Float[Tensor, "N C H W"], weight: Float[Tensor, "N 1 H W"] | None
) -> Float[Tensor, ""]:
    """The weighted mean."""
    if weight is None:
        return values.mean()
    return (values * weight).sum() / (weight.sum() * values.shape[1]).clamp(min=1e-6)


def charbonnier(
    first: Float[Tensor, "N C H W"],
    second: Float[Tensor, "N C H W"],
    weight: Float[Tensor, "N 1 H W"] | None = None,
) -> Float[Tensor, ""]:
    """Mean absolute difference, smooth around zero."""
    difference = first - second
    return weighted_mean(torch.sqrt(difference * difference + _SOFT**2) - _SOFT, weight)


def pyramid_error(
    first: Float[Tensor, "N C H W"],
    second: Float[Tensor, "N C H W"],
    weight: Float[Tensor, "N 1 H W"] | None = None,
    levels: int = 3,
) -> Float[Tensor, ""]:
    """Mean `charbonnier` over the levels of an image pyramid."""
    total = charbonnier(first, second, weight)
    for _ in range(levels - 1):
        first, second = functional.avg_pool2d(first, 2), functional.avg_pool2d(second, 2)
        weight = functional.avg_pool2d(weight, 2) if weight is not None else None
        total = total + charbonnier(first, second, weight)
    return total / levels


def gradient_error(
    first: Float[Tensor, "N C H W"],
    second: Float[Tensor, "N C H W"],
    weight: Float[Tensor, "N 1 H W"] | None = None,
) -> Float[Tensor, ""]:
    """Mean absolute difference of the image gradients, across and down."""
    difference = first - second
    across = (difference[..., :, 1:] - difference[..., :, :-1]).abs()
    down = (difference[..., 1:, :] - difference[..., :-1, :]).abs()
    if weight is None:
        return 0.5 * (across.mean() + down.mean())
    return 0.5 * (
        weighted_mean(across, weight[..., :, 1:]) + weighted_mean(down, weight[..., 1:, :])
    )


def structure_error(
    first: Float[Tensor, "N C H W"],
    second: Float[Tensor, "N C H W"],
    weight: Float[Tensor, "N 1 H W"] | None = None,
) -> Float[Tensor, ""]:
    """1 - SSIM of the brightness, over windows of 7 pixels."""
    x, y = first.mean(dim=1, keepdim=True), second.mean(dim=1, keepdim=True)
    stack = torch.cat([x, y, x * x, y * y, x * y], dim=1)
    mean = functional.avg_pool2d(stack, 7, stride=1)
    mean_x, mean_y = mean[:, 0:1], mean[:, 1:2]
    var_x = mean[:, 2:3] - mean_x * mean_x
    var_y = mean[:, 3:4] - mean_y * mean_y
    both = mean[:, 4:5] - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    similar = ((2.0 * mean_x * mean_y + c1) * (2.0 * both + c2)) / (
        (mean_x * mean_x + mean_y * mean_y + c1)
        * (var_x.clamp(min=0.0) + var_y.clamp(min=0.0) + c2)
    )
    return weighted_mean(1.0 - similar, weight[..., 3:-3, 3:-3] if weight is not None else None)


def divergence(
    mean: Float[Tensor, " *batch"], log_variance: Float[Tensor, " *batch"]
) -> Float[Tensor, ""]:
    """Kullback-Leibler divergence from the standard normal distribution, per element."""
    return 0.5 * (mean * mean + log_variance.exp() - 1.0 - log_variance).mean()


def smoothness(
    field: Float[Tensor, "N C H W"], picture: Float[Tensor, "N 3 H W"], edge: float = 10.0
) -> Float[Tensor, ""]:
    """Edge-aware smoothness: mean gradient of a field, weighted down at edges of the picture."""
    across = (field[..., :, 1:] - field[..., :, :-1]).abs()
    down = (field[..., 1:, :] - field[..., :-1, :]).abs()
    over = (picture[..., :, 1:] - picture[..., :, :-1]).abs().mean(dim=1, keepdim=True)
    under = (picture[..., 1:, :] - picture[..., :-1, :]).abs().mean(dim=1, keepdim=True)
    return (across * torch.exp(-edge * over)).mean() + (down * torch.exp(-edge * under)).mean()


def flow_error(
    flow: Float[Tensor, "N 2 H W"],
    exact: Float[Tensor, "N 2 H W"],
    weight: Float[Tensor, "N 1 H W"],
    limit: float = 6.0,
) -> Float[Tensor, ""]:
    """Mean end-point error of a flow, in pixels.

    `exact` is NaN where the photo does not show the point. Differences beyond `limit` belong to
    another layer and are ignored.
    """
    known = torch.isfinite(exact).all(dim=1, keepdim=True)
    difference = torch.where(known, flow - torch.nan_to_num(exact), 0.0)
    length = torch.sqrt((difference * difference).sum(dim=1, keepdim=True) + 1e-4)
    counted = weight * known * (length.detach() < limit)
    return (length * counted).sum() / counted.sum().clamp(min=1.0)


def occlusion_target(
    moved: Float[Tensor, "N 3 H W"],
    target: Float[Tensor, "N 3 H W"],
    seen: Float[Tensor, "N 1 H W"],
) -> Float[Tensor, "N 1 H W"]:
    """The target of the occlusion.

    It is the geometry's visibility where the moved photo matches the target, and goes to 0 where
    it is far off.
    """
    error = (moved - target).abs().mean(dim=1, keepdim=True)
    error = functional.avg_pool2d(error, 5, stride=1, padding=2, count_include_pad=False)
    right = 1.0 - ((error - 0.04) / 0.12).clamp(0.0, 1.0)
    # What is hidden but looks right anyway (skin beside skin) need not be repainted.
    return torch.nan_to_num(torch.maximum(seen * right, right * right).detach())


def occlusion_error(
    occlusion: Float[Tensor, "N 1 H W"], wanted: Float[Tensor, "N 1 H W"]
) -> Float[Tensor, ""]:
    """Mean binary cross-entropy."""
    return functional.binary_cross_entropy(occlusion.clamp(1e-3, 1.0 - 1e-3), wanted)


def critic_error(real: Float[Tensor, " ..."], made: Float[Tensor, " ..."]) -> Float[Tensor, ""]:
    """The critic's hinge loss: real pictures above 1, generated ones below -1."""
    return functional.relu(1.0 - real).mean() + functional.relu(1.0 + made).mean()


def fooling_error(made: Float[Tensor, " ..."]) -> Float[Tensor, ""]:
    """The generator's adversarial loss."""
    return -made.mean()


def feature_error(
    made: Sequence[Float[Tensor, " ..."]], real: Sequence[Float[Tensor, " ..."]]
) -> Float[Tensor, ""]:
    """Mean absolute difference of features, averaged over the levels."""
    parts = [(a - b.detach()).abs().mean() for a, b in zip(made, real, strict=True)]
    return torch.stack(parts).mean()


def signal_to_noise(
    first: Float[Tensor, "N C H W"],
    second: Float[Tensor, "N C H W"],
    weight: Float[Tensor, "N 1 H W"],
) -> Float[Tensor, " N"]:
    """PSNR of each picture in dB, weighted; NaN where all weights are zero."""
    squares = ((first - second) ** 2).mean(dim=1, keepdim=True)
    total = weight.sum(dim=(1, 2, 3))
    mean = (squares * weight).sum(dim=(1, 2, 3)) / total
    return -10.0 * torch.log10(mean.clamp(min=1e-8))
