# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are never left half-written: a temporary file replaces each once it is complete.

Standard library only, and runs on Python 3.9: the installer uses it before anything is installed.
It guards against failures of the program, not against a power cut.
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
    """Yield an empty temporary file beside `path` that replaces `path` when the block ends.

    Missing folders are created. If the block raises, an older file stays as it was and the
    temporary one is removed. `suffix` ends the temporary name, for writers that choose a format by
    it. A new file gets the usual permissions, a replaced one keeps its own, and a `private` one is
    readable only by its owner from the start. Raises OSError.
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
        # Some writers put a new file in its place.
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def write_whole(path: Path, content: bytes | str, *, private: bool = False) -> None:
    """Write bytes, or text as UTF-8, as `written_whole` does. Raises OSError."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    with written_whole(path, private=private) as temporary:
        temporary.write_bytes(data)
