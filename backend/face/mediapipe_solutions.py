# SPDX-License-Identifier: GPL-3.0-or-later
"""Single solutions of MediaPipe without all the others.

Importing any of its modules runs its packages' own files, which import every solution, the drawing
of their results (and with it matplotlib) and a second programming interface: most of the time
that a process needs for its first photo.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from typing import Any

from shared.errors import ErrorKind, VividKeysError

# Packages whose own files are passed over; their modules find each other without them.
_PACKAGES = ("mediapipe", "mediapipe.python", "mediapipe.python.solutions")


def load_solution(module: str, name: str) -> Any:
    """The class `name` of a module of `mediapipe.python.solutions`.

    Raises VividKeysError(missing_dependency).
    """
    try:
        for package in _PACKAGES:
            if package not in sys.modules:
                _found_but_not_run(package)
        return getattr(import_module(f"{_PACKAGES[-1]}.{module}"), name)
    except (ImportError, AttributeError) as problem:
        raise VividKeysError(
            ErrorKind.MISSING_DEPENDENCY,
            f"The face tracker is not installed ({problem}).",
            "Run: python install.py backend",
        ) from problem


def _found_but_not_run(package: str) -> None:
    """Make a package known, so that modules in it can be imported."""
    spec = find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"No module named '{package}'")
    made = module_from_spec(spec)
    sys.modules[package] = made
    parent, _, own = package.rpartition(".")
    if parent:
        setattr(sys.modules[parent], own, made)
