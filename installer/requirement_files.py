# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the files in requirements/: exact pins, one per line, comments, simple markers."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!+_-]+)\s*(?:;\s*(.+))?$")


@dataclass(frozen=True)
class Pin:
    """One package at one version; `marker` restricts it to some systems, empty for all."""

    name: str
    version: str
    marker: str = ""


def normalised(name: str) -> str:
    """The one spelling of a package's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse(text: str) -> list[Pin]:
    """Parses a requirements file. Raises ValueError on a line that is not an exact pin."""
    pins = []
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.split("#", 1)[0].strip()
        if not content:
            continue
        match = _PIN.match(content)
        if not match:
            raise ValueError(f"line {number} is not of the form name==version: {content}")
        pins.append(Pin(normalised(match[1]), match[2], (match[3] or "").strip()))
    return pins


def fingerprint(path: Path) -> str:
    """sha256 of the pins; comments and their order of lines do not count."""
    pins = sorted(
        f"{pin.name}=={pin.version};{pin.marker}" for pin in parse(path.read_text("utf-8"))
    )
    return hashlib.sha256("\n".join(pins).encode()).hexdigest()
