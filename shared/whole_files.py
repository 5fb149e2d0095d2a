# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that never exist half-written: one beside each takes its place once it is done.

Only the standard library, and readable to Python 3.9: the installer uses it before anything is
installed. It guards against failures of the program, not against a power cut.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def written_whole(path: Path, *, suffix: str = ".tmp", private: bool = False) -> Iterator[Path]:
    """An empty file of a name that nobody else has, beside `path`; filled, it becomes `path`.

    The folder is made. What is raised inside leaves an older file as it was and no temporary one.
    `suffix` is the temporary name's, for writers that go by it. A new file gets the permissions
    that files usually get, one that is replaced hands on its own, and a `private` one can be read
    by its owner alone from its first moment on. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}{suffix}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600 if private else 0o666))
    try:
        mode = stat.S_IMODE(temporary.stat().st_mode)
        if not private:
            with suppress(FileNotFoundError):
                mode = stat.S_IMODE(path.stat().st_mode)
        yield temporary
        # Some writers make a file of their own in its place.
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def write_whole(path: Path, content: bytes | str, *, private: bool = False) -> None:
    """Write bytes, or text as UTF-8, as `written_whole` does. Raises OSError."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with written_whole(path, private=private) as temporary:
        temporary.write_bytes(data)
