# SPDX-License-Identifier: GPL-3.0-or-later
"""Phones with times: reading them, and the mouth that each of them requires."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from shared.errors import ErrorKind, VividKeysError

BILABIAL = frozenset(["p", "b", "m", "em"])
LABIODENTAL = frozenset(["f", "v"])
ROUND = frozenset(["uw", "ow", "w", "uh", "ux"])
SPREAD = frozenset(["iy", "ih", "eh", "ae", "ey", "y"])
OPEN = frozenset(["aa", "ae", "ay", "aw", "ao"])
MID = frozenset(["eh", "ey", "ah", "er", "ax", "axr"])
CLOSE = frozenset(["iy", "ih", "ix", "uw", "uh", "ux"])
SILENCE = frozenset(["sil", "pau", "h#", "sp", "spn", "epi", "#", "ssil"])
VOWELS = OPEN | MID | CLOSE | frozenset(["ow", "oy"])

# How far open the mouth is for a class of phones; the first group that holds the phone counts.
_OPENNESS = (
    (BILABIAL, 0.0),
    (LABIODENTAL, 0.15),
    (ROUND, 0.4),
    (OPEN, 1.0),
    (MID, 0.7),
    (CLOSE, 0.4),
)
OTHER_OPENNESS = 0.35

_TIMIT_RATE = 16_000
_CLOSURE_OF = {"pcl": "p", "bcl": "b", "tcl": "t", "dcl": "d", "kcl": "k", "gcl": "g"}
# A burst may be affricated: tcl + ch, dcl + jh.
_BURSTS_OF = {"tcl": ("t", "ch"), "dcl": ("d", "jh")}


@dataclass(frozen=True)
class Phone:
    """A speech sound from `start` to `end` in seconds; ARPAbet, lower case, without stress."""

    start: float
    end: float
    name: str

    @property
    def length(self) -> float:
        return self.end - self.start


def openness(name: str) -> float | None:
    """0 (lips shut) to 1 (wide open) for a phone that requires an aperture, else None."""
    for group, value in _OPENNESS:
        if name in group:
            return value
    return None


def merge_closures(phones: list[Phone]) -> list[Phone]:
    """Join stop closures with their bursts (pcl + p is one p); a lone pcl becomes p."""
    merged: list[Phone] = []
    skip = False
    for here, following in zip(phones, [*phones[1:], None], strict=True):
        if skip:
            skip = False
            continue
        stop = _CLOSURE_OF.get(here.name)
        if stop is None:
            merged.append(here)
        elif following is not None and following.name in _BURSTS_OF.get(here.name, (stop,)):
            merged.append(Phone(here.start, following.end, following.name))
            skip = True
        else:
            merged.append(Phone(here.start, here.end, stop))
    return merged


def read_phones(path: Path) -> list[Phone]:
    """Read phones from `*.phones.json` ([[start, end, name], ...]) or TIMIT's `*.phn`.

    Raises VividKeysError(bad_file) for anything else.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".phn":
            rows = [line.split() for line in text.splitlines() if line.strip()]
            scale = 1.0 / _TIMIT_RATE
        else:
            rows, scale = json.loads(text), 1.0
        phones = [
            Phone(float(start) * scale, float(end) * scale, str(name).lower().rstrip("0123456789"))
            for start, end, name in rows
        ]
    except (OSError, ValueError, TypeError) as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"'{path.name}' contains no phones: {error}.",
            "It should be a JSON list of [start seconds, end seconds, ARPAbet phone].",
        ) from error
    if not phones or any(
        here.end < here.start or following.start < here.start
        for here, following in zip(phones, [*phones[1:], phones[-1]], strict=True)
    ):
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"'{path.name}' contains no phones in chronological order.",
            "It should be a JSON list of [start seconds, end seconds, ARPAbet phone].",
        )
    return merge_closures(phones)
