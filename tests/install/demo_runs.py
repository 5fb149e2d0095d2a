# SPDX-License-Identifier: GPL-3.0-or-later
"""Two runs of `install.py demo`: with a second of speech, and with a photo without a face."""

from __future__ import annotations

import sys
from pathlib import Path

from beside import Beside

from installer import environments
from installer.environments import BLENDER45
from installer.paths import ROOT, SAMPLE_AUDIO

WHOLE, WITHOUT_A_FACE = "demo", "demo without a face"
SECONDS = 1.0


def why_missing() -> str:
    """Why the demo cannot run without a set-up before it; "" where it can."""
    if environments.is_ready(BLENDER45, environments.BLENDER45_FILES):
        return ""
    return ".venv/blender45 is not set up; python install.py test does it"


def results(folder: Path) -> Path:
    """Where the whole demo leaves its files; a space is a frequent trap."""
    return folder / "results of it"


def begin(beside: Beside, folder: Path) -> None:
    """Begin both, with all that they read and write in `folder`."""
    import soundfile
    from PIL import Image

    samples, rate = soundfile.read(SAMPLE_AUDIO, stop=int(SECONDS * 16000))
    assert rate == 16000
    voice, photo = folder / "a second.wav", folder / "sky.png"
    soundfile.write(voice, samples, rate)
    Image.new("RGB", (400, 400), (90, 140, 220)).save(photo)
    # The backend keeps results in the user's data folder: not in that of whoever tests.
    home = folder / "home"
    home.mkdir()
    own = {"HOME": str(home), "XDG_DATA_HOME": str(home / "data")}
    demo = [sys.executable, str(ROOT / "install.py"), "demo", "--out"]
    beside.begin(WHOLE, [*demo, str(results(folder)), "--audio", str(voice)], **own)
    beside.begin(WITHOUT_A_FACE, [*demo, str(folder / "none"), "--image", str(photo)], **own)
