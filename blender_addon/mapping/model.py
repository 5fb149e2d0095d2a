# SPDX-License-Identifier: GPL-3.0-or-later
"""The mapping itself: one rule per shape key, saved as JSON that can be edited by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contracts import arkit, errors, whole_files

FORMAT_VERSION = 1
LARGEST_FILE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class KeyRule:
    """How one shape key gets its value: clamp(offset + gain * sum(weight * channel)).

    `terms` holds (ARKit channel, weight) pairs; `viseme` names a viseme instead, whose strength
    is solved from all channels of the frame. Exactly one of the two must be given.
    """

    key: str
    terms: tuple[tuple[str, float], ...] = ()
    viseme: str = ""
    gain: float = 1.0
    offset: float = 0.0
    low: float = 0.0
    high: float = 1.0

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(channel for channel, _ in self.terms)


@dataclass(frozen=True)
class Mapping:
    """All rules of one mesh, at most one per shape key."""

    rules: tuple[KeyRule, ...]

    @property
    def key_names(self) -> tuple[str, ...]:
        return tuple(rule.key for rule in self.rules)


def rule_to_json(rule: KeyRule) -> dict[str, Any]:
    """The rule as plain JSON values; defaults are written too, so that they can be edited."""
    entry: dict[str, Any] = {"key": rule.key}
    if rule.viseme:
        entry["viseme"] = rule.viseme
    else:
        entry["channels"] = dict(rule.terms)
    entry.update(gain=rule.gain, offset=rule.offset, clamp=[rule.low, rule.high])
    return entry


def rule_from_json(entry: Any, visemes: frozenset[str]) -> KeyRule:
    """Read one rule; raises ValueError with a sentence that names the key."""
    if not isinstance(entry, dict) or not isinstance(entry.get("key"), str):
        raise ValueError("every rule needs the name of a shape key under 'key'")
    key = entry["key"]
    channels = entry.get("channels", {})
    viseme = entry.get("viseme", "")
    if isinstance(channels, str):
        channels = {channels: 1.0}
    if not isinstance(channels, dict) or bool(channels) == bool(viseme):
        raise ValueError(f"the rule for '{key}' needs either 'channels' or 'viseme'")
    unknown = [name for name in channels if name not in arkit.INDEX]
    if unknown:
        raise ValueError(f"the rule for '{key}' names the unknown channel '{unknown[0]}'")
    if viseme and viseme not in visemes:
        raise ValueError(f"the rule for '{key}' names the unknown viseme '{viseme}'")
    low, high = _two_numbers(entry.get("clamp", [0.0, 1.0]), key)
    return KeyRule(
        key=key,
        terms=tuple((name, _number(weight, key)) for name, weight in channels.items()),
        viseme=viseme,
        gain=_number(entry.get("gain", 1.0), key),
        offset=_number(entry.get("offset", 0.0), key),
        low=low,
        high=high,
    )


def save_mapping(meshes: MappingType[str, Mapping], path: Path) -> None:
    """Write the rules of several meshes (by object name) as JSON, atomically."""
    document = {
        "vividkeys_mapping": FORMAT_VERSION,
        "meshes": {
            name: [rule_to_json(rule) for rule in mapping.rules] for name, mapping in meshes.items()
        },
    }
    whole_files.write_whole(path, json.dumps(document, indent=2, ensure_ascii=False))


def load_mapping(path: Path, visemes: frozenset[str]) -> dict[str, Mapping]:
    """Read a mapping file: object name -> Mapping. Raises VividKeysError(bad_file)."""
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise ValueError("it is larger than 4 MB")
        document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or document.get("vividkeys_mapping") != FORMAT_VERSION:
            raise ValueError(f"it does not say 'vividkeys_mapping': {FORMAT_VERSION}")
        meshes = document.get("meshes")
        if not isinstance(meshes, dict):
            raise ValueError("it has no 'meshes'")
        return {name: _mapping_from_json(rules, visemes) for name, rules in meshes.items()}
    except (OSError, ValueError, RecursionError) as problem:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_FILE,
            f"The mapping file {path.name} cannot be used: {problem}.",
            "Save a fresh one with 'Save Mapping' and edit that.",
        ) from problem


def _mapping_from_json(rules: Any, visemes: frozenset[str]) -> Mapping:
    if not isinstance(rules, list):
        raise ValueError("the rules of a mesh must be a list")
    read = tuple(rule_from_json(entry, visemes) for entry in rules)
    names = [rule.key for rule in read]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"the shape key '{name}' has two rules")
    return Mapping(read)


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"the rule for '{key}' holds {value!r} where a number belongs")
    return float(value)


def _two_numbers(value: Any, key: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f"the rule for '{key}' needs 'clamp' as [low, high]")
    low, high = _number(value[0], key), _number(value[1], key)
    if low > high:
        raise ValueError(f"the rule for '{key}' has a 'clamp' whose low is above its high")
    return low, high
