# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of jobs that the add-on sends: each module of this folder has its `KIND`."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from ...contracts import errors
from ..job import JobKind

_MODULES = sorted(module.name for module in iter_modules(__path__))

KINDS: dict[str, JobKind[Any]] = {
    kind.name: kind for kind in (import_module(f"{__name__}.{name}").KIND for name in _MODULES)
}


def kind_called(name: str) -> JobKind[Any]:
    """The kind of a job on the list of unfinished ones, which a later version may have written.

    Raises VividKeysError(bad_file) when this version does not know the kind.
    """
    if name not in KINDS:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_FILE,
            f"This version of VividKeys sends no jobs of the kind '{name}'.",
            "Fetch the result with the version that sent the job, or forget it.",
        )
    return KINDS[name]
