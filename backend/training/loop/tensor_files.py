# SPDX-License-Identifier: GPL-3.0-or-later
"""Named tensors in safetensors files, which are replaced atomically."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from shared.whole_files import written_whole


def write_tensors(tensors: Mapping[str, Tensor], about: dict[str, str], path: Path) -> None:
    """Write tensors and their metadata; `path` is replaced atomically."""
    kept = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with written_whole(path) as temporary:
        save_file(kept, temporary, about)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a file and its metadata. Raises OSError or SafetensorError."""
    with safe_open(path, "pt") as stream:
        about = dict(stream.metadata() or {})
        names = stream.keys()  # the stream itself is not iterable
        return {name: stream.get_tensor(name) for name in names}, about


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, keyed by the rest of their names."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
