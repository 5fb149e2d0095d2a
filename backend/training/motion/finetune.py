# SPDX-License-Identifier: GPL-3.0-or-later
"""Adapt the motion network to an actor, from captured footage with sound.

The encoder is frozen: only the branches from there to lips and face are trained, together with the
style layer. So half a minute of footage is enough, and training takes seconds.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor
from torch.nn import functional

from backend.audio.log_mel import log_mel, normalise
from backend.audio.reference import references
from backend.audio_to_mesh.channels import CHANNEL, CHANNELS, EVENTS, MOUTH_CHANNELS, arkit_columns
from backend.audio_to_mesh.decoder import RATE, blended, contacts, decode
from backend.audio_to_mesh.decoder_settings import (
    PLAIN_GAINS,
    DecoderSettings,
    decoder_beside,
    save_decoder,
)
from backend.audio_to_mesh.heard import Heard
from backend.audio_to_mesh.listener import hear
from backend.audio_to_mesh.motion_model import SHIPPED, MotionModel
from backend.audio_to_mesh.speaker import style_vector
from backend.training.capture.dataset import Capture, load_captures
from backend.training.corpus.utterance import to_float
from backend.training.loop.run import Run, begin
from backend.training.loop.schedule import Schedule
from backend.training.loop.tensor_files import read_tensors, write_tensors
from backend.training.loop.to_the_end import learn
from backend.training.motion.losses import opening_error
from backend.watch import UNWATCHED, Watch
from shared.errors import ErrorKind, VividKeysError
from shared.lips import aperture

# Contact stronger than this overrides the mouth channels; nothing can be learned there.
_TOUCHING = 0.05
# Weights of channels whose measurement is unreliable; the others have 1.
_TRUST = {"mouthFunnel": 0.25}
# Channels with a smaller standard deviation in the footage are ignored (mostly the tongue).
_STILL = 0.005
# Speech is held out in stretches of this many frames.
_BLOCK = 50
_SILENCE = EVENTS.index("silence")


@dataclass(frozen=True)
class FinetuneRecipe:
    """How to fine-tune; `held_out` is the share of the speech kept for early stopping."""

    steps: int = 1500
    seed: int = 0
    threads: int = 1
    learning_rate: float = 1e-3
    size: int = 16
    frames: int = 200
    held_out: float = 0.1
    dropout: float = 0.1
    velocity: float = 0.2
    opening: float = 0.5
    # How strongly the curves are pulled towards those of the initial weights.
    pull: float = 0.15
    look_every: int = 25
    patience: int = 12
    shares: tuple[float, ...] = (0.0, 0.2, 0.4)


@dataclass(frozen=True)
class FootageError:
    """Errors on frames where the face was found.

    weights          mean absolute error of the weights that the network drives
    gap              mean absolute error of the lip gap, in units of jawOpen
    gap_correlation  Pearson's r of the lip gap over time
    """

    weights: float
    gap: float
    gap_correlation: float

    def __str__(self) -> str:
        return (
            f"weights {self.weights:.4f}, gap {self.gap:.4f}, r of gap {self.gap_correlation:.2f}"
        )


@dataclass(frozen=True, eq=False)
class Footage:
    """All clips, concatenated with unknown frames between them.

    hidden         the encoder's output
    wanted         the measured curves
    known          weight of each measurement
    base, offsets  outputs of the initial weights
    held           1 where a frame is held out
    """

    hidden: Float32[Tensor, "T hidden"]
    wanted: Float32[Tensor, "T C"]
    known: Float32[Tensor, "T C"]
    base: Float32[Tensor, "T C"]
    offsets: Float32[Tensor, "T K"]
    held: Float32[Tensor, " T"]


def captured_channels(weights: Float32[np.ndarray, "T 52"]) -> Float32[np.ndarray, "T C"]:
    """ARKit weights to channels: left and right are averaged."""
    columns = [weights[:, list(arkit_columns(name))].mean(axis=1) for name in CHANNELS]
    return np.asarray(np.stack(columns, axis=1), np.float32)


def held_out(
    captures: Sequence[Capture], heard: Sequence[Heard], share: float
) -> list[Bool[np.ndarray, " _"]]:
    """The held-out frames of each clip: half a second of speech at regular intervals.

    Pauses do not count.
    """
    blocks = max(round(1.0 / share), 2)
    passed, result = 0, []
    for capture, sounds in zip(captures, heard, strict=True):
        speech = capture.valid & (sounds.events[:, _SILENCE] < 0.5)
        number = (passed + np.cumsum(speech)) // _BLOCK
        result.append(speech & (number % blocks == blocks // 2))
        passed += int(speech.sum())
    return result


def listen(captures: Sequence[Capture], model: MotionModel) -> list[Heard]:
    """The model's outputs for each clip, cut to the captured frames."""
    return [hear(to_float(c.samples), model).slice(0, len(c.valid)) for c in captures]


