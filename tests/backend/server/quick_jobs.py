# SPDX-License-Identifier: GPL-3.0-or-later
"""Small jobs that do real work in the worker in a moment; the server's tests inject them."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from backend.server.job_kinds import JobContext, JobKind, Needs, Result
from shared.arrays import Arrays
from shared.errors import ErrorKind, VividKeysError


def _no_needs(params: Mapping[str, Any], arrays: Arrays) -> Needs:
    return Needs()


def _check_measure(params: Mapping[str, Any], arrays: Arrays) -> Needs:
    if not isinstance(params.get("file"), str):
        raise VividKeysError(ErrorKind.BAD_REQUEST, "The parameter 'file' is missing.", "Add it.")
    builds_on = params.get("builds_on")
    return Needs((params["file"],), (builds_on,) if builds_on else ())


def _measure(context: JobContext) -> Result:
    """The size and the sum of an uploaded file's bytes, and of another job's result."""
    data = np.frombuffer(context.upload(context.params["file"]).read_bytes(), np.uint8)
    total = int(data.sum(dtype=np.int64))
    if context.params.get("builds_on"):
        total += int(context.result(context.params["builds_on"])["sum"][0])
    return Result({"size": len(data)}, {"sum": np.array([total], np.float64)})


def _double(context: JobContext) -> Result:
    """Every array times two, in `chunks` pieces."""
    chunks = int(context.params.get("chunks", 0))
    for index in range(chunks):
        context.progress("doubling", index / chunks, f"Piece {index + 1} of {chunks}")
        context.chunk({"start_frame": index}, {"piece": np.full((2, 3), index, np.float32)})
    print("a library prints to standard output")  # must not disturb the pipe
    return Result({"doubled": len(context.arrays)}, {k: v * 2 for k, v in context.arrays.items()})


def _hold(context: JobContext) -> None:
    """Wait until the file `until` is there, or for ever; deaf to cancel when `deaf`."""
    until = context.params.get("until")
    while until is None or not Path(until).exists():
        if context.cancelled() and not context.params.get("deaf"):
            raise VividKeysError(ErrorKind.CANCELLED, "Cancelled.", "")
        context.progress("waiting", 0.5, "Waiting")
        time.sleep(0.01)


def _wait(context: JobContext) -> Result:
    """Wait as `_hold` does."""
    _hold(context)
    return Result({"name": context.params.get("name", "")}, {"done": np.ones(1, np.float32)})


def _break(context: JobContext) -> Result:
    how = context.params["how"]
    if how == "die":
        os._exit(3)
    if how == "lines":
        raise RuntimeError("one line\nanother\udcff")
    if how == "disk":
        raise OSError(28, "No space left on device")
    if how == "memory":
        raise MemoryError
    if how == "nan":
        return Result({}, {"curve": np.array([np.nan], np.float32)})
    if how == "refuse":
        raise VividKeysError(ErrorKind.BAD_AUDIO, "That is no sound.", "Choose another.")
    return Result({}, {"large": np.zeros(int(how), np.uint8)})


def _film(context: JobContext) -> Result:
    """A file of `size` bytes, the same for every `seed`; waits half-way if `holds`."""
    path = context.new_file("film.mp4")
    data = np.random.default_rng(context.params.get("seed", 0)).bytes(context.params["size"])
    with path.open("wb") as stream:
        stream.write(data[: len(data) // 2])
        stream.flush()
        if context.params.get("holds"):
            _hold(context)
        if context.params.get("disk"):
            raise OSError(28, "No space left on device")
        stream.write(data[len(data) // 2 :])
    return Result({"frames": 3}, file=path)


# What "double" offers to choose from; tests change it while the server runs.
OFFERED: list[dict[str, Any]] = []


def _cannot_tell() -> list[dict[str, Any]]:
    raise OSError("the folder is gone")


JOB_KINDS = (
    JobKind("measure", _check_measure, _measure, describe=_cannot_tell),
    JobKind("double", _no_needs, _double, describe=lambda: list(OFFERED)),
    JobKind("wait", _no_needs, _wait),
    JobKind("break", _no_needs, _break),
    JobKind("film", _no_needs, _film),
)
