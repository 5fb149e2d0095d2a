# SPDX-License-Identifier: GPL-3.0-or-later
"""Phone times for real recordings: forced alignment with pocketsphinx in child processes.

The aligner is a child process because a strange word can end it without a traceback. It writes one
line per file as it goes; when it dies, the file it was at is named, skipped, and the rest goes on.

    python -m backend.training.corpus.align FOLDER_WITH_UTTERANCES_CSV CACHE_FOLDER
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from backend.audio.log_mel import level, log_mel
from backend.training.corpus.utterance import (
    SAMPLE_RATE,
    Phone,
    Utterance,
    to_float,
    to_int16,
)

# Measured against exact synthesis times: pocketsphinx starts phones 8 ms early on average.
ALIGNER_DELAY = 0.008
_SILENCES = {"sil", "+nsn+", "+spn+"}


@dataclass(frozen=True)
class Recording:
    """A file, who speaks in it, and what is said."""

    path: Path
    speaker: str
    gender: str
    transcript: str


def read_recordings(folder: Path) -> list[Recording]:
    """Read `utterances.csv` (file, speaker, gender, age, transcript) of a folder."""
    with (folder / "utterances.csv").open(newline="") as stream:
        return [
            Recording(folder / row["file"], row["speaker"], row["gender"], row["transcript"])
            for row in csv.DictReader(stream)
        ]


def read_samples(path: Path) -> np.ndarray:
    """Any file libsndfile reads to int16 [N] mono at 16 kHz."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE)
    return to_int16(mono)


def _align_one(decoder: object, samples: np.ndarray, words: str) -> tuple[list[list[object]], int]:
    """Two passes (words, then phones); returns [[start, end, label], ...] and the score sum."""
    raw = samples.tobytes()
    d = decoder
    d.set_align_text(words)  # type: ignore[attr-defined]
    for attempt in range(2):
        d.start_utt()  # type: ignore[attr-defined]
        d.process_raw(raw, full_utt=True)  # type: ignore[attr-defined]
        d.end_utt()  # type: ignore[attr-defined]
        if attempt == 0:
            if d.hyp() is None:  # type: ignore[attr-defined]
                raise ValueError("the words were not found in the recording")
            d.set_alignment()  # type: ignore[attr-defined]
    phones: list[list[object]] = []
    score = 0
    for word in d.get_alignment():  # type: ignore[attr-defined]
        for phone in word:
            label = phone.name.lower()
            label = "sil" if label in _SILENCES else re.sub(r"\d", "", label)
            phones.append([phone.start * 0.01, (phone.start + phone.duration) * 0.01, label])
            score += phone.score
    return phones, score


def align_share(folder: Path, output: Path, share: int, shares: int) -> None:
    """Align every `shares`-th recording, appending a JSON line to `output` for each.

    Recordings that are named in `output` already are skipped, so this resumes after a crash.
    """
    from pocketsphinx import Decoder, get_model_path

    done = set()
    if output.exists():
        done = {json.loads(line)["file"] for line in output.read_text().splitlines()}
    model = Path(get_model_path()) / "en-us"
    settings = {
        "hmm": str(model / "en-us"),
        "dict": str(model / "cmudict-en-us.dict"),
        "lm": None,
        "loglevel": "FATAL",
        # With the word lattice's best path the second pass fails on every third file.
        "bestpath": False,
    }
    # Wide beams keep the true path in noisy files; where they fail, the usual ones mostly work.
    wide = Decoder(**settings, beam=1e-80, wbeam=1e-80, pbeam=1e-80)
    usual = Decoder(**settings)
    with output.open("a") as stream:
        for recording in read_recordings(folder)[share::shares]:
            name = recording.path.name
            if name in done:
                continue
            # The name goes first: if the process dies on this file the next one will skip it.
            stream.write(json.dumps({"file": name, "state": "started"}) + "\n")
            stream.flush()
            words = [w for w in re.sub(r"[^a-z' ]", " ", recording.transcript.lower()).split()]
            words = [w for w in words if w.strip("'")]
            unknown = [w for w in words if wide.lookup_word(w) is None]
            entry: dict[str, object] = {"file": name, "state": "aligned"}
            if unknown:
                entry |= {"state": "skipped", "reason": f"not in the dictionary: {unknown}"}
            else:
                try:
                    samples = read_samples(recording.path)
                    try:
                        phones, score = _align_one(wide, samples, " ".join(words))
                    except (RuntimeError, ValueError):
                        wide = Decoder(**settings, beam=1e-80, wbeam=1e-80, pbeam=1e-80)
                        phones, score = _align_one(usual, samples, " ".join(words))
                    entry |= {"phones": phones, "score": score, "seconds": len(samples) / 16_000}
                except (RuntimeError, ValueError, soundfile.SoundFileError) as error:
                    entry |= {"state": "failed", "reason": str(error)}
            stream.write(json.dumps(entry) + "\n")
            stream.flush()


