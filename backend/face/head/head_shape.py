# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped rest shape of skull, neck and ears around the mean face."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from safetensors.numpy import load_file

from shared.errors import ErrorKind, VividKeysError

SHELL_PATH = Path(__file__).parents[2] / "models" / "head_shell.safetensors"


@lru_cache(maxsize=1)
def load_shell() -> Float64[np.ndarray, "N 3"]:
    """Read the shell's own vertices on the template, metres."""
    try:
        return np.asarray(load_file(SHELL_PATH)["vertices"], np.float64)
    except Exception as problem:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"The head shape {SHELL_PATH.name} is missing or damaged.",
            "Install VividKeys again.",
        ) from problem