def collect(
    captures: Sequence[Capture],
    heard: Sequence[Heard],
    held: Sequence[Bool[np.ndarray, " _"]],
    model: MotionModel,
    recipe: FinetuneRecipe,
) -> Footage:
    """The training data. Raises VividKeysError(bad_request) where there is too little footage."""
    rows: list[list[NDArray[np.float32]]] = [[] for _ in range(6)]
    for capture, sounds, decides in zip(captures, heard, held, strict=True):
        count = len(capture.valid)
        base = blended(sounds, model.decoder) * np.array(model.decoder.gains, np.float32)
        # A row is shown `lead` frames earlier, and that is when it was measured.
        made = np.clip(np.arange(count) - model.decoder.lead, 0, None)
        known = np.repeat(capture.valid[made, None].astype(np.float32), len(CHANNELS), axis=1)
        touching = np.max(contacts(sounds.events, model.decoder), axis=0) > _TOUCHING
        known[np.ix_(touching, MOUTH_CHANNELS)] = 0.0
        values = (
            _hidden(capture, model),
            captured_channels(capture.weights)[made],
            known,
            np.clip(base, 0.0, 1.0),
            sounds.offsets,
            decides[made].astype(np.float32)[:, None],
        )
        for kept, array in zip(rows, values, strict=True):
            kept.append(np.pad(array, ((0, recipe.frames), (0, 0))))
    hidden, wanted, known_rows, base_rows, offsets, decisive = (
        torch.from_numpy(np.concatenate(kept)) for kept in rows
    )
    footage = Footage(hidden, wanted, known_rows, base_rows, offsets, decisive[:, 0])
    for name, trust in _TRUST.items():
        footage.known[:, CHANNEL[name]] *= trust
    seen = footage.known.amax(dim=1) > 0
    if not ((seen & (footage.held == 0)).any() and (seen & (footage.held == 1)).any()):
        raise VividKeysError(
            ErrorKind.BAD_REQUEST,
            "There is too little footage of a visible face that speaks.",
            "Capture at least ten seconds of speech in which the face is not covered.",
        )
    footage.known.mul_(footage.wanted[seen].std(dim=0) > _STILL)
    return footage


def _hidden(capture: Capture, model: MotionModel) -> Float32[np.ndarray, "T hidden"]:
    """The encoder's output for a clip."""
    features = log_mel(to_float(capture.samples))
    normal = normalise(features, references(features, model.profile))
    padded = np.pad(normal, ((0, len(normal) % 2), (0, 0)))[None]
    with torch.inference_mode():
        hidden = model.network.encode(torch.from_numpy(padded))[0, : len(capture.valid)]
    return np.asarray(hidden.numpy(), np.float32)


def footage_error(
    captures: Sequence[Capture],
    heard: Sequence[Heard],
    decoder: DecoderSettings,
    use: Sequence[Bool[np.ndarray, " _"]],
) -> FootageError:
    """The decoded output against the measured weights, on the frames of each clip to `use`."""
    columns = sorted({column for name in CHANNELS for column in arkit_columns(name)})
    shown, seen = [], []
    for capture, sounds, chosen in zip(captures, heard, use, strict=True):
        count = len(capture.valid)
        at = np.minimum(np.arange(count) + decoder.lead, count - 1)
        weights = decode(sounds, decoder)[at, : capture.weights.shape[1]]
        shown.append(weights[chosen & capture.valid])
        seen.append(capture.weights[chosen & capture.valid])
    one, other = np.concatenate(shown), np.concatenate(seen)
    gap, true_gap = aperture(one.T), aperture(other.T)
    moving = len(gap) > 2 and gap.std() > 1e-6 and true_gap.std() > 1e-6
    return FootageError(
        float(np.abs(one - other)[:, columns].mean()),
        float(np.abs(gap - true_gap).mean()),
        float(np.corrcoef(gap, true_gap)[0, 1]) if moving else 0.0,
    )


def _loss(
    curves: Float32[Tensor, "B L C"],
    footage: Footage,
    rows: Int64[Tensor, "B L"],
    use: Float32[Tensor, "B L"],
    recipe: FinetuneRecipe,
) -> Float32[Tensor, ""]:
    """Errors of position, velocity and lip opening on the frames `rows`, weighted by `use`."""
    wanted, known = footage.wanted[rows], footage.known[rows] * use[..., None]
    error = curves - wanted
    position = ((error / 0.1) ** 2 * known).sum() / known.sum().clamp(min=1.0)
    both = torch.minimum(known[:, 1:], known[:, :-1])
    change = ((error[:, 1:] - error[:, :-1]) / 0.02) ** 2
    velocity = (change * both).sum() / both.sum().clamp(min=1.0)
    apart = known[..., CHANNEL["jawOpen"]]
    opening = (opening_error(error, wanted) * apart).sum() / apart.sum().clamp(min=1.0)
    return position + recipe.velocity * velocity + recipe.opening * opening


