# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped head-pose codebook: from loudness and a seed to a pose on the 20 Hz grid.

Everything that listens runs for the whole clip at once; the walk from window to window is a few
small matrix products, in double precision, so that no rounding can make a clip of another length
choose another code.
"""

from __future__ import annotations

import copy
import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from scipy import ndimage, signal
from torch import Tensor

from backend.audio_to_mesh.head_codebook import (
    HEARD_AFTER,
    HEARD_BEFORE,
    HOP,
    UNITS,
    WINDOW,
    HeadPoseMapping,
    HeadPoseShape,
    HeadPoseVae,
)
from backend.audio_to_mesh.head_rhythm import GRID, beats_on_grid, generators, on_grid
from backend.audio_to_mesh.loudness import speaking, voice_level
from shared.errors import ErrorKind, VividKeysError

SHIPPED = Path(__file__).resolve().parents[1] / "models" / "head_pose.safetensors"

Array = NDArray[np.float64]

# A step of the grid at 10 degrees per second, in units of 3 degrees.
_USUAL_STEP = 10.0 / GRID / UNITS[0]


@dataclass(frozen=True)
class HeadPoseSettings:
    """How the codes are drawn and joined; kept in the weight file."""

    gain: float = 1.0
    """On all motion: gives back what averaging two windows takes."""
    expansion: float = 0.0
    """Lively windows are made livelier and calm ones calmer: the power of a window's own speed
    that it is scaled by. Gives back the bursts that averaging takes."""
    rest_seconds: float = 6.0
    """Time in which a pose falls back to rest to a third, were nothing else to move it."""


def heard(level: NDArray[np.float32], windows: int) -> Array:
    """What the mapping network hears [windows, HEARD] of `loudness` [N] at 100 Hz."""
    cells = windows * HOP + HEARD_AFTER
    voice = voice_level(level)
    loud = on_grid(level.astype(np.float64) / (voice or 1.0), cells)
    loud = np.minimum(ndimage.gaussian_filter1d(loud, 1.0), 2.0)
    active = ndimage.gaussian_filter1d(on_grid(speaking(level).astype(np.float64), cells), 1.0)
    tracks = np.pad(
        np.stack([loud, active, beats_on_grid(level, cells)]), ((0, 0), (HEARD_BEFORE, 0))
    )
    length = HEARD_BEFORE + HEARD_AFTER
    views = np.lib.stride_tricks.sliding_window_view(tracks, length, axis=1)[:, ::HOP][:, :windows]
    return np.concatenate([views[0][:, ::2], views[1][:, ::2], views[2]], axis=1)


def joined(velocity: Array, rest_seconds: float) -> Array:
    """Steps of overlapping windows [n, WINDOW, 6] to a pose [(n + 1) * HOP, 6] that starts at 0.

    The two windows that know a step share it by a raised cosine, so nothing jumps where one takes
    over; the sum of the steps leaks slowly towards rest.
    """
    fade = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)[:, None] ** 2
    steps = np.zeros((len(velocity) + 1, HOP, 6))
    steps[:-1] += (velocity * fade)[:, :HOP]
    steps[1:] += (velocity * fade)[:, HOP:]
    keep = np.exp(-1.0 / (rest_seconds * GRID))
    # The first row is the pose before the first step.
    moved = signal.lfilter([1.0], [1.0, -keep], steps.reshape(-1, 6), axis=0)[:-1]
    return np.concatenate([np.zeros((1, 6)), moved])


class HeadPoseModel:
    """Tables and matrices in memory. `HeadPoseModel.load()` reads the shipped ones."""

    def __init__(
        self, vae: HeadPoseVae, mapping: HeadPoseMapping, settings: HeadPoseSettings
    ) -> None:
        self.settings = settings
        self.vae = copy.deepcopy(vae).float().eval()
        self.mapping = copy.deepcopy(mapping).double().eval()
        with torch.inference_mode():
            motion = self.vae.every_motion().double().numpy()
        start = np.zeros((len(motion), 1, 6))
        steps = np.diff(np.concatenate([start, motion], axis=1), axis=1)
        speed = np.sqrt(np.mean(np.sum(steps[:, :, :3] ** 2, axis=2), axis=1)) / _USUAL_STEP
        scale = settings.gain * np.clip(speed, 0.1, 6.0) ** settings.expansion
        self._steps: Array = steps * scale[:, None, None]
        fade = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)[None, :, None] ** 2
        self._first_half: Array = (self._steps * fade)[:, :HOP].sum(axis=1)
        self._second_half: Array = (self._steps * fade)[:, HOP:].sum(axis=1)

    @classmethod
    def load(cls, path: Path | None = None) -> HeadPoseModel:
        """Read weights. Raises VividKeysError(bad_file) when they are missing or damaged."""
        path = SHIPPED if path is None else path
        try:
            with safe_open(path, "pt") as stream:
                about = stream.metadata() or {}
                tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
            if not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
                raise ValueError("a weight is not a number")
            shape = HeadPoseShape(**json.loads(about["shape"]))
            vae, mapping = HeadPoseVae(shape), HeadPoseMapping(shape)
            vae.load_state_dict(_part(tensors, "vae."))
            mapping.load_state_dict(_part(tensors, "mapping."))
            return cls(vae, mapping, HeadPoseSettings(**json.loads(about["settings"])))
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise VividKeysError(
                ErrorKind.BAD_FILE,
                f"The head-pose weights '{path.name}' are missing or damaged.",
                "Install VividKeys again, or check out the file backend/models/"
                "head_pose.safetensors again.",
            ) from error

    def choose(
        self, level: NDArray[np.float32], windows: int, seed: int, initial: Array
    ) -> NDArray[np.int64]:
        """Numbers [windows] of code pairs, drawn window by window from what is heard.

        `initial` [6] is the pose of the first frame in degrees and metres. A longer clip of the
        same sound begins with the same codes.
        """
        net = self.mapping
        with torch.inference_mode():
            sound = net.sound(net.listen(torch.from_numpy(heard(level, windows)))).numpy()
        rows = [table.detach().numpy() for table in net.before]
        codes = len(rows[0]) - 1
        pair = np.arange(codes * codes)
        # What a pair adds as the last window and as the one before it; the last row: none.
        last = np.vstack(
            [rows[0][pair // codes] + rows[1][pair % codes], rows[0][-1] + rows[1][-1]]
        )
        older = np.vstack(
            [rows[2][pair // codes] + rows[3][pair % codes], rows[2][-1] + rows[3][-1]]
        )
        to_pose = net.pose.weight.detach().numpy()
        hidden, hidden_bias = _matrix(net.hidden)
        first, first_bias = _matrix(net.first)
        second, second_bias = _matrix(net.second)
        given = net.given.detach().numpy()
        (random,) = generators(seed, 0xC0DE, 1)
        drawn = random.random((windows, 2)).tolist()
        keep = float(np.exp(-HOP / (self.settings.rest_seconds * GRID)))
        first_half, second_half = self._first_half, self._second_half
        tanh = np.tanh
        pose = initial / np.array(UNITS)
        rest_of_last = np.zeros(6)
        before, before_that = codes * codes, codes * codes
        chosen = np.empty(windows, np.int64)
        # Plain method calls on small arrays: this loop is all that a long clip waits for.
        for window, (one, other) in enumerate(drawn):
            inner = tanh(sound[window] + last[before] + older[before_that] + to_pose.dot(pose))
            inner += tanh(hidden.dot(inner) + hidden_bias)
            a = _draw(first.dot(inner) + first_bias, one)
            inner += given[a]
            b = _draw(second.dot(tanh(inner)) + second_bias, other)
            before, before_that = a * codes + b, before
            chosen[window] = before
            pose = keep * pose + first_half[before] + rest_of_last
            rest_of_last = second_half[before]
        return chosen

    def motion(
        self, level: NDArray[np.float32], cells: int, seed: int, initial: Array | None = None
    ) -> Array:
        """Pose [cells, 6] at `GRID` Hz relative to its first frame: degrees and metres of sway.

        `level` [N] is `loudness` at 100 Hz; `initial` [6] the pose it goes on from (rest). The
        pull towards rest counts from the true rest.
        """
        start = np.zeros(6) if initial is None else np.asarray(initial, np.float64)
        windows = -(-cells // HOP)
        chosen = self.choose(level, windows, seed, start)
        keep = np.exp(-1.0 / (self.settings.rest_seconds * GRID))
        moved = joined(self._steps[chosen], self.settings.rest_seconds)[:cells] * np.array(UNITS)
        return moved + start * (keep ** np.arange(cells)[:, None] - 1.0)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v.float() for k, v in tensors.items() if k.startswith(prefix)}


def _matrix(layer: torch.nn.Linear) -> tuple[Array, Array]:
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


def _draw(odds: Array, uniform: float) -> int:
    """The code at which the running sum of the probabilities reaches `uniform` in 0..1."""
    # Odds of these networks stay far below where exp overflows: their inputs are tanh.
    total = np.exp(odds).cumsum()
    return int(total.searchsorted(uniform * total[-1]))


@functools.cache
def shipped_model() -> HeadPoseModel:
    """The shipped codebook, read once."""
    return HeadPoseModel.load()
