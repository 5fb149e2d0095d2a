# SPDX-License-Identifier: GPL-3.0-or-later
"""The loss of the motion network and its terms."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float32
from torch import Tensor
from torch.nn import functional

from backend.audio_to_mesh.channels import CHANNEL, CLASSES
from backend.audio_to_mesh.network import Outputs
from backend.training.motion.batches import Batch


@dataclass(frozen=True)
class LossRecipe:
    """Weights of the terms; `positive` is the weight of an event's positive frames."""

    classes: float = 1.0
    phones: float = 0.4
    events: float = 0.5
    positive: tuple[float, float, float] = (4.0, 6.0, 2.0)
    moments: float = 0.15
    position: float = 1.0
    velocity: float = 0.2
    opening: float = 0.5
    offsets: float = 0.5
    stillness: float = 0.1


# Typical change of an offset weight per frame, in standard deviations.
_OFFSET_STEP = 0.2
# Extra weight of an error in the lip gap where the lips are nearly closed, and its reach.
_NEAR_CLOSURE, _CLOSURE_REACH = 2.0, 0.08


# Change of the gap between the lips per channel, relative to jawOpen (measured on a head scan;
# left and right count twice where a channel drives both).
_OPENING = {
    "jawOpen": 1.0,
    "mouthFunnel": 0.375,
    "mouthPucker": -0.045,
    "mouthLowerDown": 0.2,
    "mouthUpperUp": 0.24,
}
_EVENT_CLASSES = (CLASSES.index("bilabial"), CLASSES.index("labiodental"), CLASSES.index("silence"))


def _grow(mask: Float32[Tensor, "B T"], frames: int) -> Float32[Tensor, "B T"]:
    """Dilate a mask by `frames` on both sides."""
    return functional.max_pool1d(mask[:, None], 2 * frames + 1, 1, frames)[:, 0]


def _mean(
    values: Float32[Tensor, " *batch"], weights: Float32[Tensor, " *batch"]
) -> Float32[Tensor, ""]:
    return (values * weights).sum() / weights.sum().clamp(min=1.0)


def _event_losses(
    logits: Float32[Tensor, "B T 3"], batch: Batch, recipe: LossRecipe
) -> tuple[Float32[Tensor, ""], Float32[Tensor, ""]]:
    """Frame loss and moment loss of the three events."""
    frames, moments = logits.new_zeros(()), logits.new_zeros(())
    for number, class_number in enumerate(_EVENT_CLASSES):
        logit = logits[..., number]
        positive = (batch.classes == class_number).float() * batch.known
        negative = (1.0 - positive) * batch.known
        if number < 2:
            # The labels are off by 10 ms on average, so frames at a boundary are ignored.
            inner = 1.0 - _grow(1.0 - positive, 1)
            negative = (1.0 - _grow(positive, 2)) * batch.known
        else:
            inner = positive
        frames = frames + _mean(
            recipe.positive[number] * inner * functional.softplus(-logit)
            + negative * functional.softplus(logit),
            inner + negative,
        )
        if number == 2:
            continue
        best = functional.max_pool1d(logit[:, None], 5, 1, 2)[:, 0]
        # It has to fire somewhere in each contact, and nowhere far from one.
        start = positive * (1.0 - functional.pad(positive, (1, 0))[:, :-1])
        middle = functional.pad(start, (2, 0))[:, :-2] * positive
        far = (1.0 - _grow(positive, 6)) * batch.known
        moments = moments + _mean(functional.softplus(-best), middle)
        moments = moments + 2.0 * _mean(functional.softplus(best), far)
    return frames, moments


def losses(
    outputs: Outputs, batch: Batch, spread: Float32[Tensor, "2 C"], recipe: LossRecipe
) -> tuple[Float32[Tensor, ""], dict[str, float]]:
    """Total loss and its terms.

    `spread` holds the standard deviations of the curves and of their change per frame, which put
    the channels on one scale.
    """
    known = batch.known
    parts: dict[str, Tensor] = {}
    for name, logits, wanted in (
        ("classes", outputs.classes, batch.classes),
        ("phones", outputs.phones, batch.phones),
    ):
        entropy = functional.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")
        parts[name] = _mean(entropy, known)
    parts["events"], parts["moments"] = _event_losses(outputs.events, batch, recipe)
    error = outputs.curves - batch.curves
    parts["position"] = _mean(((error / spread[0]) ** 2).mean(-1), known)
    both = known[:, 1:] * known[:, :-1]
    change = (error[:, 1:] - error[:, :-1]) / spread[1]
    parts["velocity"] = _mean((change**2).mean(-1), both)
    parts["opening"] = _mean(opening_error(error, batch.curves), known)
    # In silence nothing should move, whatever the pose is.
    silent = (batch.classes == _EVENT_CLASSES[2]).float()
    motion = (outputs.curves[:, 1:] - outputs.curves[:, :-1]) / spread[1]
    parts["stillness"] = _mean((motion**2).mean(-1), both * silent[:, 1:] * silent[:, :-1])
    wrong = outputs.offsets - batch.offsets
    moved = (wrong[:, 1:] - wrong[:, :-1]) / _OFFSET_STEP
    parts["offsets"] = _mean((wrong**2).mean(-1), known)
    parts["offsets"] = parts["offsets"] + 0.1 * _mean((moved**2).mean(-1), both)
    # A term without weight must not have any effect, not even on its own branch.
    parts = {name: value for name, value in parts.items() if getattr(recipe, name) > 0.0}
    total = torch.stack([parts[name] * getattr(recipe, name) for name in parts]).sum()
    return total, {name: float(value.detach()) for name, value in parts.items()}


def opening_error(
    error: Float32[Tensor, "B T C"], wanted: Float32[Tensor, "B T C"]
) -> Float32[Tensor, "B T"]:
    """Squared error of the lip gap, with more weight where it is small.

    The weight falls exponentially with the true distance, as in Audio2Face-3D's lip loss.
    """
    weights = error.new_zeros(error.shape[-1])
    for name, value in _OPENING.items():
        weights[CHANNEL[name]] = value
    distance = (wanted @ weights).clamp(min=0.0)
    closeness = 1.0 + _NEAR_CLOSURE * torch.exp(-distance / _CLOSURE_REACH)
    return closeness * ((error @ weights) / 0.15) ** 2
