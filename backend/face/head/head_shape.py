# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped rest shape of skull, neck and ears around the mean face."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from shared.errors import ErrorKind, VividKeysError

Floats = NDArray[np.float64]

SHELL_PATH = Path(__file__).parents[2] / "models" / "head_shell.safetensors"


@lru_cache(maxsize=1)
def load_shell() -> Floats:
    """The shell's own vertices on the template [count,3], metres."""
    try:
        return load_file(SHELL_PATH)["vertices"].astype(np.float64)
    except Exception as problem:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"The head shape {SHELL_PATH.name} is missing or damaged.",
            "Install VividKeys again.",
        ) from problem
