# SPDX-License-Identifier: GPL-3.0-or-later
"""From corpora to what the trainer reads: features and lessons of clean and degraded copies.

    python -m backend.training.prepare CACHE_FOLDER [FOLDER_OF_SPEECHOCEAN762]

Everything is drawn from seeds named by corpus, utterance and copy, so the result does not depend
on the number of processes.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.audio.log_mel import BANDS, log_mel
from backend.audio_to_mesh.channels import CHANNELS
from backend.training.corpus import align, augment
from backend.training.corpus.utterance import (
    Phone,
    Utterance,
    is_complete,
    load_corpus,
    save_corpus,
    to_float,
)
from backend.training.teacher import loudness, teach


@dataclass(frozen=True)
class PrepareRecipe:
    """Which corpora, and how many degraded copies of each beside the clean one."""

    copies: tuple[tuple[str, int], ...] = (("real", 3), ("espeak", 2), ("flite", 2))
    noise_clips: int = 300
    processes: int = 2
    seed: int = 0


@dataclass(frozen=True)
class Prepared:
    """The training set, memory-mapped: `features` [N, 160] float16, `curves` [N, C] float16,
    `phones` [N] uint8; clip k of `corpus[k]` is frames start[k] .. start[k] + length[k]."""

    features: NDArray[np.float16]
    curves: NDArray[np.float16]
    phones: NDArray[np.uint8]
    start: NDArray[np.int64]
    length: NDArray[np.int64]
    corpus: NDArray[np.str_]


def split_speakers(recordings: list[align.Recording]) -> dict[str, str]:
    """Speaker to 'real', 'real-tune' or 'real-test'; five women and five men are held out."""
    result: dict[str, str] = {}
    for gender, tune in (("m", 3), ("f", 2)):
        speakers = sorted({r.speaker for r in recordings if r.gender == gender})
        chosen = speakers[7 :: max(len(speakers) // 5, 1)][:5]
        for speaker in speakers:
            result[speaker] = "real"
        for number, speaker in enumerate(chosen):
            result[speaker] = "real-tune" if number < tune else "real-test"
    return result


def store_real_corpora(folder: Path, cache_folder: Path) -> None:
    """Aligned recordings to the corpora `real`, `real-tune` and `real-test`."""
    names = ("real", "real-tune", "real-test")
    if all(is_complete(cache_folder / name) for name in names):
        return
    utterances = align.read_alignment(folder, cache_folder / "alignment")
    split = split_speakers(align.read_recordings(folder))
    for name in names:
        chosen = [u for u in utterances if split[u.speaker] == name]
        save_corpus(chosen, cache_folder / name)
        print(f"{name}: {len(chosen)} utterances, {sum(u.duration for u in chosen):.0f} s")


@cache
def _corpus(folder: Path) -> list[Utterance]:
    return list(load_corpus(folder))


def _clean(utterance: Utterance, corpus: str, random: np.random.Generator) -> Utterance:
    """Silence around synthetic speech, and a trace of noise instead of digital zero."""
    if corpus != "real":
        before, after = random.uniform(0.05, 0.7, 2)
        utterance = augment.pad_with_silence(utterance, float(before), float(after))
    noise = random.normal(0.0, 3.0, len(utterance.samples))
    samples = np.clip(utterance.samples + noise, -32768, 32767).astype(np.int16)
    return replace(utterance, samples=samples)


def _prepare_share(
    folder: Path, corpus: str, numbers: list[int], copies: int, seed: int
) -> list[tuple[NDArray[np.float16], list[list[object]]]]:
    """Features and phones of some utterances of a corpus, each clean and degraded."""
    results = []
    for number in numbers:
        key = zlib.crc32(f"{corpus}/{number}".encode())
        for copy in range(copies + 1):
            random = np.random.default_rng([seed, key, copy])
            if corpus == "noise":
                utterance = augment.noise_only(float(random.uniform(3, 6)), random, number)
            else:
                voices = _corpus(folder / corpus)
                utterance = _clean(voices[number], corpus, random)
            if copy:
                utterance = augment.degrade(utterance, voices, random)
            features = log_mel(to_float(utterance.samples)).astype(np.float16)
            results.append((features, [[p.start, p.end, p.label] for p in utterance.phones]))
    return results


def _shares(folder: Path, recipe: PrepareRecipe) -> Iterator[tuple[str, list[int], int]]:
    for corpus, copies in recipe.copies:
        if not is_complete(folder / corpus):
            print(f"{corpus}: not there, training goes on without it")
            continue
        count = len(_corpus(folder / corpus))
        for first in range(0, count, 32):
            yield corpus, list(range(first, min(first + 32, count))), copies
    for first in range(0, recipe.noise_clips, 32):
        yield "noise", list(range(first, min(first + 32, recipe.noise_clips))), 0


def prepare(folder: Path, recipe: PrepareRecipe | None = None) -> Path:
    """Write the prepared set below `folder`; returns its folder. Prints progress."""
    recipe = recipe or PrepareRecipe()
    target = folder / "prepared"
    if (target / "clips.json").is_file():
        return target
    target.mkdir(parents=True, exist_ok=True)
    shares = list(_shares(folder, recipe))
    clips: list[tuple[str, int, int, list[list[object]]]] = []
    start = 0
    with ProcessPoolExecutor(recipe.processes) as pool, (target / "features.raw").open("wb") as out:
        arguments = ([folder] * len(shares), *zip(*shares, strict=True))
        seeds = [recipe.seed] * len(shares)
        for number, results in enumerate(pool.map(_prepare_share, *arguments, seeds)):
            for features, phones in results:
                clips.append((shares[number][0], start, len(features), phones))
                start += len(features)
                out.write(features.tobytes())
            if number % 10 == 0:
                print(f"{number + 1} of {len(shares)} shares, {start / 100:.0f} s", flush=True)
    partial = target / "clips.json.partial"
    partial.write_text(json.dumps(clips))
    os.replace(partial, target / "clips.json")
    return target


def teach_prepared(target: Path) -> None:
    """The teacher's lesson for every prepared clip: `curves.raw` and `phones.raw`.

    A stage of its own, so that the teacher can change without the audio being prepared again.
    """
    clips = json.loads((target / "clips.json").read_text())
    features = np.memmap(target / "features.raw", np.float16, "r").reshape(-1, BANDS)
    curves_partial, phones_partial = target / "curves.partial", target / "phones.partial"
    with curves_partial.open("wb") as curves, phones_partial.open("wb") as phones:
        for _, start, length, rows in clips:
            heard = loudness(features[start : start + length].astype(np.float32))
            lesson = teach(tuple(Phone(*row) for row in rows), heard)
            curves.write(lesson.curves.astype(np.float16).tobytes())
            phones.write(lesson.phones.tobytes())
    os.replace(curves_partial, target / "curves.raw")
    os.replace(phones_partial, target / "phones.raw")


def load_prepared(target: Path) -> Prepared:
    """Open the prepared set. Raises FileNotFoundError when `prepare` has not finished."""
    clips = json.loads((target / "clips.json").read_text())

    def open_raw(name: str, kind: type, width: int) -> NDArray:
        array = np.memmap(target / f"{name}.raw", kind, "r")
        return array.reshape(-1, width) if width > 1 else array

    return Prepared(
        features=open_raw("features", np.float16, BANDS),
        curves=open_raw("curves", np.float16, len(CHANNELS)),
        phones=open_raw("phones", np.uint8, 1),
        corpus=np.array([clip[0] for clip in clips]),
        start=np.array([clip[1] for clip in clips], np.int64),
        length=np.array([clip[2] for clip in clips], np.int64),
    )


def phones_from_labels(labels: list[list[object]]) -> tuple[Phone, ...]:
    """`[start, end, label]` rows, as evaluation files have them, to phones."""
    return tuple(
        Phone(float(str(a)), float(str(b)), str(c).lower().rstrip("012")) for a, b, c in labels
    )


if __name__ == "__main__":
    cache_folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        store_real_corpora(Path(sys.argv[2]), cache_folder)
    teach_prepared(prepare(cache_folder))
