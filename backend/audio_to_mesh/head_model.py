# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped head-pose codebook: from loudness and a seed to a pose on the 20 Hz grid.

The sound encoder runs on all known windows at once; the walk from window to window is a few small
matrix products, in double precision, so that rounding cannot make a clip that was cut in another
way choose another code.
"""

from __future__ import annotations

import copy
import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from safetensors import SafetensorError, safe_open
from torch import Tensor

from backend.audio_to_mesh.beats import GRID
from backend.audio_to_mesh.head_codebook import (
    HOP,
    UNITS,
    WINDOW,
    HeadPoseMapping,
    HeadPoseShape,
    HeadPoseVae,
)
from backend.audio_to_mesh.head_listening import heard
from backend.audio_to_mesh.head_rhythm import generators
from shared.errors import ErrorKind, VividKeysError

SHIPPED = Path(__file__).resolve().parents[1] / "models" / "head_pose.safetensors"


_FADE = np.sin(np.pi * (np.arange(WINDOW) + 0.5) / WINDOW)[:, None] ** 2
_ROWS = 12

# A step of the grid at 10 degrees per second, in units of 3 degrees.
_USUAL_STEP = 10.0 / GRID / UNITS[0]


@dataclass(frozen=True)
class HeadPoseSettings:
    """How the codes are drawn and joined; kept in the weight file."""

    gain: float = 1.0
    """Factor on all motion; restores what averaging two windows takes away."""
    expansion: float = 0.0
    """Exponent of the speed of a window by which its motion is scaled: lively windows become
    livelier and calm ones calmer. Restores the bursts that averaging takes away."""
    rest_seconds: float = 6.0
    """Time constant of a pose's decay towards rest."""


