# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech from the program `festival`, whose voices are built from recordings of real people.

The program is slow to start, so one call speaks many sentences. The known voices, the encoding of
their text and the names of their phones are in `voices_festival.json`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import soundfile
import soxr

from backend.training.corpus.utterance import SAMPLE_RATE, Phone, Utterance, to_int16

_SECONDS_PER_LINE = 12.0
_VOWELS = frozenset(
    ["iy", "ih", "ey", "eh", "ae", "aa", "ao", "ow", "uh", "uw", "ue", "ah", "er", "ay", "aw", "oy"]
)
_SCRIPT = """(voice_{voice})
(define stretch_of_voice (or (Parameter.get 'Duration_Stretch) 1.0))
(define options_of_voice (if (boundp 'hts_engine_params) hts_engine_params nil))
(define pitch 1.0)
(define (change_pitch utterance)
 (if (member 'Target (utt.relationnames utterance))
  (mapcar
   (lambda (target)
    (let ((hertz (parse-number (item.feat target 'f0))))
     (if (> hertz 0) (item.set_feat target 'f0 (* pitch hertz)))))
   (utt.relation.leafs utterance 'Target)))
 utterance)
(set! after_analysis_hooks
 (append
  (if (or (null after_analysis_hooks) (consp after_analysis_hooks))
   after_analysis_hooks
   (list after_analysis_hooks))
  (list change_pitch)))
(define (say number stretch new_pitch text)
 (unwind-protect
  (begin
   (format stderr "\nline %d\n" number)
   (set! pitch new_pitch)
   (Parameter.set 'Duration_Stretch (* stretch_of_voice stretch))
   (set! hts_engine_params (append options_of_voice (list (list "-r" (/ 1.0 stretch)))))
   (set! u (eval (list 'Utterance 'Text text)))
   (utt.synth u)
   (utt.save.wave u (format nil "%d.wav" number) 'riff)
   (utt.save.segs u (format nil "%d.seg" number)))
  (format stderr "failed %d\n" number)))
"""


@dataclass(frozen=True)
class Voice:
    """One voice: language and encoding of its text, phone set, engine (what can be varied)."""

    name: str
    language: str
    encoding: str
    phones: str
    engine: str


@dataclass(frozen=True)
class Line:
    """One sentence to speak.

    `stretch` > 1 is slower, `pitch` > 1 higher, `tape` > 1 both faster and higher, like a tape that
    runs too fast (which also shortens the vocal tract).
    """

    text: str
    stretch: float = 1.0
    pitch: float = 1.0
    tape: float = 1.0


@cache
def _data() -> dict[str, Any]:
    path = Path(__file__).with_name("voices_festival.json")
    data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return data


def held_out_voice() -> str:
    """The voice that no training corpus may hold."""
    return str(_data()["held_out"])


def known_voices() -> dict[str, Voice]:
    """All voices that have a phone table, by name."""
    return {name: Voice(name=name, **entry) for name, entry in _data()["voices"].items()}


@cache
def phone_table(phones: str) -> dict[str, tuple[str, ...]]:
    """Phone names of a phone set, mapped to labels of the articulation table."""
    return {
        name: tuple(labels.split())
        for labels, names in _data()["phones"][phones].items()
        if labels != "why"
        for name in names.split()
    }


