# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and writes the files in requirements/: exact pins with the digests of their files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.!+_-]+)\s*(?:;\s*(.+))?$")
_HASH = re.compile(r"\s--hash=sha256:([0-9a-f]{64})(?=\s|$)")


@dataclass(frozen=True)
class Pin:
    """One package at one version; `marker` restricts it to some systems, empty for all.

    `digests` are the sha256 of the files that may be installed: those of every system, in hex.
    """

    name: str
    version: str
    marker: str = ""
    digests: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The pin as pip reads it, without a newline at its end."""
        marker = f" ; {self.marker}" if self.marker else ""
        hashes = [f"    --hash=sha256:{digest}" for digest in self.digests]
        return " \\\n".join([f"{self.name}=={self.version}{marker}", *hashes])


def normalised(name: str) -> str:
    """The one spelling of a package's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines as pip joins them (a backslash at the end goes on), with the number of the first."""
    joined, first = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        first = first or number
        if line.endswith("\\"):
            joined += line[:-1]
            continue
        yield first, joined + line
        joined, first = "", 0
    if joined:
        yield first, joined


def _pin(line: str) -> Pin | None:
    """The pin on a line; None where the line has only a comment. Raises ValueError."""
    content = line.split("#", 1)[0].strip()
    if not content:
        return None
    digests = tuple(_HASH.findall(content))
    match = _PIN.match(_HASH.sub("", content).strip())
    if not match:
        raise ValueError(f"is not of the form name==version: {content[:100]}")
    return Pin(normalised(match[1]), match[2], (match[3] or "").strip(), digests)


def parse(text: str) -> list[Pin]:
    """Parses a requirements file. Raises ValueError on a line that is not an exact pin."""
    pins = []
    for number, line in _logical_lines(text):
        try:
            pin = _pin(line)
        except ValueError as error:
            raise ValueError(f"line {number} {error}") from error
        if pin:
            pins.append(pin)
    return pins


def with_digests(text: str, digests: Mapping[str, Sequence[str]]) -> str:
    """The file's text with the digests that are given by name; comments stay where they are."""
    lines = []
    for _, line in _logical_lines(text):
        pin = _pin(line)
        if pin:
            line = Pin(pin.name, pin.version, pin.marker, tuple(sorted(digests[pin.name]))).text
        lines.append(line)
    return "\n".join(lines) + "\n"


def fingerprint(path: Path) -> str:
    """sha256 of the pins; comments, digests and the order of the lines do not count."""
    pins = sorted(
        f"{pin.name}=={pin.version};{pin.marker}" for pin in parse(path.read_text("utf-8"))
    )
    return hashlib.sha256("\n".join(pins).encode()).hexdigest()
