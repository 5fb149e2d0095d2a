# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of jobs that the add-on sends, each a module of this folder."""

from __future__ import annotations

from ..contracts import errors
from . import animate, reconstruct, render, transfer
from .job import JobKind

KINDS: dict[str, JobKind] = {
    kind.name: kind for kind in (reconstruct.KIND, transfer.KIND, animate.KIND, render.KIND)
}


def kind_called(name: str) -> JobKind:
    """The kind of a job on the list of unfinished ones, which a later version may have written.

    Raises VividKeysError(bad_file) when there is none.
    """
    if name not in KINDS:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_FILE,
            f"This version of VividKeys sends no jobs of the kind '{name}'.",
            "Fetch the result with the version that sent the job, or forget it.",
        )
    return KINDS[name]
