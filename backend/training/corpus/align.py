# SPDX-License-Identifier: GPL-3.0-or-later
"""Phone times for recordings in any language of espeak-ng: forced alignment with pocketsphinx.

    python -m backend.training.corpus.align FOLDER CACHE --language fr --name my-voice

The acoustic model is English; other languages are spelled with its nearest phones while the labels
that are kept are their own (see `pronounce`). The work is done in child processes (`align_share`)
and resumes where it stopped; files that fail are named and left out.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from backend.training.corpus.align_share import finished
from backend.training.corpus.folder import Recording, read_recordings, read_samples
from backend.training.corpus.label_check import check_labels, has_slipped, has_unlabelled_speech
from backend.training.corpus.pronounce import Dictionary
from backend.training.corpus.utterance import SAMPLE_RATE, Phone, Utterance, save_corpus
from shared.errors import ErrorKind, VividKeysError
from shared.whole_files import write_whole

__all__ = ["Recording", "align_folder", "build_corpus", "read_recordings", "read_samples"]

# Measured against exact synthesis times: pocketsphinx starts phones 8 ms early on average.
ALIGNER_DELAY = 0.008
_MOST_CRASHES = 50


def align_folder(
    folder: Path,
    cache: Path,
    processes: int = 2,
    language: str = "en",
    output: Path | None = None,
) -> Path:
    """Align a whole folder in child processes; returns the folder of the results.

    Result lines go to `output`, by default `cache`/alignment. Files that are already aligned are
    not aligned again.
    """
    output = output or cache / "alignment"
    output.mkdir(parents=True, exist_ok=True)
    job = write_job(read_recordings(folder), output, language)
    crashes = dict.fromkeys(range(processes), 0)
    while crashes:
        running = {}
        for share in crashes:
            command = [sys.executable, "-m", "backend.training.corpus.align_share", str(job)]
            running[share] = subprocess.Popen([*command, str(share), str(processes)])
        for share, process in running.items():
            if process.wait() == 0:
                del crashes[share]
                continue
            crashes[share] += 1
            print(f"the aligner ended with {process.returncode} in share {share}; restarting it")
            if crashes[share] > _MOST_CRASHES:
                raise VividKeysError(
                    ErrorKind.INTERNAL,
                    f"The aligner keeps crashing on {folder}.",
                    "Remove the files that the lines above name.",
                )
    return output


def write_job(recordings: Sequence[Recording], output: Path, language: str) -> Path:
    """The job file of the children: recordings with the names of their words, and the dictionary.

    Recordings with words that cannot be pronounced are named and left out.
    """
    spoken = [recording.language or language for recording in recordings]
    dictionary = Dictionary(english=any(s.startswith("en") for s in spoken))
    entries = []
    for recording, tongue in zip(recordings, spoken, strict=True):
        try:
            words = dictionary.sentence(recording.transcript, tongue)
        except (ValueError, VividKeysError) as error:
            if isinstance(error, VividKeysError) and not recording.language:
                raise  # the language that was asked for, not one of the table's
            print(f"{recording.name}: skipped, {error}", flush=True)
            continue
        if not words:
            print(f"{recording.name}: skipped, no words in {recording.transcript!r}", flush=True)
            continue
        sounds = json.dumps([dictionary.labels.get(word, word) for word in words])
        entries.append(
            {
                "name": recording.name,
                "path": str(recording.path.resolve()),
                "words": words,
                "signature": zlib.crc32(sounds.encode()),
            }
        )
    dictionary.write(output / "words.dict")
    job = {"dictionary": "words.dict", "labels": dictionary.labels, "recordings": entries}
    write_whole(output / "job.json", json.dumps(job))
    return output / "job.json"


def read_alignment(folder: Path, output: Path, worst_share: float = 0.06) -> list[Utterance]:
    """Utterances from the aligned lines, with the aligner's bias removed.

    The `worst_share` of files by acoustic score per second is dropped: their text and recording
    probably disagree. So is what `has_slipped`. Prints how many were left out, and why.
    """
    entries = finished(output)
    recordings = read_recordings(folder)
    # Older result lines name files without their folder.
    of = {r.name: entries.get(r.name, entries.get(r.path.name, {})) for r in recordings}
    rates = {
        name: float(e["score"]) / float(e["seconds"])
        for name, e in of.items()
        if e.get("state") == "aligned"
    }
    limit = np.quantile(list(rates.values()), worst_share) if rates else 0.0
    left_out: Counter[str] = Counter()
    utterances = []
    for recording in recordings:
        entry = of[recording.name]
        if recording.name not in rates:
            left_out["not aligned"] += 1
            if entry.get("reason"):
                print(f"{recording.name}: {entry['reason']}")
        elif rates[recording.name] < limit:
            left_out["worst acoustic score"] += 1
        else:
            utterance = _utterance(recording, entry)
            if has_slipped(utterance):
                left_out["text and sound disagree"] += 1
            elif has_unlabelled_speech(utterance):
                left_out["speech in a pause"] += 1
            else:
                utterances.append(utterance)
    reasons = ", ".join(f"{reason} {count}" for reason, count in left_out.items()) or "none"
    print(
        f"{len(utterances)} of {len(recordings)} recordings kept; left out: {reasons}", flush=True
    )
    return utterances


def _utterance(recording: Recording, entry: dict[str, Any]) -> Utterance:
    samples = read_samples(recording.path)
    duration = len(samples) / SAMPLE_RATE
    phones: list[Phone] = []
    for start, end, label in entry["phones"]:
        first = 0.0 if start == 0.0 else start + ALIGNER_DELAY
        phones.append(Phone(min(first, duration), min(end + ALIGNER_DELAY, duration), label))
    if phones and phones[-1].end < duration:
        phones.append(Phone(phones[-1].end, duration, "sil"))
    name = Path(recording.name).with_suffix("").as_posix()
    return Utterance(name, recording.speaker, samples, tuple(phones))


def join_utterances(
    utterances: Sequence[Utterance], shortest: float = 4.0, longest: float = 12.0
) -> list[Utterance]:
    """Consecutive utterances of a speaker, joined until each result lasts `shortest` seconds.

    Nothing is added between them: recordings bring their own pauses. A result is at most `longest`
    seconds long unless a single utterance is longer. This fills the windows of training clips with
    speech even where the recordings are single words.
    """
    groups: list[list[Utterance]] = []
    seconds = 0.0
    for utterance in utterances:
        last = groups[-1] if groups else []
        fits = last and last[-1].speaker == utterance.speaker
        if fits and seconds < shortest and seconds + utterance.duration <= longest:
            last.append(utterance)
            seconds += utterance.duration
        else:
            groups.append([utterance])
            seconds = utterance.duration
    return [_joined(group) for group in groups]


def _joined(group: list[Utterance]) -> Utterance:
    if len(group) == 1:
        return group[0]
    phones: list[Phone] = []
    offset = 0
    for utterance in group:
        begin = offset / SAMPLE_RATE
        for phone in utterance.phones:
            moved = Phone(phone.start + begin, phone.end + begin, phone.label)
            if phones and phones[-1].label == moved.label == "sil":
                moved = replace(moved, start=phones.pop().start)
            phones.append(moved)
        offset += len(utterance.samples)
    samples = np.concatenate([u.samples for u in group])
    return Utterance(group[0].name, group[0].speaker, samples, tuple(phones))


def build_corpus(
    folder: Path, cache: Path, name: str, language: str = "en", processes: int = 2
) -> list[Utterance]:
    """Align a folder and save it as the corpus `cache`/`name`; prints how good its labels are.

    Returns the utterances. Raises VividKeysError when none is left.
    """
    if not name or Path(name).name != name:
        raise VividKeysError(
            ErrorKind.BAD_REQUEST,
            f"{name!r} is not a valid name for a corpus.",
            "Use letters, digits and hyphens.",
        )
    output = align_folder(folder, cache, processes, language, cache / f"alignment-{name}")
    utterances = join_utterances(read_alignment(folder, output))
    if not utterances:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"None of the recordings in {folder} could be aligned with their words.",
            "Check the language, and that the transcripts say what is spoken.",
        )
    save_corpus(utterances, cache / name)
    print(f"{name}: {len(utterances)} utterances, {check_labels(utterances)}", flush=True)
    return utterances


@dataclass(frozen=True)
class AlignCommand:
    """Make a training corpus from a folder of recordings and their transcripts."""

    folder: tyro.conf.Positional[Path]
    """Folder with sound files and transcripts (NAME.txt beside NAME.wav, or a table)."""
    cache: tyro.conf.Positional[Path]
    """Folder of the corpora; the new one becomes a folder in it."""
    name: str = ""
    """Name of the corpus; by default native- and the folder's name."""
    language: Annotated[str, tyro.conf.arg(metavar="CODE")] = "en"
    """espeak-ng's name of the language, for files whose table does not name one."""
    processes: int = 2
    """How many files are aligned at a time."""

    def run(self) -> None:
        name = self.name or f"native-{self.folder.resolve().name}"
        build_corpus(self.folder, self.cache, name, self.language, self.processes)


def main() -> None:
    """The command line; errors are printed as a sentence, not a traceback."""
    try:
        tyro.cli(AlignCommand).run()
    except VividKeysError as error:
        sys.exit(f"{error.sentence} {error.next_step}")


if __name__ == "__main__":
    main()
