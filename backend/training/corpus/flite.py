# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech from the program `flite`, whose clustergen voices come from recordings of real people."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from backend.training.corpus.align import read_samples
from backend.training.corpus.utterance import SAMPLE_RATE, Phone, Utterance

TRAINING_VOICES = ("slt", "awb", "kal16")
HELD_OUT_VOICE = "rms"
_LABELS = {"pau": "sil", "ax": "ah", "axr": "er", "brth": "sil", "": "sil"}


def is_installed() -> bool:
    """Whether the program is on the PATH."""
    return shutil.which("flite") is not None


def speak(text: str, voice: str, stretch: float = 1.0, pitch: float | None = None) -> Utterance:
    """Speak `text` with a flite voice; `stretch` > 1 is slower, `pitch` in Hz.

    Raises RuntimeError with the program's message when it fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = ["flite", "-voice", voice, "-t", text, "-o", str(path), "-psdur"]
        command += ["--setf", f"duration_stretch={stretch:.3f}"]
        if pitch is not None:
            command += ["--setf", f"int_f0_target_mean={pitch:.1f}"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0 or not path.is_file():
            raise RuntimeError(f"flite: {result.stderr.strip()}")
        samples = read_samples(path)
    duration = len(samples) / SAMPLE_RATE
    phones: list[Phone] = []
    start = 0.0
    for item in result.stdout.split():
        name, _, end_text = item.rpartition(":")
        end = min(float(end_text), duration)
        if end > start:
            phones.append(Phone(start, end, _LABELS.get(name, name)))
            start = end
    if phones and start < duration:
        phones.append(Phone(start, duration, "sil"))
    return Utterance(text, f"flite:{voice}", samples, tuple(phones))