class HeadPoseModel:
    """The weights as tables and matrices. `HeadPoseModel.load()` reads the shipped ones."""

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
        steps *= scale[:, None, None] * _FADE
        # Every window's share of the motion in the hop where it begins and in the one after.
        self.begins: Float64[np.ndarray, "N T 6"] = np.ascontiguousarray(steps[:, :HOP])
        self.ends: Float64[np.ndarray, "N T 6"] = np.ascontiguousarray(steps[:, HOP:])
        self.begin_sums: Float64[np.ndarray, "N 6"] = self.begins.sum(axis=1)
        self.end_sums: Float64[np.ndarray, "M 6"] = np.vstack(
            [self.ends.sum(axis=1), np.zeros((1, 6))]
        )
        self.tables = _Tables(self.mapping)

    @classmethod
    def load(cls, path: Path | None = None) -> HeadPoseModel:
        """Read weights. Raises VividKeysError(bad_file) when they are missing or damaged."""
        path = SHIPPED if path is None else path
        try:
            with safe_open(path, "pt") as stream:
                about, names = stream.metadata() or {}, stream.keys()
                tensors = {name: stream.get_tensor(name) for name in names}
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
        self,
        level: Float32[np.ndarray, " T"],
        windows: int,
        seed: int,
        initial: Float64[np.ndarray, " 6"],
        liveliness: float = 0.0,
    ) -> Int64[np.ndarray, " windows"]:
        """Indices of code pairs, drawn window by window from what is heard.

        `initial` is the pose of the first frame in degrees and metres. A longer clip of the
        same sound begins with the same codes, up to the last second.
        """
        walk = HeadPoseWalk(self, seed, initial, liveliness)
        return walk.choose(heard(level, windows))

    def motion(
        self,
        level: Float32[np.ndarray, " T"],
        cells: int,
        seed: int,
        initial: Float64[np.ndarray, " 6"] | None = None,
        liveliness: float = 0.0,
    ) -> Float64[np.ndarray, "cells 6"]:
        """Pose at `GRID` Hz relative to its first frame: degrees and metres of sway.

        `level` is `loudness` at 100 Hz, `initial` the pose that the motion continues from (by
        default rest). The pull towards rest is towards absolute rest, not towards `initial`.
        """
        start = np.zeros(6) if initial is None else np.asarray(initial, np.float64)
        walk = HeadPoseWalk(self, seed, start, liveliness)
        moved = walk.push(heard(level, -(-cells // HOP)))
        return np.concatenate([np.zeros((1, 6)), moved])[:cells]


class _Tables:
    """The mapping network as plain matrices and tables."""

    def __init__(self, net: HeadPoseMapping) -> None:
        rows = [table.detach().numpy() for table in net.before]
        self.codes = len(rows[0]) - 1
        pair = np.arange(self.codes**2)
        one, other = pair // self.codes, pair % self.codes
        # What a pair adds as the last window and as the one before it; the last row means 'none'.
        self.last = np.vstack([rows[0][one] + rows[1][other], rows[0][-1] + rows[1][-1]])
        self.older = np.vstack([rows[2][one] + rows[3][other], rows[2][-1] + rows[3][-1]])
        self.pose: Float64[np.ndarray, "D 6"] = net.pose.weight.detach().numpy()
        self.style: Float64[np.ndarray, " D"] = net.style.weight.detach().numpy()[:, 0]
        self.hidden, self.hidden_bias = _matrix(net.hidden)
        self.first, self.first_bias = _matrix(net.first)
        self.second, self.second_bias = _matrix(net.second)
        self.given: Float64[np.ndarray, "codes D"] = net.given.detach().numpy()


class HeadPoseWalk:
    """One performance: windows drawn one after the other as they are heard, and joined."""

    def __init__(
        self,
        model: HeadPoseModel,
        seed: int,
        initial: Float64[np.ndarray, " 6"],
        liveliness: float = 0.0,
    ) -> None:
        self._model = model
        (self._random,) = generators(seed, 0xC0DE, 1)
        self._keep = float(np.exp(-1.0 / (model.settings.rest_seconds * GRID)))
        self._style = model.tables.style * liveliness
        self._pose: Float64[np.ndarray, " 6"] = initial / np.array(UNITS)
        none = model.tables.codes**2
        self._before, self._before_that = none, none
        self._last_ends: Float64[np.ndarray, "1 T 6"] = np.zeros((1, HOP, 6))
        # The pull towards rest acts on the whole pose, including the initial one.
        self._position: Float64[np.ndarray, " 6"] = self._pose.copy()
        self._start: Float64[np.ndarray, " 6"] = np.array(initial, np.float64)

    def choose(self, rows: Float64[np.ndarray, "N heard"]) -> Int64[np.ndarray, " N"]:
        """Indices of the code pairs of the next windows, whose sound is `rows`."""
        net, tables = self._model.mapping, self._model.tables
        sound = np.empty((len(rows), len(tables.hidden)))
        with torch.inference_mode():
            # Always as many rows at a time: the rounding of a product depends on their number.
            for start in range(0, len(rows), _ROWS):
                some = np.zeros((_ROWS, rows.shape[1]))
                count = len(some[: len(rows) - start])
                some[:count] = rows[start : start + count]
                found = net.sound(net.listen(torch.from_numpy(some))).numpy()
                sound[start : start + count] = found[:count]
        sound += self._style
        drawn = self._random.random((len(rows), 2)).tolist()
        keep = self._keep**HOP
        begins, ends = self._model.begin_sums, self._model.end_sums
        last, older, given, to_pose = tables.last, tables.older, tables.given, tables.pose
        hidden, hidden_bias = tables.hidden, tables.hidden_bias
        first, first_bias = tables.first, tables.first_bias
        second, second_bias = tables.second, tables.second_bias
        codes, tanh = tables.codes, np.tanh
        pose, before, before_that = self._pose, self._before, self._before_that
        rest_of_last = ends[before]
        chosen = np.empty(len(rows), np.int64)
        # Plain method calls on small arrays: this loop takes most of the time of a long clip.
        for window, (one, other) in enumerate(drawn):
            inner = tanh(sound[window] + last[before] + older[before_that] + to_pose.dot(pose))
            inner += tanh(hidden.dot(inner) + hidden_bias)
            a = _draw(first.dot(inner) + first_bias, one)
            inner += given[a]
            b = _draw(second.dot(tanh(inner)) + second_bias, other)
            before, before_that = a * codes + b, before
            chosen[window] = before
            pose = keep * pose + begins[before] + rest_of_last
            rest_of_last = ends[before]
        self._pose, self._before, self._before_that = pose, before, before_that
        return chosen

    def push(self, rows: Float64[np.ndarray, "N heard"]) -> Float64[np.ndarray, "T 6"]:
        """The next poses relative to the first frame's, in degrees and metres; `HOP` per row.

        The two windows that cover a step are cross-faded by a raised cosine, so nothing jumps
        between them; the sum of the steps leaks slowly towards rest.
        """
        if not len(rows):
            return np.zeros((0, 6))
        chosen = self.choose(rows)
        ends = self._model.ends[chosen]
        steps = self._model.begins[chosen] + np.concatenate([self._last_ends, ends[:-1]])
        self._last_ends = ends[-1:]
        moved = steps.reshape(-1, 6)
        position = self._position
        for step in moved:
            # In place: each step becomes the position that it leads to.
            step += self._keep * position
            position = step
        self._position = position.copy()
        result: Float64[np.ndarray, "T 6"] = moved * np.array(UNITS) - self._start
        return result


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v.float() for k, v in tensors.items() if k.startswith(prefix)}


def _matrix(
    layer: torch.nn.Linear,
) -> tuple[Float64[np.ndarray, "M N"], Float64[np.ndarray, " M"]]:
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


def _draw(logits: Float64[np.ndarray, " codes"], uniform: float) -> int:
    """The code at which the cumulative probability reaches `uniform` in 0..1."""
    # These logits stay far below where exp overflows, because the layer's inputs are tanh.
    total = np.exp(logits).cumsum()
    return int(total.searchsorted(uniform * total[-1]))


@functools.cache
def shipped_model() -> HeadPoseModel:
    """The shipped codebook, read once."""
    return HeadPoseModel.load()
