# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets one set-up at a time work on one thing; the system drops the lock if the process dies."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from .paths import CACHE
from .progress import say


def _try_lock(handle: IO[bytes]) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            handle.seek(0)
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """Waits, saying so, while another set-up works on the thing of this name."""
    folder = CACHE / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("a+b") as handle:
        told = False
        while not _try_lock(handle):
            if not told:
                say(f"Another set-up works on the {name.replace('-', ' ')}; waiting for it.")
                told = True
            time.sleep(0.5)
        yield
