# SPDX-License-Identifier: GPL-3.0-or-later
"""From corpora to training data: features and phones of clean and degraded copies.

    python -m backend.training.motion.prepare CACHE_FOLDER [FOLDER_OF_SPEECHOCEAN762]

Every complete corpus in the cache folder that the recipe names gets a folder of its own below
`prepared`, so that a new corpus leaves the others untouched. All seeds are derived from corpus,
utterance and copy, so the result does not depend on the number of processes.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float16

from backend.audio.log_mel import log_mel
from backend.training.corpus import align, augment
from backend.training.corpus.utterance import (
    Utterance,
    is_complete,
    load_corpus,
    save_corpus,
    to_float,
)
from backend.training.motion.prepared import CLIPS, FEATURES, HELD_OUT, STAMP
from shared.errors import VividKeysError
from shared.whole_files import write_whole, written_whole

# Incremented when the augmentation changes, so that older sets are prepared again.
_VERSION = 2
_PER_SHARE = 32


@dataclass(frozen=True)
class PrepareRecipe:
    """Which corpora, and how many degraded copies of each beside the clean one.

    A name may contain `*`; the first match is used. Corpora without a match, such as the held-out
    `real-tune`, `real-test` and `flite-rms`, are not prepared.
    """

    copies: tuple[tuple[str, int], ...] = (
        ("real", 3),
        ("native-*", 3),
        ("festival", 2),
        ("espeak", 2),
        ("flite", 2),
    )
    noise_clips: int = 450
    processes: int = 2
    seed: int = 0


def split_speakers(recordings: list[align.Recording]) -> dict[str, str]:
    """The corpus of each speaker: 'real', or 'real-tune' and 'real-test', which are held out.

    Five women and five men are held out.
    """
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
    """Store aligned recordings of many speakers as `real`, `real-tune` and `real-test`."""
    names = ("real", "real-tune", "real-test")
    if all(is_complete(cache_folder / name) for name in names):
        return
    utterances = align.read_alignment(folder, cache_folder / "alignment")
    split = split_speakers(align.read_recordings(folder))
    for name in names:
        # A speaker whose gender is not known cannot be held out.
        chosen = [u for u in utterances if split.get(u.speaker, "real") == name]
        save_corpus(chosen, cache_folder / name)
        print(f"{name}: {len(chosen)} utterances, {sum(u.duration for u in chosen):.0f} s")


def store_native_corpora(
    folders: Sequence[tuple[str, Path, str]], cache_folder: Path, processes: int = 2
) -> None:
    """Store recordings of single speakers as corpora: (name, folder, language) each; see `align`.

    A name should begin with `native-`, as the recipe expects. Existing corpora are kept; a folder
    that cannot be used is printed and skipped.
    """
    for name, folder, language in folders:
        if is_complete(cache_folder / name):
            continue
        try:
            align.build_corpus(folder, cache_folder, name, language, processes)
        except VividKeysError as error:
            print(f"passed over: {name} ({folder}): {error.sentence} {error.next_step}")


@cache
def _corpus(folder: Path) -> list[Utterance]:
    return list(load_corpus(folder))


def is_recorded(corpus: str) -> bool:
    """Whether this corpus consists of recordings of people, which have their own pauses."""
    return corpus == "real" or corpus.startswith("native-")


def _clean(utterance: Utterance, corpus: str, random: np.random.Generator) -> Utterance:
    """Add silence around synthetic speech, and faint noise instead of digital silence."""
    if not is_recorded(corpus):
        before, after = random.uniform(0.05, 0.7, 2)
        utterance = augment.pad_with_silence(utterance, float(before), float(after))
    noise = random.normal(0.0, 3.0, len(utterance.samples))
    samples = np.clip(utterance.samples + noise, -32768, 32767).astype(np.int16)
    return replace(utterance, samples=samples)


def _prepare_share(
    folder: Path, corpus: str, numbers: list[int], copies: int, seed: int
) -> list[tuple[Float16[np.ndarray, "_ 160"], list[list[object]]]]:
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


def choose_corpora(folder: Path, recipe: PrepareRecipe) -> list[tuple[str, int]]:
    """Names of the complete corpora in `folder` that the recipe asks for, and their copies.

    Prints those that are missing.
    """
    present = sorted(p.name for p in folder.iterdir() if p.is_dir() and is_complete(p))
    chosen: dict[str, int] = {}
    for pattern, copies in recipe.copies:
        fitting = [
            name for name in present if fnmatchcase(name, pattern) and not name.endswith(HELD_OUT)
        ]
        if not fitting:
            print(f"{pattern}: missing, training continues without it")
        for name in fitting:
            chosen.setdefault(name, copies)
    return list(chosen.items())


def _stamp(folder: Path, corpus: str, copies: int, recipe: PrepareRecipe) -> dict[str, int]:
    """Everything that the prepared corpus depends on."""
    stamp = {"version": _VERSION, "seed": recipe.seed, "copies": copies}
    if corpus == "noise":
        return stamp | {"clips": recipe.noise_clips}
    return stamp | {"index": zlib.crc32((folder / corpus / "utterances.json").read_bytes())}


def _read_stamp(path: Path) -> object:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def prepare(folder: Path, recipe: PrepareRecipe | None = None) -> Path:
    """Write the prepared set below `folder`; returns its folder. Prints progress.

    Corpora that were prepared with the same recipe and have not changed are left as they are.
    """
    recipe = recipe or PrepareRecipe()
    _corpus.cache_clear()  # a corpus may have been rewritten
    target = folder / "prepared"
    corpora = choose_corpora(folder, recipe)
    if recipe.noise_clips:
        corpora.append(("noise", 0))
    for corpus, copies in corpora:
        stamp = _stamp(folder, corpus, copies, recipe)
        part = target / corpus
        if _read_stamp(part / STAMP) == stamp and (part / CLIPS).is_file():
            continue
        _prepare_corpus(folder, corpus, copies, recipe, part)
        # The stamp is written last: it marks the folder as complete.
        write_whole(part / STAMP, json.dumps(stamp))
    return target


def _prepare_corpus(
    folder: Path, corpus: str, copies: int, recipe: PrepareRecipe, part: Path
) -> None:
    """Write `features.raw` and `clips.json` of one corpus to the folder `part`."""
    part.mkdir(parents=True, exist_ok=True)
    for name in (STAMP, CLIPS):
        (part / name).unlink(missing_ok=True)
    count = recipe.noise_clips if corpus == "noise" else len(_corpus(folder / corpus))
    shares = [list(range(k, min(k + _PER_SHARE, count))) for k in range(0, count, _PER_SHARE)]
    clips: list[tuple[str, int, int, list[list[object]]]] = []
    start = 0
    with (
        written_whole(part / FEATURES) as temporary,
        temporary.open("wb") as out,
        ProcessPoolExecutor(recipe.processes) as pool,
    ):
        n = len(shares)
        arguments = ([folder] * n, [corpus] * n, shares, [copies] * n, [recipe.seed] * n)
        for number, results in enumerate(pool.map(_prepare_share, *arguments)):
            for features, phones in results:
                clips.append((corpus, start, len(features), phones))
                start += len(features)
                out.write(features.tobytes())
            if number % 10 == 0 or number == n - 1:
                print(f"{corpus}: {number + 1} of {n} shares, {start / 100:.0f} s", flush=True)
    write_whole(part / CLIPS, json.dumps(clips))


if __name__ == "__main__":
    cache_folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        align.align_folder(Path(sys.argv[2]), cache_folder)
        store_real_corpora(Path(sys.argv[2]), cache_folder)
    prepare(cache_folder)
