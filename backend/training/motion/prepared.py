# SPDX-License-Identifier: GPL-3.0-or-later
"""The prepared training set as the loader reads it: memory-mapped features and the phones.

A set is a folder with one folder per corpus, each with `features.raw` (float16, frames end to end)
and `clips.json` (rows `[corpus, first frame, frames, [[start, end, label], ...]]`). A folder that
holds the two files itself is read as well; a set may have both.

Damaged data is printed once and skipped, so that one bad file does not end a long run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float16, Float32, Int64, Shaped
from numpy.typing import NDArray

from backend.audio.log_mel import BANDS
from backend.training.corpus.utterance import Phone
from shared.errors import ErrorKind, VividKeysError

FEATURES = "features.raw"
CLIPS = "clips.json"
# What a corpus was prepared with; written once it is complete.
STAMP = "recipe.json"
# Corpora with this suffix are never trained on, even if they were prepared.
HELD_OUT = "-held-out"
# Phone times are rounded; overlaps up to this many seconds are tolerated.
_ROUNDING = 2e-3


@dataclass(frozen=True, eq=False)
class Prepared:
    """All clips of a prepared set: clip k belongs to `corpus[k]` and has `length[k]` frames."""

    corpus: Shaped[np.ndarray, " N"]
    length: Int64[np.ndarray, " N"]
    _start: Int64[np.ndarray, " N"]
    _source: Int64[np.ndarray, " N"]
    _sources: tuple[Float16[np.ndarray, "_ 160"], ...]
    _phones: tuple[Sequence[Sequence[object]], ...]
    _copy: Int64[np.ndarray, " N"]
    _bad: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.corpus)

    def features(
        self, clip: int, first: int = 0, stop: int | None = None
    ) -> Float16[np.ndarray, "T 160"]:
        """Frames `first` to `stop` of a clip, at 100 frames per second.

        The result is a view of a memory-mapped file; the bounds are clipped to the clip.
        """
        length = int(self.length[clip])
        stop = length if stop is None else max(0, min(stop, length))
        first = max(0, min(first, stop))
        start = int(self._start[clip])
        return self._sources[int(self._source[clip])][start + first : start + stop]

    def phones(self, clip: int) -> tuple[Phone, ...]:
        """The phones of a clip in time order, without gaps; seconds from its first frame."""
        rows = self._phones[clip]
        return tuple(Phone(float(str(a)), float(str(b)), str(c)) for a, b, c in rows)

    def read(
        self, clip: int, labels: frozenset[str] | None = None
    ) -> tuple[Float32[np.ndarray, "T 160"], tuple[Phone, ...]] | None:
        """Features and phones of a whole clip, or None where they are unusable.

        The reason is printed the first time. `labels` are the valid phone labels.
        """
        if clip in self._bad:
            return None
        features = np.asarray(self.features(clip), np.float32)
        try:
            phones = self.phones(clip)
            reason = _complaint(features, phones, labels)
        except (TypeError, ValueError):
            phones, reason = (), "its phones cannot be read"
        if reason:
            self._bad.add(clip)
            print(f"passed over: clip {clip} of {self.corpus[clip]}: {reason}", flush=True)
            return None
        return features, phones

    @property
    def copy(self) -> Int64[np.ndarray, " N"]:
        """Which copy of its utterance each clip is; 0 is the clean one, the others degraded."""
        return self._copy

    def clips_of(self) -> dict[str, Int64[np.ndarray, " _"]]:
        """Clip numbers of each corpus, corpora in alphabetical order."""
        return {str(name): np.flatnonzero(self.corpus == name) for name in np.unique(self.corpus)}

    def subset(self, clips: Int64[np.ndarray, " N"]) -> Prepared:
        """Only these clips, with new numbers."""
        return Prepared(
            self.corpus[clips],
            self.length[clips],
            self._start[clips],
            self._source[clips],
            self._sources,
            tuple(self._phones[int(clip)] for clip in clips),
            self._copy[clips],
        )


def _complaint(
    features: Float32[np.ndarray, "T 160"], phones: tuple[Phone, ...], labels: frozenset[str] | None
) -> str:
    """Why a clip is unusable; empty where it is fine."""
    if len(features) < 2 or not phones:
        return "it is empty"
    if not np.isfinite(features).all():
        return "its features are not finite"
    before = 0.0
    for phone in phones:
        if not (math.isfinite(phone.start) and math.isfinite(phone.end)):
            return "its phone times are not finite"
        if phone.start < before - _ROUNDING or phone.end < phone.start:
            return "its phones are out of order"
        if labels is not None and phone.label not in labels:
            return f"its phone '{phone.label[:20]}' is unknown"
        before = phone.end
    return ""


def complete_parts(target: Path) -> list[Path]:
    """The folders below `target`, and `target` itself, whose preparation is complete."""
    below = sorted(p for p in target.iterdir() if p.is_dir()) if target.is_dir() else []
    return [p for p in (target, *below) if (p / CLIPS).is_file() and (p / FEATURES).is_file()]


def load_prepared(target: Path) -> Prepared:
    """Open a prepared set without what is held out.

    A corpus that has a folder of its own is read from there, even if the files in `target` itself
    hold it too. Clips beyond the end of their file are left out, and their number is printed.
    Raises VividKeysError when nothing is left.
    """
    parts = complete_parts(target)
    own = {part.name for part in parts if part != target}
    corpus: list[str] = []
    start: list[int] = []
    length: list[int] = []
    source: list[int] = []
    phones: list[Sequence[Sequence[object]]] = []
    sources: list[NDArray[np.float16]] = []
    copies: list[int] = []
    for part in parts:
        frames = open_frames(part / FEATURES)
        lost = 0
        rows = _rows(part / CLIPS)
        for row, copy in zip(rows, _copies(part, rows), strict=True):
            name, first, count, labels = row
            if (part == target and name in own) or name.endswith(HELD_OUT):
                continue
            if first < 0 or first + count > len(frames):
                lost += 1
                continue
            corpus.append(name)
            start.append(first)
            length.append(count)
            source.append(len(sources))
            phones.append(labels)
            copies.append(copy)
        if lost:
            print(f"passed over: {lost} clips, {part / FEATURES} is shorter than its index says")
        sources.append(frames)
    if not corpus:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"There is no prepared training set in {target}.",
            "Run `python -m backend.training.motion.prepare` on the folder of corpora first; "
            "delete what was reported as damaged.",
        )
    return Prepared(
        np.array(corpus, np.str_),
        np.array(length, np.int64),
        np.array(start, np.int64),
        np.array(source, np.int64),
        tuple(sources),
        tuple(phones),
        np.array(copies, np.int64),
    )


_Row = tuple[str, int, int, list[list[object]]]


def _copies(part: Path, rows: Sequence[_Row]) -> list[int]:
    """Which copy of its utterance each row is.

    The copies of an utterance are adjacent, the clean one first. Older sets do not record how many
    there are: there, adjacent rows with the same phones are copies.
    """
    try:
        together = int(json.loads((part / STAMP).read_text())["copies"]) + 1
        return [number % together for number in range(len(rows))]
    except (OSError, KeyError, TypeError, ValueError):
        pass
    result: list[int] = []
    before: tuple[str, tuple[str, ...]] | None = None
    for name, _, _, phones in rows:
        said = name, tuple(str(row[2]) for row in phones if len(row) == 3)
        alike = said == before and len(said[1]) > 1  # noise has no words
        result.append(result[-1] + 1 if alike else 0)
        before = said
    return result


def _rows(path: Path) -> list[_Row]:
    """The rows of an index; none, with a message, where it cannot be read."""
    try:
        found = json.loads(path.read_text())
        rows = [(str(n), int(a), int(b), list(p)) for n, a, b, p in found]
    except (OSError, TypeError, ValueError) as error:
        print(f"passed over: {path} cannot be read ({type(error).__name__})", flush=True)
        return []
    return rows


def open_frames(path: Path) -> Float16[np.ndarray, "N 160"]:
    """The frames of a file of features, memory-mapped."""
    if path.stat().st_size < 2 * BANDS:  # an empty file cannot be mapped
        return np.zeros((0, BANDS), np.float16)
    # A truncated file may end in the middle of a number.
    mapped = np.memmap(path, np.float16, "r", shape=(path.stat().st_size // 2,))
    return mapped[: len(mapped) // BANDS * BANDS].reshape(-1, BANDS)
