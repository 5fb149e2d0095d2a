# SPDX-License-Identifier: GPL-3.0-or-later
"""Captured clips on disk: NAME.take.npz, NAME.wav, NAME.capture.json, and index.json for all."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Bool, Int16

from backend.audio.load import SAMPLE_RATE
from backend.training.corpus.utterance import to_int16
from shared.disk_errors import told_of_the_disk
from shared.errors import ErrorKind, VividKeysError
from shared.take import save_take
from shared.whole_files import write_whole

from .clip import CONSENT, CapturedClip

FORMAT, VERSION = "vividkeys-capture", 1
INDEX_NAME = "index.json"


@dataclass(frozen=True)
class IndexEntry:
    """File names of one clip in the index's folder; `sound` is None for a silent film."""

    name: str
    take: str
    sound: str | None
    figures: str


def clip_names(videos: Iterable[Path]) -> list[str]:
    """A name for every film: its file's stem, numbered where two would collide."""
    names: list[str] = []
    taken: set[str] = set()
    for video in videos:
        stem = name = video.stem or "clip"
        number = 2
        while name.lower() in taken:
            name, number = f"{stem}-{number}", number + 1
        taken.add(name.lower())
        names.append(name)
    return names


def save_clip(clip: CapturedClip, name: str, folder: Path) -> IndexEntry:
    """Write one clip; each file appears whole or not at all.

    Raises VividKeysError(disk_full, bad_file).
    """
    sound: str | None = None
    take = clip.take
    if clip.audio is not None:
        sound = f"{name}.wav"
        data = _wave(to_int16(clip.audio.samples))
        with told_of_the_disk(folder / sound):
            write_whole(folder / sound, data)
        digest = hashlib.sha256(data).hexdigest()
        take = replace(take, meta={**take.meta, "audio_sha256": digest, "audio_name": sound})
    save_take(take, folder / f"{name}.take.npz")
    about: dict[str, Any] = {
        "name": name,
        "video": take.meta.get("video_name", ""),
        "consent": CONSENT,
        "figures": asdict(clip.figures),
        # Intervals [start, end) in seconds in which the face was found.
        "valid": valid_stretches(clip.valid, take.fps),
    }
    write_json(folder / f"{name}.capture.json", about)
    return IndexEntry(name, f"{name}.take.npz", sound, f"{name}.capture.json")


def save_index(entries: Iterable[IndexEntry], folder: Path) -> None:
    """List all clips of a folder; those of earlier runs stay unless they were captured again."""
    found = {entry.name: entry for entry in _earlier(folder)}
    found.update({entry.name: entry for entry in entries})
    clips = [asdict(found[name]) for name in sorted(found)]
    about = {"format": FORMAT, "version": VERSION, "consent": CONSENT, "clips": clips}
    write_json(folder / INDEX_NAME, about)


def _earlier(folder: Path) -> list[IndexEntry]:
    try:
        entries = load_index(folder)
    except VividKeysError:
        return []  # there is none yet, or a damaged one, which is now replaced
    return [entry for entry in entries if (folder / entry.take).is_file()]


def load_index(folder: Path) -> list[IndexEntry]:
    """The clips of a folder. Raises VividKeysError(bad_file) with the file's name."""
    path = folder / INDEX_NAME
    about = read_json(path, "Make the folder with: python -m backend capture VIDEO --out DIR")
    if about.get("format") != FORMAT or about.get("version") != VERSION:
        raise _bad(path, "is not an index of captured clips of this version")
    clips = about.get("clips")
    if not isinstance(clips, list):
        raise _bad(path, "lists no clips")
    return [_entry(item, path) for item in clips]


def _entry(item: Any, path: Path) -> IndexEntry:
    if not isinstance(item, dict):
        raise _bad(path, "lists a clip that is not an object")
    names = {key: item.get(key) for key in ("name", "take", "sound", "figures")}
    for key, value in names.items():
        if key == "sound" and value is None:
            continue
        # A name from a file must not lead out of the folder.
        if not isinstance(value, str) or not value or Path(value).name != value:
            raise _bad(path, f"lists a clip whose '{key}' is not a file name")
    sound = names["sound"]
    return IndexEntry(
        str(names["name"]),
        str(names["take"]),
        None if sound is None else str(sound),
        str(names["figures"]),
    )


def valid_stretches(valid: Bool[np.ndarray, " T"], fps: float) -> list[list[float]]:
    """Runs of True as [start, end) in seconds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], valid, [False]]).astype(np.int8)))
    return [
        [round(float(start / fps), 5), round(float(end / fps), 5)]
        for start, end in zip(edges[::2], edges[1::2], strict=True)
    ]


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write a JSON file atomically; numbers that are not finite become null."""
    text = json.dumps(_finite(value), ensure_ascii=False, indent=1, allow_nan=False)
    with told_of_the_disk(path):
        write_whole(path, text)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value


def read_json(path: Path, next_step: str = "Capture the film again.") -> dict[str, Any]:
    """The object in a JSON file. Raises VividKeysError(bad_file), naming the file."""
    try:
        value = json.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE, f"There is no file '{path}'.", next_step
        ) from error
    except (OSError, ValueError) as error:
        raise _bad(path, "is damaged or may not be read") from error
    if not isinstance(value, dict):
        raise _bad(path, "does not hold a JSON object")
    return value


def _bad(path: Path, what: str) -> VividKeysError:
    return VividKeysError(ErrorKind.BAD_FILE, f"'{path}' {what}.", "Capture the film again.")


def _wave(samples: Int16[np.ndarray, " N"]) -> bytes:
    memory = io.BytesIO()
    soundfile.write(memory, samples, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return memory.getvalue()
