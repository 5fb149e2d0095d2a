# SPDX-License-Identifier: GPL-3.0-or-later
"""espeak-ng through its C interface: samples and the exact sample at which each phone begins.

The library and its data come with the package `espeakng-loader`. The library keeps global state, so
there is one voice at a time per process; the callbacks below are kept at module level because C
holds a pointer to them.
"""

from __future__ import annotations

import ctypes
import json
import unicodedata
from functools import cache
from pathlib import Path

import numpy as np
import soxr
from jaxtyping import Int16
from numpy.typing import NDArray

from backend.training.corpus.utterance import SAMPLE_RATE, Phone, Utterance, to_int16

_EVENT_END = 5
_EVENT_PHONEME = 7
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_RETRIEVAL = 1
_PHONEME_EVENTS = 1
_IPA = 2
_UTF8 = 1

_STOPS = frozenset(("p", "b", "t", "d", "k", "g", "ch", "jh"))
_LONGEST_CLOSURE = 0.2
_SILENCE = 4

VARIANTS = (
    [f"m{i}" for i in range(1, 9)]
    + [f"f{i}" for i in range(1, 6)]
    + [f"klatt{i}" for i in range(1, 7)]
    + [
        "Adam",
        "Alex",
        "Alicia",
        "Andrea",
        "Andy",
        "anikaRobot",
        "announcer",
        "Annie",
        "antonio",
        "aunty",
        "belinda",
        "Denis",
        "Diogo",
        "ed",
        "edward",
        "Gene",
        "Gene2",
        "grandma",
        "grandpa",
        "Henrique",
        "iven",
        "iven2",
        "iven3",
        "Jacky",
        "john",
        "kaukovalta",
        "Lee",
        "linda",
        "marcelo",
        "Marco",
        "Mario",
        "max",
        "Mike",
        "miguel",
        "norbert",
        "pablo",
        "paul",
        "pedro",
        "quincy",
        "Reed",
        "rob",
        "robert",
        "rosie",
        "sandro",
        "shelby",
        "steph",
        "travis",
        "zac",
        "boris",
        "croak",
        "whisper",
    ]
)
ENGLISH = ["en-us", "en", "en-gb-x-rp", "en-gb-scotland", "en-029", "en-gb-x-gbclan", "en-us-nyc"]


class _Identity(ctypes.Union):
    _fields_ = [
        ("number", ctypes.c_int),
        ("name", ctypes.c_char_p),
        ("string", ctypes.c_char * 8),
    ]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identity),
    ]


_pieces: list[NDArray[np.int16]] = []
_events: list[tuple[int, str]] = []


@ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)
def _on_samples(samples, count, events):  # type: ignore[no-untyped-def]
    if samples and count > 0:
        _pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
    index = 0
    while events[index].type != 0:
        event = events[index]
        if event.type == _EVENT_PHONEME:
            text = bytes(event.id.string).split(b"\0")[0].decode("utf-8", "replace")
            _events.append((event.sample, text))
        elif event.type == _EVENT_END:
            _events.append((event.sample, ""))
        index += 1
    return 0


@cache
def _library() -> tuple[ctypes.CDLL, int]:
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(
        _RETRIEVAL, 0, espeakng_loader.get_data_path().encode(), _PHONEME_EVENTS | _IPA
    )
    if rate <= 0:
        raise RuntimeError("espeak-ng could not be initialised")
    library.espeak_SetSynthCallback(_on_samples)
    return library, int(rate)


@cache
def _phone_table(language: str) -> dict[str, tuple[str, ...]]:
    """Phone names to labels: the common table, overridden by that of the language."""
    data = json.loads(Path(__file__).with_name("phones_espeak.json").read_text("utf-8"))
    table: dict[str, tuple[str, ...]] = {}
    languages = data["languages"]
    own = languages.get(language) or languages.get(language.split("-")[0], {})
    for part in (data["common"], own):
        for labels, names in part.items():
            if labels != "why":
                table.update({name: tuple(labels.split()) for name in names.split()})
    return table


# Stress, length, tie, voicelessness, aspiration, palatalisation...: they do not affect the lips.
_STRESS = str.maketrans("", "", "ˈˌ")
_MARKS = str.maketrans("", "", "ˈˌːˑ'ʲ̪̯̩̺̻̊ʰʱˠˤ͡\u200d%=|^;,\"!.")
_SILENT = set("-_:*@#?")
_TILDE = "\u0303"


def without_marks(symbol: str) -> str:
    """A phone name without stress, length and the like."""
    bare = unicodedata.normalize("NFD", symbol).replace(_TILDE, "")
    return unicodedata.normalize("NFC", bare).translate(_MARKS)


