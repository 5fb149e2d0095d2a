# SPDX-License-Identifier: GPL-3.0-or-later
"""`doctor`: what this backend can do on this machine, and what mends what it cannot."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import shutil
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from backend.models import shipped_weights
from backend.server.folders import default_data_folder

MEND = "python install.py backend"

# Module to import, and the distribution that carries it.
_NEEDED = {
    "numpy": "numpy",
    "scipy": "scipy",
    "torch": "torch",
    "safetensors": "safetensors",
    "soundfile": "soundfile",
    "soxr": "soxr",
    "av": "av",
    "zmq": "pyzmq",
    "mediapipe": "mediapipe",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
}
_OPTIONAL_PROGRAMS = {
    "rhubarb": "a peer in the table of `evaluate speech`",
    "flite": "more synthetic voices for `train`",
}
_OPTIONAL_MODULES = {
    "espeakng_loader": "synthetic voices for `train`",
    "pocketsphinx": "aligns recordings for `train`",
}


@dataclass(frozen=True)
class Finding:
    """One line of the report: what, in which state, and what to do when it is wrong."""

    what: str
    state: str
    mend: str = ""
    needed: bool = True


def findings() -> list[Finding]:
    """Everything `doctor` looks at, without loading a heavy library."""
    found = [Finding("Python", platform.python_version())]
    for module, distribution in _NEEDED.items():
        if importlib.util.find_spec(module) is None:
            found.append(Finding(distribution, "missing", MEND))
        else:
            found.append(Finding(distribution, importlib.metadata.version(distribution)))
    for name, path in shipped_weights().items():
        state = f"{path.stat().st_size / 1e6:.1f} MB" if path.is_file() else "missing"
        mend = "" if path.is_file() else "clone the repository again: its weights are part of it"
        found.append(Finding(f"weights: {name}", state, mend))
    for module, use in _OPTIONAL_MODULES.items():
        state = "there" if importlib.util.find_spec(module) else f"not there ({use})"
        found.append(Finding(module, state, needed=False))
    for program, use in _OPTIONAL_PROGRAMS.items():
        place = shutil.which(program)
        found.append(Finding(program, place or f"not there ({use})", needed=False))
    found.append(Finding("results are kept in", str(default_data_folder()), needed=False))
    return found


@dataclass(frozen=True)
class Doctor:
    """Say what is installed, what is missing, and what mends it."""

    def run(self) -> int:
        table = Table("part", "state", "what mends it")
        wrong = 0
        for finding in findings():
            wrong += bool(finding.needed and finding.mend)
            table.add_row(finding.what, finding.state, finding.mend)
        Console().print(table)
        print(f"{wrong} part(s) missing" if wrong else "everything that is needed is there")
        return 1 if wrong else 0
