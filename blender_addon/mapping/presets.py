# SPDX-License-Identifier: GPL-3.0-or-later
"""Naming conventions as data: read `presets/*.json`.

A preset has `aliases` (a key's name -> the ARKit channels it follows, with weights), `visemes`
(a key's name -> a viseme of its `prototypes`) and `prototypes` (a viseme -> the ARKit weights of
that mouth shape).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from ..contracts import arkit


@dataclass(frozen=True)
class Alias:
    """One known key name. `unless` names keys whose presence makes this one superfluous."""

    name: str
    terms: tuple[tuple[str, float], ...]
    unless: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preset:
    """One naming convention."""

    name: str
    aliases: tuple[Alias, ...]
    visemes: tuple[tuple[str, str], ...]
    prototypes: tuple[tuple[str, tuple[tuple[str, float], ...]], ...]


@cache
def load_presets() -> tuple[Preset, ...]:
    """Every preset that ships with the add-on, in the order of their file names."""
    folder = resources.files(__package__).joinpath("presets")
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".json")),
        key=lambda file: file.name,
    )
    return tuple(
        preset_from_json(file.name.removesuffix(".json"), json.loads(file.read_text("utf-8")))
        for file in files
    )


@cache
def viseme_names() -> frozenset[str]:
    """All visemes that a rule may name, as 'preset:viseme'."""
    return frozenset(
        f"{preset.name}:{viseme}" for preset in load_presets() for viseme, _ in preset.prototypes
    )


def preset_from_json(name: str, document: dict[str, Any]) -> Preset:
    """Check and freeze one preset document; raises ValueError for an unknown channel or viseme."""
    prototypes = tuple(
        (viseme, _terms(weights)) for viseme, weights in document.get("prototypes", {}).items()
    )
    known_visemes = {viseme for viseme, _ in prototypes}
    visemes = tuple(document.get("visemes", {}).items())
    for key, viseme in visemes:
        if viseme not in known_visemes:
            raise ValueError(f"preset {name}: '{key}' names the unknown viseme '{viseme}'")
    aliases = []
    for key, entry in document.get("aliases", {}).items():
        channels = entry.get("channels", {}) if isinstance(entry, dict) else {entry: 1.0}
        unless = tuple(entry.get("unless", ())) if isinstance(entry, dict) else ()
        aliases.append(Alias(key, _terms(channels), unless))
    return Preset(name, tuple(aliases), visemes, prototypes)


def _terms(channels: dict[str, float]) -> tuple[tuple[str, float], ...]:
    for channel in channels:
        if channel not in arkit.INDEX:
            raise ValueError(f"'{channel}' is not an ARKit channel")
    return tuple((channel, float(weight)) for channel, weight in channels.items())
