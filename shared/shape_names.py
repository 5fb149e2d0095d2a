# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a shape key's name the way a person does: which words, and which side of the face.

'eyeBlinkLeft', 'Eye_Blink_L', 'EyeBlink.L', 'LeftEyeBlink' and 'Head.blendShape1.eyeBlink_L'
all mean the same. The words count, not how they are spelled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from .arkit import ARKIT_NAMES

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SIDE_WORDS = {"l": "L", "left": "L", "lft": "L", "r": "R", "right": "R", "rgt": "R"}


@dataclass(frozen=True)
class ReadName:
    """Lower-case words in order without the side word, and the side: 'L', 'R' or ''."""

    words: tuple[str, ...]
    side: str

    @property
    def squashed(self) -> str:
        return "".join(self.words)


def split_words(name: str) -> tuple[str, ...]:
    """'Eye_L_Look_Up' -> ('eye', 'l', 'look', 'up'); 'eyeBlinkL' -> ('eye', 'blink', 'l')."""
    return tuple(word.lower() for word in _WORD.findall(name))


def read_name(name: str) -> ReadName:
    """Words and side of a name. The last side word counts, unless only the first word is one."""
    words = list(split_words(name))
    side = ""
    for position in (len(words) - 1, 0):
        if len(words) > 1 and words[position] in _SIDE_WORDS:
            side = _SIDE_WORDS[words.pop(position)]
            break
    return ReadName(tuple(words), side)


def readings(name: str) -> tuple[ReadName, ...]:
    """All readings of a name, the longest first: leading words may be a prefix of the rig.

    'Genesis8__head_eyeBlinkLeft' is also read as 'headEyeBlinkLeft' and as 'eyeBlinkLeft'.
    """
    full = read_name(name)
    parts = [full]
    words = full.words
    # A leading side word ('Left_eyeBlink') has been removed already; the rest may be a prefix.
    for start in range(1, len(words)):
        parts.append(ReadName(words[start:], full.side))
    return tuple(parts)


def squash(name: str) -> str:
    """Only letters and digits, lower case: 'EYEBLINKLEFT' and 'eye blink left' become the same."""
    return "".join(character for character in name.lower() if character.isalnum())


def channel_by_spelling(name: str) -> str | None:
    """The ARKit channel with the same letters, in any case, with the side written in any way."""
    return _squashed_channels().get(squash(name))


def channel_by_words(name: str) -> str | None:
    """The ARKit channel that a name's words spell after a rig's prefix; None for other names."""
    table = _channels_by_words()
    for reading in readings(name):
        # 'browInnerUp_L' is half of a channel that ARKit does not split: both halves map to it.
        for side in dict.fromkeys((reading.side, "")):
            channel = table.get((reading.squashed, side))
            if channel is not None:
                return channel
    return None


@cache
def _squashed_channels() -> dict[str, str]:
    """'eyeblinkleft', 'eyeblinkl', 'lefteyeblink' -> 'eyeBlinkLeft'."""
    table = {squash(name): name for name in ARKIT_NAMES}
    for name in ARKIT_NAMES:
        reading = read_name(name)
        if reading.side:
            word = {"L": "left", "R": "right"}[reading.side]
            for spelling in (reading.squashed + reading.side.lower(), word + reading.squashed):
                table.setdefault(spelling, name)
    return table


@cache
def _channels_by_words() -> dict[tuple[str, str], str]:
    table: dict[tuple[str, str], str] = {}
    for name in ARKIT_NAMES:
        reading: ReadName = read_name(name)
        table[(reading.squashed, reading.side)] = name
    return table