class FinetuneRun(Run):
    """Adapts the branches of lips and face and the style layer, with early stopping.

    `chosen` are the weights of the step that was `best` on the held-out frames.
    """

    weights = "motion.safetensors"

    def __init__(
        self, model: MotionModel, initial: Path, footage: Footage, recipe: FinetuneRecipe
    ) -> None:
        """Freeze the encoder; `initial` is the file that the model was read from."""
        # There is one more evaluation after the last step.
        schedule = Schedule(
            steps=recipe.steps + 1,
            seed=recipe.seed,
            threads=recipe.threads,
            learning_rate=recipe.learning_rate,
            final_share=1.0,
            decay=0.01,
        )
        begin(schedule)
        network = model.network
        network.eval().requires_grad_(False)
        for part in (network.lips, network.face, network.style):
            part.requires_grad_(True)
        super().__init__(schedule, {"network": network}, {"network": ("network",)})
        self.recipe = recipe
        self.model = model
        self.initial = initial
        self.network = network
        self.footage = footage
        self.chosen = copy.deepcopy(network.state_dict())
        self.best = 0
        self._least = float("inf")
        self._waited = 0
        self._style = torch.from_numpy(style_vector())[None]

    def progress(self) -> float:
        return 1.0 if self._waited > self.recipe.patience else super().progress()

    def seed_step(self) -> None:
        """These runs are never resumed, so one seed is enough for all steps."""

    def take_step(self) -> dict[str, float]:
        if self.step % self.recipe.look_every == 0:
            self._look()
        recipe, footage = self.recipe, self.footage
        last = len(footage.hidden) - recipe.frames
        first = torch.randint(0, last + 1, (recipe.size, 1))
        rows = first + torch.arange(recipe.frames)
        hidden = functional.dropout(footage.hidden[rows], recipe.dropout)
        curves, offsets = self.network.move(hidden, self._style)
        loss = _loss(curves, footage, rows, 1.0 - footage.held[rows], recipe)
        away = (((curves - footage.base[rows]) / 0.1) ** 2).mean()
        away = away + ((offsets - footage.offsets[rows]) ** 2).mean()
        self.apply("network", loss + recipe.pull * away)
        return {"loss": float(loss.detach()), "away": float(away.detach())}

    def take_best(self) -> None:
        """Restore the best weights."""
        self.network.load_state_dict(self.chosen)

    def export(self, path: Path) -> None:
        write_weights(self.model, self.initial, path)

    @torch.no_grad()
    def _look(self) -> None:
        """Evaluate the present weights on the held-out frames."""
        everything = torch.arange(len(self.footage.hidden))[None]
        held = self.footage.held[everything]
        curves, _ = self.network.move(self.footage.hidden[everything], self._style)
        found = float(_loss(curves, self.footage, everything, held, self.recipe))
        if found < self._least:
            self.chosen = copy.deepcopy(self.network.state_dict())
            self._least, self.best, self._waited = found, self.step, 0
        else:
            self._waited += 1


def adapt(
    folder: Path,
    output: Path,
    initial: Path | None = None,
    recipe: FinetuneRecipe | None = None,
    watch: Watch = UNWATCHED,
) -> Path:
    """Fine-tune on the footage in `folder`, print the improvement, and write the weights.

    Clips that cannot be read are printed and left out. Returns the path of the weights.
    """
    recipe = recipe or FinetuneRecipe()
    torch.set_num_threads(recipe.threads)
    captures = load_captures(folder, lambda error: print(f"passed over: {error.sentence}"))
    base, model = MotionModel.load(initial), MotionModel.load(initial)
    heard = listen(captures, base)
    held = held_out(captures, heard, recipe.held_out)
    footage = collect(captures, heard, held, base, recipe)
    seconds = sum(float(capture.valid.sum()) for capture in captures) / RATE
    print(f"{len(captures)} clips, {seconds:.0f} s in which the face is visible")
    run = FinetuneRun(model, initial or SHIPPED, footage, recipe)
    learn(run, watch)
    run.take_best()
    now = listen(captures, model)
    plain = replace(base.decoder, gains=PLAIN_GAINS)
    choices = [replace(plain, expected=share) for share in recipe.shares]
    errors = [footage_error(captures, now, choice, held) for choice in choices]
    least = int(np.argmin([error.weights for error in errors]))
    model.decoder = choices[least]
    path = output / run.weights
    run.export(path)
    print(f"{run.best} steps; share of the expected pose {model.decoder.expected:g}")
    print(f"held out, before: {footage_error(captures, heard, base.decoder, held)}")
    print(f"held out, after:  {errors[least]}")
    print(f"wrote {path}; use it with: python -m backend animate --weights {path}")
    return path


def write_weights(model: MotionModel, initial: Path, path: Path) -> None:
    """Write the fine-tuned model and, in a file beside it, its decoder's settings.

    Everything else is copied from the file `initial`.
    """
    try:
        tensors, about = read_tensors(initial)
    except (OSError, SafetensorError) as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE, f"The weights {initial} can no longer be read.", "Try again."
        ) from error
    for name, value in model.network.state_dict().items():
        tensors[name] = value.to(tensors[name].dtype)
    about["version"] = f"{model.version.split('+')[0]}+finetuned"
    about["decoder"] = decoder_beside(path).name
    write_tensors(tensors, about, path)
    save_decoder(model.decoder, decoder_beside(path))