def phone_labels(symbol: str, language: str = "") -> list[str]:
    """An espeak-ng phone name as ARPAbet-like labels; [] for a mark without a sound.

    Diphthongs and affricates that have no label of their own are split into their symbols.
    Raises KeyError naming a symbol that `phones_espeak.json` does not know.
    """
    table = _phone_table(language)
    stressless = symbol.translate(_STRESS)
    for name in (symbol, stressless, without_marks(symbol)):
        if name in table:
            return list(table[name])
    if symbol.startswith("("):
        return []
    plain = without_marks(symbol)
    if plain.strip("_:- ") == "":
        return ["sil"] if "_" in symbol or symbol == "" else []
    labels: list[str] = []
    for character in plain:
        if character.isdigit() or character in _SILENT:
            continue
        if character not in table:
            raise KeyError(f"{symbol!r} (character {character!r})")
        labels.extend(label for label in table[character] if label not in labels[-1:])
    return labels


def _vowel_split(labels: list[str]) -> list[float]:
    """Shares of a diphthong's parts: the glide takes the last 40 %."""
    if len(labels) == 1:
        return [0.0, 1.0]
    if len(labels) == 2:
        return [0.0, 0.6, 1.0]
    return [i / len(labels) for i in range(len(labels) + 1)]


def speak(
    text: str, voice: str, rate: int = 175, pitch: int = 50, pitch_range: int = 50
) -> Utterance:
    """Speak `text`; rate in words per minute, pitch and range 0..99.

    Raises ValueError for an unknown voice and KeyError for a phone without a mapping.
    """
    library, sample_rate = _library()
    _pieces.clear()
    _events.clear()
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise ValueError(f"espeak-ng has no voice {voice!r}")
    for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, pitch_range)):
        library.espeak_SetParameter(parameter, int(value), 0)
    encoded = text.encode()
    library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    raw = np.concatenate(_pieces) if _pieces else np.zeros(0, np.int16)
    samples = soxr.resample(raw.astype(np.float32) / 32768.0, sample_rate, SAMPLE_RATE)
    language = voice.partition("+")[0]
    phones = _phones_from_events(list(_events), len(raw) / sample_rate, sample_rate, language)
    phones = _with_closures(phones, raw, sample_rate)
    return Utterance(text, f"espeak:{voice}", to_int16(samples), tuple(phones))


def _with_closures(
    phones: list[Phone], raw: Int16[np.ndarray, " N"], sample_rate: int
) -> list[Phone]:
    """Give the silence before a stop's burst to the stop.

    espeak-ng reports a voiceless stop only after the closure, some 35 ms late, which would leave
    the closed lips of a p to the vowel before it. The closure is exact silence in `raw`.
    """
    result: list[Phone] = []
    for phone in phones:
        before = result[-1] if result else None
        if phone.label in _STOPS and before is not None and before.label != "sil":
            first = max(0, int((phone.start - _LONGEST_CLOSURE) * sample_rate))
            quiet = np.abs(raw[first : int(phone.start * sample_rate)].astype(np.int32)) <= _SILENCE
            loud = np.flatnonzero(~quiet)
            # The burst may begin slightly before the reported time.
            slack = int(0.005 * sample_rate)
            loud = loud[loud < len(quiet) - slack]
            start = (first + (int(loud[-1]) + 1 if len(loud) else 0)) / sample_rate
            start = max(start, before.start + 0.005)
            if start < phone.start - 0.008:
                result[-1] = Phone(before.start, start, before.label)
                phone = Phone(start, phone.end, phone.label)
        result.append(phone)
    return result


def _phones_from_events(
    events: list[tuple[int, str]], duration: float, sample_rate: int, language: str
) -> list[Phone]:
    phones: list[Phone] = []
    if events and events[0][0] > 0:
        phones.append(Phone(0.0, events[0][0] / sample_rate, "sil"))
    for (sample, symbol), following in zip(events, [*events[1:], (-1, "")], strict=True):
        start = min(sample / sample_rate, duration)
        end = duration if following[0] < 0 else min(following[0] / sample_rate, duration)
        if end <= start:
            continue
        labels = phone_labels(symbol, language)
        if not labels:
            # A mark without a sound of its own: its time belongs to the phone before.
            labels = [phones[-1].label] if phones else ["sil"]
        shares = _vowel_split(labels)
        for label, first, last in zip(labels, shares[:-1], shares[1:], strict=True):
            left, right = start + first * (end - start), start + last * (end - start)
            if phones and phones[-1].label == label and label == "sil":
                phones[-1] = Phone(phones[-1].start, right, label)
            else:
                phones.append(Phone(left, right, label))
    if phones and phones[-1].end < duration:
        phones.append(Phone(phones[-1].end, duration, "sil"))
    return phones
