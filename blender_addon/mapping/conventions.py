# SPDX-License-Identifier: GPL-3.0-or-later
"""Naming conventions for new keys: each is one that `match_keys` recognises."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from .matching import match_keys


@dataclass(frozen=True)
class Convention:
    """A way of writing the names; its title is how it writes eyeBlinkLeft."""

    name: str
    title: str
    description: str


CONVENTIONS: tuple[Convention, ...] = (
    Convention("ARKIT", "eyeBlinkLeft", "As Apple writes them: Live Link Face, glTF, most tools"),
    Convention("SIDES", "eyeBlink_L", "With _L and _R: as Blender and older ARKit rigs write them"),
    Convention(
        "PASCAL", "EyeBlinkLeft", "As VRM's perfect sync and Unreal's Live Link expect them"
    ),
    Convention("LOWER", "eyeblinkleft", "All lower case, as some game engines expect them"),
)
DEFAULT = "ARKIT"


def key_name(convention: str, channel: str) -> str:
    """The name of an ARKit channel's key. Raises ValueError for an unknown convention."""
    match convention:
        case "ARKIT":
            return channel
        case "SIDES":
            return _with_side_letter(channel)
        case "PASCAL":
            return channel[0].upper() + channel[1:]
        case "LOWER":
            return channel.lower()
    raise ValueError(f"there is no convention '{convention}'")


@lru_cache(maxsize=64)
def keys_of_channels(names: tuple[str, ...]) -> dict[str, str]:
    """The shape keys of a mesh that are a channel's own key: channel -> key name.

    Keys that follow several channels, or one with a weight other than 1, do not count.
    """
    found: dict[str, str] = {}
    for rule in match_keys(names).rules:
        if len(rule.terms) == 1 and rule.terms[0][1] == 1.0:
            found.setdefault(rule.terms[0][0], rule.key)
    return found


def _with_side_letter(channel: str) -> str:
    # jawLeft and mouthLeft name a direction, not a half: rigs with _L keep these words.
    if channel in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        return channel
    for word, letter in (("Left", "_L"), ("Right", "_R")):
        if channel.endswith(word):
            return channel.removesuffix(word) + letter
    return channel
