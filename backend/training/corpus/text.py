# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences to be spoken, from a seeded generator. Nothing is downloaded.

English ones come from the lists and frames of `words.json`, those of other languages from
`words_world.json`.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@cache
def _words() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(Path(__file__).with_name("words.json").read_text("utf-8"))
    return data


@cache
def _world() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(
        Path(__file__).with_name("words_world.json").read_text("utf-8")
    )
    return data


@cache
def _english_lists() -> dict[str, list[str]]:
    english = _words()["english"]
    lists = {name: text.split() for name, text in (english["lists"] | english["extra"]).items()}
    lists["place"] = [p for p in re.split(r" (?=the |[A-Z])", english["lists"]["place"]) if p]
    lists["adverb"] = re.findall(
        r"(?:over|from|at|by|in|on|without|this|for) (?:\w+ )?\w+|\w+", english["lists"]["adverb"]
    )
    return lists


@cache
def _rare_words() -> list[str]:
    """Words of the aligner's pronouncing dictionary where it is installed: rare phone sequences."""
    try:
        from pocketsphinx import get_model_path
    except ImportError:
        return []
    path = Path(get_model_path()) / "en-us" / "cmudict-en-us.dict"
    if not path.is_file():
        return []
    words = (line.split(" ", 1)[0] for line in path.read_text("utf-8").splitlines())
    return sorted(w for w in words if w.isalpha() and 4 <= len(w) <= 11)


def held_out_languages() -> list[str]:
    """Languages kept out of all training corpora, to test generalisation to a new language."""
    return list(_world()["held_out"])


def languages() -> list[str]:
    """Languages other than English for training: those with words, less the held-out ones."""
    return sorted(set(_world()["words"]) - set(held_out_languages()))


def words(language: str) -> list[str]:
    """The words of a language other than English. Raises KeyError where there are none."""
    return str(_world()["words"][language]).split()


def english_sentence(random: np.random.Generator) -> str:
    """One English sentence; one in three carries rare words."""
    lists = _english_lists()
    frames = _words()["english"]["frames"]
    rare = _rare_words() if random.random() < 0.35 else []

    def choose(match: re.Match[str]) -> str:
        name = match.group(1)
        if rare and name in ("noun", "adjective", "minimal") and random.random() < 0.6:
            return str(random.choice(rare))
        words = lists[name]
        return words[int(random.integers(len(words)))]

    return _PLACEHOLDER.sub(choose, frames[int(random.integers(len(frames)))])


def foreign_sentence(language: str, random: np.random.Generator) -> str:
    """Four to nine random words of a language, with a comma or two for pauses."""
    known = words(language)
    count = int(random.integers(4, 10))
    chosen = [known[int(random.integers(len(known)))] for _ in range(count)]
    commas = [w + "," if random.random() < 0.15 else w for w in chosen[:-1]]
    return " ".join([*commas, chosen[-1]]) + "."
