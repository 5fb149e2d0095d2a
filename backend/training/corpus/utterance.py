# SPDX-License-Identifier: GPL-3.0-or-later
"""One spoken sentence with its phone times, and how a set of them is stored on disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int16
from numpy.typing import NDArray

from shared.whole_files import write_whole, written_whole

SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class Phone:
    """One phone: seconds from the start of the clip and a lower-case ARPAbet-like label."""

    start: float
    end: float
    label: str


@dataclass(frozen=True)
class Utterance:
    """One sentence: `samples` mono at 16 kHz, `phones` in time order, without gaps."""

    name: str
    speaker: str
    samples: Int16[np.ndarray, " N"]
    phones: tuple[Phone, ...]

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE


def to_int16(samples: Float[np.ndarray, " N"]) -> Int16[np.ndarray, " N"]:
    """Float samples in -1..1 to int16; values outside are clipped."""
    return np.asarray(np.clip(np.round(samples * 32767.0), -32768, 32767), dtype=np.int16)


def to_float(samples: Int16[np.ndarray, " N"]) -> Float32[np.ndarray, " N"]:
    """int16 samples to float32 in -1..1."""
    return samples.astype(np.float32) / np.float32(32768.0)


def save_corpus(utterances: Iterable[Utterance], folder: Path) -> None:
    """Store a set of utterances as `samples.npy` (int16, end to end) and `utterances.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces: list[NDArray[np.int16]] = []
    entries: list[dict[str, object]] = []
    offset = 0
    for utterance in utterances:
        pieces.append(utterance.samples)
        entries.append(
            {
                "name": utterance.name,
                "speaker": utterance.speaker,
                "offset": offset,
                "length": len(utterance.samples),
                "phones": [[p.start, p.end, p.label] for p in utterance.phones],
            }
        )
        offset += len(utterance.samples)
    samples = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    with written_whole(folder / "samples.npy") as temporary, temporary.open("wb") as stream:
        np.save(stream, samples, allow_pickle=False)
    # The index comes last: a folder with an index is a complete corpus.
    write_whole(folder / "utterances.json", json.dumps(entries))


def is_complete(folder: Path) -> bool:
    """Whether this corpus was written completely."""
    return (folder / "utterances.json").is_file() and (folder / "samples.npy").is_file()


def load_corpus(folder: Path) -> Iterator[Utterance]:
    """Read a corpus back; the samples are views of a memory-mapped file."""
    entries = json.loads((folder / "utterances.json").read_text())
    samples = np.load(folder / "samples.npy", mmap_mode="r", allow_pickle=False)
    for entry in entries:
        start = int(entry["offset"])
        yield Utterance(
            name=str(entry["name"]),
            speaker=str(entry["speaker"]),
            samples=samples[start : start + int(entry["length"])],
            phones=tuple(Phone(float(a), float(b), str(c)) for a, b, c in entry["phones"]),
        )
