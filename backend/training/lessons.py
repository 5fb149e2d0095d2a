# SPDX-License-Identifier: GPL-3.0-or-later
"""The teacher's curves for every prepared clip, written beside its features and read back."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.audio_to_mesh.channels import CHANNELS
from backend.training.corpus.utterance import Phone
from backend.training.prepared import CLIPS, FEATURES, complete_parts, open_frames
from backend.training.teacher import loudness, teach


class Rows:
    """Arrays of one width as if they lay end to end; a slice must not cross from one to the next,
    which clips never do."""

    def __init__(self, parts: list[NDArray[Any]]) -> None:
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self._parts[0].shape[1:])

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        number = int(np.searchsorted(self._ends, rows.start, side="right"))
        before = int(self._ends[number - 1]) if number else 0
        return self._parts[number][rows.start - before : rows.stop - before]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.concatenate(self._parts).astype(dtype or self._parts[0].dtype)

    def astype(self, kind: Any) -> NDArray[Any]:
        """All rows in memory, as another type."""
        return self.__array__(kind)


@dataclass(frozen=True)
class Prepared:
    """The training set with its lessons: `features` [N, 160] float16, `curves` [N, C] float16,
    `phones` [N] uint8; clip k of `corpus[k]` is frames start[k] .. start[k] + length[k]."""

    features: Rows
    curves: Rows
    phones: Rows
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    corpus: NDArray[np.str_]


def teach_prepared(target: Path) -> None:
    """The teacher's lesson for every prepared clip: `curves.raw` and `phones.raw`.

    A stage of its own, so that the teacher can change without the audio being prepared again.
    """
    parts = complete_parts(target)
    own = {part.name for part in parts if part != target}
    for part in parts:
        clips = json.loads((part / CLIPS).read_text())
        if part == target and {clip[0] for clip in clips} <= own:
            continue  # an older set, replaced by folders of its corpora
        features = open_frames(part / FEATURES)
        curves_partial, phones_partial = part / "curves.partial", part / "phones.partial"
        with curves_partial.open("wb") as curves, phones_partial.open("wb") as phones:
            for _, start, length, rows in clips:
                heard = loudness(features[start : start + length].astype(np.float32))
                lesson = teach(tuple(Phone(*row) for row in rows), heard)
                curves.write(lesson.curves.astype(np.float16).tobytes())
                phones.write(lesson.phones.tobytes())
        os.replace(curves_partial, part / "curves.raw")
        os.replace(phones_partial, part / "phones.raw")


def load_lessons(target: Path) -> Prepared:
    """Open the prepared set with its lessons. Raises FileNotFoundError when one is missing."""
    parts = complete_parts(target)
    own = {part.name for part in parts if part != target}
    arrays: tuple[list[NDArray[Any]], ...] = ([], [], [])
    clips: list[tuple[int, int, str]] = []
    offset = 0
    for part in parts:
        rows = json.loads((part / CLIPS).read_text())
        if part == target and {row[0] for row in rows} <= own:
            continue
        arrays[0].append(open_frames(part / FEATURES))
        arrays[1].append(np.memmap(part / "curves.raw", np.float16, "r").reshape(-1, len(CHANNELS)))
        arrays[2].append(np.memmap(part / "phones.raw", np.uint8, "r"))
        for corpus, start, length, _ in rows:
            if part != target or corpus not in own:
                clips.append((start + offset, length, corpus))
        offset += len(arrays[0][-1])
    if not clips:
        raise FileNotFoundError(f"no prepared training set in {target}")
    return Prepared(
        features=Rows(arrays[0]),
        curves=Rows(arrays[1]),
        phones=Rows(arrays[2]),
        start=np.array([clip[0] for clip in clips], np.int64),
        length=np.array([clip[1] for clip in clips], np.int64),
        corpus=np.array([clip[2] for clip in clips]),
    )
