# SPDX-License-Identifier: GPL-3.0-or-later
"""Propose a Mapping from a mesh's shape key names, and report what matched.

In order of preference: the exact ARKit name; the same letters in any case; a preset's alias; the
same words with the side written another way; the same after a rig's prefix; visemes, for a mesh
without mouth channels of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from ..contracts import arkit, shape_names
from .model import KeyRule, Mapping
from .presets import Alias, Preset, load_presets

# A mesh with at least this many mouth and jaw channels is driven by them, not by its visemes:
# both together would open the mouth twice.
ENOUGH_MOUTH_CHANNELS = 6


@dataclass(frozen=True)
class MatchReport:
    """What a set of mappings matches: shown in the panel before baking, and after it."""

    matched_channels: tuple[str, ...]
    missing_channels: tuple[str, ...]
    matched_keys: int
    unmatched_keys: tuple[str, ...]
    visemes: int

    @property
    def sentence(self) -> str:
        """'52 of 52 channels drive 52 shape keys.' and the like."""
        keys = f"{self.matched_keys} shape key" + ("" if self.matched_keys == 1 else "s")
        text = f"{len(self.matched_channels)} of {len(arkit.ARKIT_NAMES)} channels drive {keys}"
        if self.visemes:
            text += f", {self.visemes} of them visemes"
        return text + "."


def match_keys(key_names: Sequence[str], presets: Iterable[Preset] | None = None) -> Mapping:
    """Propose rules for shape keys given by name (without the Basis)."""
    known = tuple(load_presets() if presets is None else presets)
    rules: dict[str, KeyRule] = {}
    for key in key_names:
        rule = _channel_rule(key, key_names, known)
        if rule is not None:
            rules[key] = rule
    mouth = {
        channel
        for rule in rules.values()
        for channel in rule.channels
        if channel in arkit.MOUTH or channel in arkit.JAW
    }
    if len(mouth) < ENOUGH_MOUTH_CHANNELS:
        visemes = _viseme_rules(key_names, known)
        if len(visemes) >= 3:
            # Drop the few mouth channels: the visemes already open the mouth.
            rules = {
                key: rule
                for key, rule in rules.items()
                if not any(channel in mouth for channel in rule.channels)
            }
            rules.update(visemes)
    return Mapping(tuple(rules[key] for key in key_names if key in rules))


def match_report(mappings: Iterable[tuple[Sequence[str], Mapping]]) -> MatchReport:
    """Report on several meshes together: pairs of (the mesh's key names, its mapping)."""
    reached: set[str] = set()
    matched = visemes = 0
    unmatched: list[str] = []
    for key_names, mapping in mappings:
        driven = set(mapping.key_names)
        matched += len(driven.intersection(key_names))
        unmatched += [key for key in key_names if key not in driven]
        for rule in mapping.rules:
            reached.update(rule.channels)
            visemes += bool(rule.viseme)
            if rule.viseme:
                reached.update(_viseme_channels(rule.viseme))
    return MatchReport(
        matched_channels=tuple(name for name in arkit.ARKIT_NAMES if name in reached),
        missing_channels=tuple(name for name in arkit.ARKIT_NAMES if name not in reached),
        matched_keys=matched,
        unmatched_keys=tuple(dict.fromkeys(unmatched)),
        visemes=visemes,
    )


def _channel_rule(key: str, all_keys: Sequence[str], presets: tuple[Preset, ...]) -> KeyRule | None:
    if key in arkit.INDEX:
        return KeyRule(key, ((key, 1.0),))
    channel = shape_names.channel_by_spelling(key)
    if channel is not None:
        return KeyRule(key, ((channel, 1.0),))
    alias = _alias(key, presets)
    if alias is not None:
        if any(other in all_keys for other in alias[1].unless):
            return None
        return KeyRule(key, alias[1].terms)
    channel = shape_names.channel_by_words(key)
    if channel is not None and not _prefixed_twin(key, channel, all_keys):
        return KeyRule(key, ((channel, 1.0),))
    return None


def _alias(key: str, presets: tuple[Preset, ...]) -> tuple[Preset, Alias] | None:
    wanted = shape_names.squash(key)
    for preset in presets:
        for alias in preset.aliases:
            if shape_names.squash(alias.name) == wanted:
                return preset, alias
    return None


def _prefixed_twin(key: str, channel: str, all_keys: Sequence[str]) -> bool:
    # 'Pushed_jawOpen' beside a plain 'jawOpen' is another shape, not a second jawOpen.
    return any(
        other != key
        and shape_names.squash(other) == shape_names.squash(channel)
        and shape_names.squash(key).endswith(shape_names.squash(other))
        for other in all_keys
    )


def _viseme_rules(key_names: Sequence[str], presets: tuple[Preset, ...]) -> dict[str, KeyRule]:
    best: dict[str, KeyRule] = {}
    for preset in presets:
        table = {shape_names.squash(name): viseme for name, viseme in preset.visemes}
        found = {
            key: KeyRule(key, viseme=f"{preset.name}:{table[shape_names.squash(key)]}")
            for key in key_names
            if shape_names.squash(key) in table
        }
        if len(found) > len(best):
            best = found
    return best


@cache
def _viseme_channels(viseme: str) -> tuple[str, ...]:
    preset_name, _, name = viseme.partition(":")
    for preset in load_presets():
        if preset.name == preset_name:
            return tuple(channel for channel, _ in dict(preset.prototypes).get(name, ()))
    return ()
