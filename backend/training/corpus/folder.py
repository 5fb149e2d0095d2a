# SPDX-License-Identifier: GPL-3.0-or-later
"""A user's folder of recordings and what is said in them.

The words may be given in any of these ways; the first one found is used:

- a table `utterances.csv`, `metadata.csv`, `transcripts.tsv` and the like, with columns such as
  file (path, name) and transcript (text, sentence), and perhaps speaker (client_id), gender and
  language (locale);
- `metadata.csv` without a header, `NAME|text` or `NAME|text|normalised text`, as LJSpeech has it;
- a text file of lines `NAME: text`, where `;` and `#` begin comments and (...) holds remarks;
- `NAME.txt` beside `NAME.wav`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from jaxtyping import Float32, Int16
from numpy.typing import NDArray

from backend.audio.load import load_audio
from backend.media.containers import open_container
from backend.training.corpus.utterance import SAMPLE_RATE, to_int16
from shared.errors import ErrorKind, VividKeysError

LONGEST_SECONDS = 40.0
AUDIO_SUFFIXES = tuple(
    [
        ".wav",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".m4a",
        ".mp4",
        ".aac",
        ".aif",
        ".aiff",
        ".au",
        ".wma",
        ".webm",
        ".g722",
        ".gsm",
    ]
)
# Bare streams without a header: FFmpeg has to be told what they are.
_HEADERLESS = {".g722": "g722", ".gsm": "gsm"}

_TABLES = ("utterances", "metadata", "transcripts", "transcript", "validated", "train")
_COLUMNS = {
    "file": ("file", "path", "name", "filename", "file_name", "wav", "audio", "clip", "id"),
    "transcript": ("transcript", "text", "sentence", "transcription", "normalized_text", "words"),
    "speaker": ("speaker", "speaker_id", "client_id", "voice"),
    "gender": ("gender", "sex"),
    "language": ("language", "locale", "lang"),
}


@dataclass(frozen=True)
class Recording:
    """A file, its speaker and its words. An empty `language` means the caller's default."""

    path: Path
    speaker: str
    gender: str
    transcript: str
    name: str = ""
    language: str = ""


def read_samples(path: Path) -> Int16[np.ndarray, " N"]:
    """Any file that libsndfile or FFmpeg reads, as mono at 16 kHz.

    Raises VividKeysError (bad_audio, too_large) for one that cannot be read.
    """
    if path.suffix.lower() in _HEADERLESS:
        return to_int16(_read_headerless(path, _HEADERLESS[path.suffix.lower()]))
    return to_int16(load_audio(path).samples)


def _read_headerless(path: Path, container: str) -> Float32[np.ndarray, " N"]:
    import av

    pieces: list[NDArray[np.float32]] = []
    rate = SAMPLE_RATE
    try:
        with path.open("rb") as file, open_container(file, container) as stream:
            resampler = av.AudioResampler(format="flt", layout="mono")
            for frame in stream.decode(audio=0):
                rate = frame.sample_rate
                pieces += [p.to_ndarray()[0] for p in resampler.resample(frame)]
    except (av.FFmpegError, OSError, ValueError, IndexError) as error:
        raise VividKeysError(
            ErrorKind.BAD_AUDIO, f"{path.name} could not be decoded: {error}.", "Export it again."
        ) from error
    if not pieces:
        raise VividKeysError(ErrorKind.BAD_AUDIO, f"{path.name} contains no sound.")
    samples = np.concatenate(pieces)
    return samples if rate == SAMPLE_RATE else soxr.resample(samples, rate, SAMPLE_RATE)


def unusable_reason(samples: Int16[np.ndarray, " N"]) -> str:
    """Why these samples cannot be aligned, or ''."""
    seconds = len(samples) / SAMPLE_RATE
    if seconds > LONGEST_SECONDS:
        return f"{seconds:.0f} s long; cut it into pieces of at most {LONGEST_SECONDS:.0f} s"
    if seconds < 0.2:
        return "shorter than 0.2 s"
    if float(np.quantile(np.abs(samples.astype(np.int32)), 0.99)) < 30:
        return "silent"
    return ""


def read_recordings(folder: Path) -> list[Recording]:
    """All recordings of a folder that have words, in the order of the table or by name.

    Files without sound or words are printed and left out. Raises VividKeysError when the folder
    does not exist or nothing in it can be used.
    """
    if not folder.is_dir():
        raise VividKeysError(
            ErrorKind.BAD_FILE, f"There is no folder {folder}.", "Check the path of the recordings."
        )
    audio = _audio_files(folder)
    recordings: list[Recording] = []
    for table in _table_candidates(folder):
        recordings = list(_from_table(table, folder, audio))
        if recordings:
            break
    recordings = recordings or list(_from_text_files(folder, audio))
    if not recordings:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"{folder} has no recordings with transcripts.",
            "Put NAME.txt beside each NAME.wav, or add a metadata.csv with columns file and text.",
        )
    return recordings


