# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a run, as one safetensors file.

    module.MODULE.NAME                      weights and buffers
    average.MODULE.NAME                     averaged weights
    optimiser.OPTIMISER.PART.MODULE.NAME    AdamW's state of a parameter
    fixed.NAME                              see `Run.fixed`

The metadata entry `state` is JSON: `step`, `elapsed`, and what `Run.about` returns.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

from backend.training.loop.tensor_files import below, read_tensors, write_tensors
from shared.errors import ErrorKind, VividKeysError

if TYPE_CHECKING:
    from backend.training.loop.run import Run

CHECKPOINT = "checkpoint.safetensors"
_PARTS = ("step", "exp_avg", "exp_avg_sq")


def save_checkpoint(run: Run, path: Path) -> None:
    """Write everything that is needed to resume."""
    tensors = {f"average.{name}": value for name, value in run.average.items()}
    tensors |= {f"fixed.{name}": value for name, value in run.fixed.items()}
    for name, module in run.modules.items():
        for key, value in module.state_dict().items():
            tensors[f"module.{name}.{key}"] = value
    for name, optimiser in run.optimisers.items():
        for key, parameter in run.parameters[name].items():
            for part, value in optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser.{name}.{part}.{key}"] = value
    state = {"step": run.step, "elapsed": run.elapsed, **run.about()}
    write_tensors(tensors, {"state": json.dumps(state)}, path)


def load_checkpoint(run: Run, path: Path) -> None:
    """Resume a run from a checkpoint.

    Raises VividKeysError(bad_file) when it is damaged or its networks have another shape.
    """
    try:
        _load(run, path)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"The checkpoint {path} is damaged, or belongs to a network of another shape.",
            "Move it away to start afresh, or choose another --out.",
        ) from error


def _load(run: Run, path: Path) -> None:
    tensors, about = read_tensors(path)
    state = json.loads(about["state"])
    step, elapsed = int(state["step"]), float(state["elapsed"])
    tensors = run.of_older_runs(tensors)
    device = run.worker.device
    average = {key: value.to(device) for key, value in below(tensors, "average.").items()}
    if average.keys() != run.average.keys():
        raise ValueError("averages of other networks")
    for name, module in run.modules.items():
        module.load_state_dict(below(tensors, f"module.{name}."))
    run.average = average
    run.fixed |= below(tensors, "fixed.")
    for name, optimiser in run.optimisers.items():
        for key, parameter in run.parameters[name].items():
            values = {part: tensors.get(f"optimiser.{name}.{part}.{key}") for part in _PARTS}
            if all(value is not None for value in values.values()):
                # AdamW counts its steps on the CPU.
                optimiser.state[parameter] = {
                    part: value if part == "step" else value.to(device)
                    for part, value in values.items()
                    if value is not None
                }
    run.step, run.elapsed = step, elapsed