@cache
def installed_voices() -> tuple[Voice, ...]:
    """The known voices that are installed; () without the program."""
    if shutil.which("festival") is None:
        return ()
    command = ["festival", "--batch", "(print (voice.list))"]
    try:
        result = subprocess.run(command, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    names = set(re.findall(r"[\w-]+", result.stdout.decode("latin-1")))
    known = known_voices()
    return tuple(known[name] for name in sorted(names & set(known)))


def speak(voice: Voice, lines: Sequence[Line]) -> Iterator[Utterance]:
    """Speak sentences in one run of the program; those that fail are printed and left out."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "say.scm").write_bytes(_script(voice, lines))
        try:
            result = subprocess.run(
                ["festival", "--batch", "say.scm"],
                cwd=folder,
                capture_output=True,
                timeout=30.0 + _SECONDS_PER_LINE * len(lines),
                check=False,
            )
            complaints = _complaints(result.stderr.decode("latin-1"))
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"festival {voice.name}: {error}")
            complaints = {}
        for number, line in enumerate(lines):
            try:
                complaint = complaints.get(number, "")
                # A diphone that was never recorded leaves a gap in the speech.
                if "using default diphone" in complaint:
                    raise ValueError(complaint)
                yield _read(folder, number, voice, line)
            except soundfile.LibsndfileError:
                print(f"skipped: festival {voice.name}: {line.text}: {complaint or 'no sound'}")
            except (OSError, ValueError, KeyError) as error:
                print(f"skipped: festival {voice.name}: {line.text}: {error}")


def _complaints(errors: str) -> dict[int, str]:
    """The program's first message about each line, by the line's number."""
    parts = re.split(r"(?m)^line (\d+)$", errors)
    return {
        int(number): words.strip().splitlines()[0]
        for number, words in zip(parts[1::2], parts[2::2], strict=True)
        if words.strip()
    }


def _script(voice: Voice, lines: Sequence[Line]) -> bytes:
    parts = [_SCRIPT.replace("{voice}", voice.name).encode("ascii")]
    for number, line in enumerate(lines):
        stretch = 1.0 if voice.engine == "clunits" else line.stretch
        head = f"(say {number} {stretch:.3f} {line.pitch:.3f} ".encode("ascii")
        # A letter that the voice's encoding lacks is left out rather than the whole sentence.
        text = line.text.encode(voice.encoding, "ignore")
        parts.append(head + b'"' + text.replace(b"\\", b"").replace(b'"', b"") + b'")\n')
    return b"".join(parts)


def _read(folder: Path, number: int, voice: Voice, line: Line) -> Utterance:
    samples, rate = soundfile.read(folder / f"{number}.wav", dtype="float32", always_2d=True)
    if len(samples) < rate // 10:
        raise ValueError("no sound was produced")
    mono = soxr.resample(samples.mean(axis=1), rate * line.tape, SAMPLE_RATE)
    duration = len(mono) / SAMPLE_RATE
    segments = (folder / f"{number}.seg").read_text("latin-1")
    phones = read_segments(segments, voice.phones, line.tape, duration)
    return Utterance(line.text, f"festival:{voice.name}", to_int16(mono), tuple(phones))


def read_segments(text: str, phones: str, tape: float, duration: float) -> list[Phone]:
    """What `utt.save.segs` wrote (end in s, a number, name) as phones that fill the clip.

    Raises KeyError for a name that the phone set does not have.
    """
    table = phone_table(phones)
    found: list[Phone] = []
    start = 0.0
    for row in text.partition("#\n")[2].splitlines():
        fields = row.split()
        if len(fields) != 3:
            continue
        if fields[2] not in table:
            raise KeyError(f"unknown phone {fields[2]!r} of {phones!r}")
        end = min(float(fields[0]) / tape, duration)
        if end <= start:
            continue
        labels = table[fields[2]]
        for part, label in enumerate(labels):
            left = start + (end - start) * part / len(labels)
            right = start + (end - start) * (part + 1) / len(labels)
            # Doubled consonants are one long closure; so are two pauses in a row.
            if found and found[-1].label == label and label not in _VOWELS:
                found[-1] = Phone(found[-1].start, right, label)
            else:
                found.append(Phone(left, right, label))
        start = end
    if not any(phone.label != "sil" for phone in found):
        raise ValueError("no phones were produced")
    if start < duration:
        if found[-1].label == "sil":
            found[-1] = Phone(found[-1].start, duration, "sil")
        else:
            found.append(Phone(start, duration, "sil"))
    return found