def _audio_files(folder: Path) -> dict[str, Path]:
    """Audio files by their path below the folder, with and without suffix, and by bare name."""
    found: dict[str, Path] = {}
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES)
    for path in files:
        below = path.relative_to(folder)
        found[below.as_posix()] = path
        found.setdefault(below.with_suffix("").as_posix(), path)
    for path in files:  # bare names last, so that they never hide a full path
        found.setdefault(path.name, path)
        found.setdefault(path.stem, path)
    return found


def _table_candidates(folder: Path) -> Iterator[Path]:
    for stem in _TABLES:
        for suffix in (".csv", ".tsv", ".txt"):
            if (folder / (stem + suffix)).is_file():
                yield folder / (stem + suffix)
    for path in sorted(folder.glob("*.txt")):
        if path.stem not in _TABLES:
            yield path


def _read_text(path: Path) -> str:
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _from_table(table: Path, folder: Path, audio: dict[str, Path]) -> Iterator[Recording]:
    missing, empty = [], []
    for row in _table_rows(_read_text(table), table.suffix.lower()):
        path = audio.get(row["file"].replace("\\", "/").removeprefix("./"))
        text = clean_transcript(row["transcript"])
        if path is None:
            missing.append(row["file"])
        elif not text:
            empty.append(row["file"])
        else:
            yield Recording(
                path,
                row.get("speaker") or folder.name,
                (row.get("gender") or "")[:1].lower(),
                text,
                path.relative_to(folder).as_posix(),
                row.get("language") or "",
            )
    if table.stem in _TABLES:
        _name_skipped(f"listed in {table.name} but missing", missing)
        _name_skipped("without words", empty)


def _table_rows(text: str, suffix: str) -> Iterator[dict[str, str]]:
    """Rows with the keys file, transcript and perhaps speaker, gender, language."""
    lines = text.splitlines()
    if not lines:
        return
    if suffix == ".txt":
        for line in lines:
            match = re.match(r"\s*([^:;#\s][^:]*?)\s*:\s*(.*\S)", line)
            if match:
                spoken = re.sub(r"\([^)]*\)", " ", match[2])
                yield {"file": match[1], "transcript": spoken}
        return
    delimiter = "\t" if "\t" in lines[0] else "|" if "|" in lines[0] else ","
    cells = [cell.strip().lower() for cell in lines[0].split(delimiter)]
    columns = {
        key: next(cells.index(name) for name in names if name in cells)
        for key, names in _COLUMNS.items()
        if any(name in cells for name in names)
    }
    if delimiter == ",":
        rows = csv.reader(lines)
    else:  # quotation marks are part of the words there
        rows = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    if "file" in columns and "transcript" in columns:
        next(rows)
        for row in rows:
            if len(row) > max(columns["file"], columns["transcript"]):
                yield {k: row[i].strip() for k, i in columns.items() if i < len(row)}
    else:  # no header: name first, the last column has the words with numbers written out
        for row in rows:
            if len(row) >= 2:
                yield {"file": row[0].strip(), "transcript": row[-1].strip()}


def _from_text_files(folder: Path, audio: dict[str, Path]) -> Iterator[Recording]:
    without = []
    for path in sorted(set(audio.values())):
        words = path.with_suffix(".txt")
        text = clean_transcript(" ".join(_read_text(words).split())) if words.is_file() else ""
        if text:
            name = path.relative_to(folder).as_posix()
            yield Recording(path, folder.name, "", text, name)
        else:
            without.append(path.name)
    _name_skipped("without words", without)


def clean_transcript(text: str) -> str:
    """A transcript without [remarks] and <marks>; '' when nothing pronounceable is left.

    A single letter does not count: how its name is read differs from what a synthesiser says.
    """
    text = re.sub(r"\[[^\]]*\]|<[^>]*>|\{[^}]*\}", " ", text)
    text = re.sub(r"\s+", " ", text).strip()
    letters = sum(c.isalpha() for c in text)
    return text if letters > 1 or any(c.isdigit() for c in text) else ""


def _name_skipped(reason: str, names: list[str]) -> None:
    if names:
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        print(f"skipped, {reason}: {', '.join(names[:8])}{more}", flush=True)