def align_folder(folder: Path, cache: Path, processes: int = 2) -> Path:
    """Align a whole folder in child processes; the result lines go to `cache`/alignment.

    Returns that folder. What is aligned already is not done again.
    """
    output = cache / "alignment"
    output.mkdir(parents=True, exist_ok=True)
    pending = {share: 0 for share in range(processes)}
    while pending:
        running = {}
        for share in pending:
            command = [sys.executable, "-m", "backend.training.corpus.align", str(folder)]
            command += [str(output / f"share{share}.jsonl"), str(share), str(processes)]
            running[share] = subprocess.Popen(command)
        for share, process in running.items():
            if process.wait() == 0:
                del pending[share]
                continue
            pending[share] += 1
            print(f"the aligner ended with {process.returncode} in share {share}; going on")
            if pending[share] > 50:
                raise RuntimeError("the aligner keeps dying; see the lines above")
    return output


def read_alignment(folder: Path, output: Path, worst_share: float = 0.06) -> list[Utterance]:
    """Utterances from the aligned lines, with the aligner's bias removed.

    The `worst_share` of files by acoustic score per second is dropped: there the text and the
    recording probably disagree. So is what `has_slipped`.
    """
    entries: dict[str, dict[str, object]] = {}
    for path in sorted(output.glob("share*.jsonl")):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            entries[str(entry["file"])] = entry
    good = [e for e in entries.values() if e["state"] == "aligned"]
    rates = np.array([float(e["score"]) / float(e["seconds"]) for e in good])  # type: ignore[arg-type]
    limit = np.quantile(rates, worst_share) if len(rates) else 0.0
    kept = {str(e["file"]): e for e, rate in zip(good, rates, strict=True) if rate >= limit}
    utterances = []
    for recording in read_recordings(folder):
        chosen = kept.get(recording.path.name)
        if chosen is None:
            continue
        samples = read_samples(recording.path)
        duration = len(samples) / SAMPLE_RATE
        phones = []
        for start, end, label in chosen["phones"]:  # type: ignore[attr-defined]
            first = 0.0 if start == 0.0 else start + ALIGNER_DELAY
            phones.append(Phone(min(first, duration), min(end + ALIGNER_DELAY, duration), label))
        if phones and phones[-1].end < duration:
            phones.append(Phone(phones[-1].end, duration, "sil"))
        utterance = Utterance(recording.path.stem, recording.speaker, samples, tuple(phones))
        if not has_slipped(utterance):
            utterances.append(utterance)
    return utterances


def has_slipped(utterance: Utterance) -> bool:
    """Do phones and sound disagree, as they do when words were said that the text lacks?

    Then speech is parked in silences: more than 6 % of the clip is labelled silent but within
    20 dB of its loud parts. Or phones are stretched: two or more last over .4 s.
    """
    long_phones = sum(p.label != "sil" and p.end - p.start > 0.4 for p in utterance.phones)
    features = log_mel(to_float(utterance.samples))
    decibels = level(features) * (10.0 / np.log(10.0))
    silent = np.zeros(len(decibels), bool)
    for phone in utterance.phones:
        if phone.label == "sil":
            silent[int(np.ceil((phone.start + 0.03) * 100)) : int((phone.end - 0.03) * 100)] = True
    loud = silent & (decibels > np.quantile(decibels, 0.95) - 20.0)
    return long_phones >= 2 or bool(loud.mean() > 0.06)


if __name__ == "__main__":
    if len(sys.argv) == 5:
        align_share(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        align_folder(Path(sys.argv[1]), Path(sys.argv[2]))
