# SPDX-License-Identifier: GPL-3.0-or-later
"""The child process of `align`: forced alignment of a share of the recordings with pocketsphinx.

A separate process because an unusual word or file can end it without a traceback. It writes one
line before each file and one after, so that a restart skips the file that crashed it.

    python -m backend.training.corpus.align_share JOB_FILE SHARE SHARES
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from backend.training.corpus.folder import read_samples, unusable_reason
from backend.training.corpus.utterance import SAMPLE_RATE
from shared.errors import VividKeysError

_SILENCES = {"sil", "+nsn+", "+spn+", "<sil>", "<s>", "</s>"}


def _align_one(
    decoder: Any, raw: bytes, words: str, labels: dict[str, list[str]]
) -> tuple[list[list[object]], int]:
    """Two passes (words, then phones); returns [[start, end, label], ...] and the score sum."""
    decoder.set_align_text(words)
    for attempt in range(2):
        decoder.start_utt()
        decoder.process_raw(raw, full_utt=True)
        decoder.end_utt()
        if attempt == 0:
            if decoder.hyp() is None:
                raise ValueError("the words were not found in the recording")
            decoder.set_alignment()
    phones: list[list[object]] = []
    score = 0
    for word in decoder.get_alignment():
        own = labels.get(re.sub(r"\(\d+\)$", "", word.name))
        for position, phone in enumerate(word):
            label = phone.name.lower()
            if label in _SILENCES:
                label = "sil"
            else:
                label = own[position] if own is not None else re.sub(r"\d", "", label)
            phones.append([phone.start * 0.01, (phone.start + phone.duration) * 0.01, label])
            score += phone.score
    return phones, score


def finished(output: Path) -> dict[str, dict[str, Any]]:
    """The last line about each file in the result files of a folder; broken lines are ignored."""
    entries: dict[str, dict[str, Any]] = {}
    for path in sorted(output.glob("share*.jsonl")):
        for line in path.read_text("utf-8").splitlines():
            try:
                entry = json.loads(line)
                entries[str(entry["file"])] = entry
            except (ValueError, KeyError, TypeError):
                continue
    return entries


def align_share(job_file: Path, share: int, shares: int) -> None:
    """Align every `shares`-th recording of the job; lines go to shareN.jsonl beside the job.

    Recordings with a line of the same signature are skipped, so this resumes after a crash.
    """
    from pocketsphinx import Decoder, get_model_path

    job = json.loads(job_file.read_text("utf-8"))
    done = finished(job_file.parent)
    settings = {
        "hmm": str(Path(get_model_path()) / "en-us" / "en-us"),
        # A dictionary file: `add_word` can end the process.
        "dict": str(job_file.parent / job["dictionary"]),
        "lm": None,
        "loglevel": "FATAL",
        # With the word lattice's best path the second pass fails on every third file.
        "bestpath": False,
    }
    beams = {"beam": 1e-80, "wbeam": 1e-80, "pbeam": 1e-80}
    # Wide beams keep the true path in noisy files; where they fail, the usual ones mostly work.
    wide, usual = Decoder(**settings, **beams), Decoder(**settings)
    with (job_file.parent / f"share{share}.jsonl").open("a", encoding="utf-8") as stream:

        def write(entry: dict[str, object]) -> None:
            stream.write(json.dumps(entry) + "\n")
            stream.flush()

        for recording in job["recordings"][share::shares]:
            name, signature = recording["name"], recording["signature"]
            if name in done and done[name].get("signature", signature) == signature:
                continue
            entry: dict[str, object] = {"file": name, "signature": signature}
            # The name goes first: if the process dies on this file the next one will skip it.
            write(entry | {"state": "started"})
            try:
                samples = read_samples(Path(recording["path"]))
                reason = unusable_reason(samples)
                if reason:
                    write(entry | {"state": "skipped", "reason": reason})
                    continue
                raw, words = samples.tobytes(), " ".join(recording["words"])
                try:
                    phones, score = _align_one(wide, raw, words, job["labels"])
                except (RuntimeError, ValueError):
                    wide = Decoder(**settings, **beams)  # a failure leaves it unusable
                    try:
                        phones, score = _align_one(usual, raw, words, job["labels"])
                    except (RuntimeError, ValueError):
                        usual = Decoder(**settings)
                        raise
                seconds = len(samples) / SAMPLE_RATE
                entry |= {"state": "aligned", "phones": phones, "score": score, "seconds": seconds}
            except (RuntimeError, ValueError, IndexError, OSError, VividKeysError) as error:
                entry |= {"state": "failed", "reason": str(error)}
            write(entry)


if __name__ == "__main__":
    align_share(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
