# SPDX-License-Identifier: GPL-3.0-or-later
"""How words are pronounced, for an aligner that only knows English phones.

Words of the aligner's English dictionary keep its pronunciation. Everything else comes from
espeak-ng, whole sentences at a time, so that numbers are read out and sounds at word boundaries are
those of running speech. Each phone then has two names: our label, which is kept for training, and
the nearest phones of the aligner's acoustic model, used only to locate it.
"""

from __future__ import annotations

import ctypes
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from backend.training.corpus import espeak
from shared.errors import ErrorKind, VividKeysError

# Our labels and single IPA symbols to the aligner's phones: the usual one, then one for a second
# pronunciation of the same word. A label that is not here is its own phone, in capitals.
NEAREST: dict[str, tuple[str, str]] = {
    "ue": ("UW", "IH"),  # lip rounding as in UW, tongue as in IH
    "bh": ("V", "B"),
    "ae": ("AA", "AE"),  # mostly the open a of other languages, which lies between the two
    "ow": ("AO", "OW"),  # a pure o
    "eh": ("EH", "EY"),
    "ah": ("AH", "AH"),
    "ʁ": ("HH", "R"),  # r of the throat
    "ʀ": ("HH", "R"),
    "r": ("R", "D"),  # rolled
    "ɾ": ("D", "R"),
    "x": ("HH", "K"),
    "χ": ("HH", "K"),
    "ɣ": ("G", "HH"),
    "ʎ": ("L", "Y"),
    "ɲ": ("N", "Y"),
    "ɨ": ("IH", "UH"),
    "ɥ": ("W", "Y"),
    "ʔ": ("T", "K"),
}
_OTHER_NAMES = {"zh": "cmn", "zh-cn": "cmn", "zh-tw": "cmn", "zh-hk": "yue", "no": "nb"}
_LANGUAGE_MARK = re.compile(r"\([a-z0-9-]+\)")
_IPA_MODE = 0x02
_SEPARATOR = "_"
_UTF8 = 1


@dataclass(frozen=True)
class SpokenWord:
    """Our `labels` of a word and, for each, its nearest phones in the aligner's alphabet."""

    labels: tuple[str, ...]
    nearest: tuple[tuple[str, str], ...]


@dataclass
class Dictionary:
    """The words of a set of recordings, under the names by which the aligner knows them."""

    english: bool
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _lines: dict[str, str] = field(default_factory=dict)
    _names: dict[SpokenWord, str] = field(default_factory=dict)

    def sentence(self, transcript: str, language: str) -> list[str]:
        """Names of the words of a sentence; new ones enter the dictionary.

        Raises ValueError naming a word that cannot be pronounced.
        """
        if not (self.english and language.startswith("en")):
            spoken = speak_words(transcript, language)
            return [self._name(word) for word in spoken]
        names = []
        for token in transcript.replace("’", "'").split():
            plain = re.sub(r"[^\w']", "", token.lower()).strip("'_")
            if not plain:
                continue
            parts = [p.strip("'") for p in re.split(r"[^a-z']+", token.lower()) if p.strip("'")]
            if parts and not re.search(r"\d", token) and all(p in _english_words() for p in parts):
                names += parts
            else:
                names += [self._name(word) for word in speak_words(token, language)]
        return names

    def _name(self, word: SpokenWord) -> str:
        name = self._names.get(word)
        if name is None:
            name = self._names[word] = f"word{len(self._names)}"
            self.labels[name] = word.labels
            first, second = (" ".join(p[k] for p in word.nearest) for k in (0, 1))
            self._lines[name] = first
            if second != first:
                self._lines[f"{name}(2)"] = second
        return name

    def write(self, path: Path) -> None:
        """Write the dictionary file that the aligner reads."""
        own = "".join(f"{name} {phones}\n" for name, phones in self._lines.items())
        base = _english_dictionary().read_text("utf-8") if self.english else ""
        path.write_text(base.rstrip("\n") + "\n" + own if base else own, "utf-8")


def _english_dictionary() -> Path:
    from pocketsphinx import get_model_path

    return Path(get_model_path()) / "en-us" / "cmudict-en-us.dict"


@cache
def _english_words() -> frozenset[str]:
    lines = _english_dictionary().read_text("utf-8").splitlines()
    return frozenset(line.split(" ", 1)[0] for line in lines)


def phoneme_words(text: str, language: str) -> list[list[str]]:
    """espeak-ng's phone names (IPA) of each word that it speaks; numbers become several words.

    Raises VividKeysError for a language it does not have.
    """
    library, _ = espeak._library()
    code = language.lower().replace("_", "-")
    code = _OTHER_NAMES.get(code, code)
    # A regional variant that espeak-ng lacks falls back to the language itself.
    candidates = ("en-us",) if code == "en" else (code, code.split("-")[0])
    if all(library.espeak_SetVoiceByName(voice.encode()) != 0 for voice in candidates):
        raise VividKeysError(
            ErrorKind.BAD_REQUEST,
            f"espeak-ng does not speak {language!r}.",
            "Give one of its languages: en, fr, es, de, it, ru, cmn ...",
        )
    translate = library.espeak_TextToPhonemes
    translate.restype = ctypes.c_char_p
    pointer = ctypes.c_char_p(text.encode())
    words: list[list[str]] = []
    mode = _IPA_MODE | ord(_SEPARATOR) << 8
    while pointer.value:
        before = len(pointer.value)
        clause = translate(ctypes.byref(pointer), _UTF8, mode) or b""
        for word in _LANGUAGE_MARK.sub(" ", clause.decode("utf-8", "replace")).split():
            symbols = [s for s in word.split(_SEPARATOR) if s]
            if symbols:
                words.append(symbols)
        if pointer.value and len(pointer.value) >= before:  # no progress: never loop for ever
            break
    return words


def speak_words(text: str, language: str) -> list[SpokenWord]:
    """The words of a text as espeak-ng pronounces them.

    Raises ValueError naming a word with a phone that we have no label for.
    """
    result = []
    for symbols in phoneme_words(text, language):
        labels: list[str] = []
        nearest: list[tuple[str, str]] = []
        for symbol in symbols:
            try:
                found = espeak.phone_labels(symbol, language)
                found = [label for label in found if label != "sil"]
            except KeyError as error:
                raise ValueError(
                    f"no label for a phone of {''.join(symbols)!r}: {error}"
                ) from error
            for label in found:
                plain = espeak.without_marks(symbol)
                usual = NEAREST.get(label, (label.upper(), label.upper()))
                nearest.append(NEAREST.get(plain, usual) if len(found) == 1 else usual)
                labels.append(label)
        if labels:
            result.append(SpokenWord(tuple(labels), tuple(nearest)))
    return result
