# SPDX-License-Identifier: GPL-3.0-or-later
"""The prepared training set as the loader reads it: memory-mapped features and the phones.

A set is a folder with one folder per corpus, each with `features.raw` (float16, frames end to end)
and `clips.json` (rows `[corpus, first frame, frames, [[start, end, label], ...]]`). A folder that
holds the two files itself is read as well; both kinds may lie in one folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.audio.log_mel import BANDS
from backend.training.corpus.utterance import Phone
from shared.errors import ErrorKind, VividKeysError

FEATURES = "features.raw"
CLIPS = "clips.json"


@dataclass(frozen=True, eq=False)
class Prepared:
    """All clips of a prepared set: clip k belongs to `corpus[k]` and has `length[k]` frames."""

    corpus: NDArray[np.str_]
    length: NDArray[np.int64]
    _start: NDArray[np.int64]
    _source: NDArray[np.int64]
    _sources: tuple[NDArray[np.float16], ...]
    _phones: tuple[Sequence[Sequence[object]], ...]

    def __len__(self) -> int:
        return len(self.corpus)

    def features(self, clip: int, first: int = 0, stop: int | None = None) -> NDArray[np.float16]:
        """Frames `first` to `stop` of a clip, [T, 160] at 100 frames per second; a view of a
        memory-mapped file. The bounds are cut to the clip."""
        length = int(self.length[clip])
        stop = length if stop is None else max(0, min(stop, length))
        first = max(0, min(first, stop))
        start = int(self._start[clip])
        return self._sources[int(self._source[clip])][start + first : start + stop]

    def phones(self, clip: int) -> tuple[Phone, ...]:
        """The phones of a clip in time order, without gaps; seconds from its first frame."""
        rows = self._phones[clip]
        return tuple(Phone(float(str(a)), float(str(b)), str(c)) for a, b, c in rows)

    def clips_of(self) -> dict[str, NDArray[np.int64]]:
        """Clip numbers of each corpus, corpora in alphabetical order."""
        return {str(name): np.flatnonzero(self.corpus == name) for name in np.unique(self.corpus)}


def complete_parts(target: Path) -> list[Path]:
    """The folders below `target` (itself among them) whose preparation was finished."""
    below = sorted(p for p in target.iterdir() if p.is_dir()) if target.is_dir() else []
    return [p for p in (target, *below) if (p / CLIPS).is_file() and (p / FEATURES).is_file()]


def load_prepared(target: Path) -> Prepared:
    """Open a prepared set.

    A corpus that has a folder of its own is taken from there, even if the files in `target` itself
    hold it too. Raises VividKeysError when nothing is finished or a file is shorter than its index.
    """
    parts = complete_parts(target)
    if not parts:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"There is no prepared training set in {target}.",
            "Run `python -m backend.training.prepare` on the folder of corpora first.",
        )
    own = {part.name for part in parts if part != target}
    corpus: list[str] = []
    start: list[int] = []
    length: list[int] = []
    source: list[int] = []
    phones: list[Sequence[Sequence[object]]] = []
    sources: list[NDArray[np.float16]] = []
    for part in parts:
        frames = open_frames(part / FEATURES)
        for name, first, count, rows in json.loads((part / CLIPS).read_text()):
            if part == target and name in own:
                continue
            if first + count > len(frames):
                raise VividKeysError(
                    ErrorKind.BAD_FILE,
                    f"{part / FEATURES} is shorter than its index says.",
                    f"Delete {part} and prepare again.",
                )
            corpus.append(name)
            start.append(first)
            length.append(count)
            source.append(len(sources))
            phones.append(rows)
        sources.append(frames)
    return Prepared(
        np.array(corpus, np.str_),
        np.array(length, np.int64),
        np.array(start, np.int64),
        np.array(source, np.int64),
        tuple(sources),
        tuple(phones),
    )


def open_frames(path: Path) -> NDArray[np.float16]:
    """A file of features as [N, 160], memory-mapped."""
    if path.stat().st_size < 2 * BANDS:  # an empty file cannot be mapped
        return np.zeros((0, BANDS), np.float16)
    mapped = np.memmap(path, np.float16, "r")
    return mapped[: len(mapped) // BANDS * BANDS].reshape(-1, BANDS)
