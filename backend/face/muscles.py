# SPDX-License-Identifier: GPL-3.0-or-later
"""The muscle table `muscles.toml`: which pulls at which landmarks make which shape.

The table is written for the character's left and for shapes of the middle; the right side is
its mirror image by construction. Its millimetres hold on the template face and scale with the
distance of the outer eye corners.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from shared.arkit import ARKIT_NAMES
from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import LANDMARK_COUNT

from .surface import fade
from .template import Template, load_template

TABLE_PATH = Path(__file__).parent / "muscles.toml"

# What a shape does with the line between the lips:
#   apart     the gap may open and never becomes negative
#   under     the lip that rolls in goes behind the other one, without a gap between them
#   together  both edges move as one
#   sealing   takes back the gap that jawOpen makes (mouthClose)
LIP_RULES = ("", "apart", "under", "together", "sealing")


@dataclass(frozen=True)
class Pull:
    """Skin around landmark `at` moves by `move` (mm), fading to nothing at `reach` (mm)."""

    at: int
    move: tuple[float, float, float]
    reach: float


@dataclass(frozen=True)
class JawMotion:
    """The jaw rotates about its hinge by `degrees` (opening) and slides by `slide` (mm).

    Skin within `core` mm of landmark `at` follows fully, skin beyond `reach` mm not at all.
    """

    degrees: float
    slide: tuple[float, float, float]
    at: int
    core: float
    reach: float


@dataclass(frozen=True)
class Muscle:
    """Everything one shape does. `closes_lid`: share of the left eye's opening that it closes."""

    pulls: tuple[Pull, ...] = ()
    jaw: JawMotion | None = None
    lips: str = ""
    closes_lid: float | None = None
    mirrored: bool = False


@dataclass(frozen=True, eq=False)
class MuscleTable:
    """All shapes by ARKit name, and the jaw's hinge in mm from the middle of the ears."""

    hinge: tuple[float, float, float]
    muscles: dict[str, Muscle]


@lru_cache(maxsize=1)
def load_table() -> MuscleTable:
    """Read the shipped table; VividKeysError(bad_file) with the reason if it is invalid."""
    return parse_table(TABLE_PATH.read_text("utf-8"))


def parse_table(text: str) -> MuscleTable:
    """Parse a muscle table from TOML; VividKeysError(bad_file) says what is wrong with it."""
    try:
        data = tomllib.loads(text)
        hinge = _triple(data["jaw"]["hinge"])
        muscles: dict[str, Muscle] = {}
        for name, entry in data["middle"].items():
            muscles[name] = replace(_muscle(entry), mirrored=True)
        for stem, entry in data["left"].items():
            muscle = _muscle(entry)
            muscles[stem + "Left"] = muscle
            muscles[stem + "Right"] = mirrored(muscle)
    except (KeyError, TypeError, ValueError, tomllib.TOMLDecodeError) as problem:
        raise VividKeysError(
            ErrorKind.BAD_FILE, f"The muscle table is invalid: {problem}."
        ) from problem
    unknown = sorted(set(muscles) - set(ARKIT_NAMES))
    missing = sorted(set(ARKIT_NAMES) - set(muscles))
    if unknown or missing:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"The muscle table does not match ARKit: missing {missing}, unknown {unknown}.",
        )
    return MuscleTable(hinge, {name: muscles[name] for name in ARKIT_NAMES})


def mirrored(muscle: Muscle) -> Muscle:
    """Mirror a motion to the other side of the face."""
    partner = load_template().mirror

    def flip(move: tuple[float, float, float]) -> tuple[float, float, float]:
        return (-move[0], move[1], move[2])

    pulls = tuple(Pull(int(partner[p.at]), flip(p.move), p.reach) for p in muscle.pulls)
    jaw = muscle.jaw
    if jaw is not None:
        jaw = replace(jaw, at=int(partner[jaw.at]), slide=flip(jaw.slide))
    return replace(muscle, pulls=pulls, jaw=jaw)


def pull_field(muscle: Muscle, template: Template) -> Float64[np.ndarray, "468 3"]:
    """Sum the pulls of a muscle on the template's landmarks, in mm."""
    field = np.zeros((LANDMARK_COUNT, 3))
    for pull in muscle.pulls:
        weight = fade(template.distances[pull.at] * 1000.0, pull.reach)
        move = np.array(pull.move)
        if not muscle.mirrored:
            field += weight[:, None] * move
            continue
        partner = int(template.mirror[pull.at])
        if partner == pull.at:
            field += weight[:, None] * (move * (0, 1, 1))
        else:
            other = fade(template.distances[partner] * 1000.0, pull.reach)
            field += weight[:, None] * move + other[:, None] * (move * (-1, 1, 1))
    return field


def jaw_share(jaw: JawMotion, template: Template) -> Float64[np.ndarray, " 468"]:
    """How much of the jaw's motion each landmark follows, 0..1."""
    return fade(template.distances[jaw.at] * 1000.0, jaw.reach, jaw.core)


def _muscle(entry: dict[str, Any]) -> Muscle:
    known = {"pulls", "jaw", "lips", "closes_lid"}
    if set(entry) - known:
        raise ValueError(f"unknown entries {sorted(set(entry) - known)}")
    lips = entry.get("lips", "")
    if lips not in LIP_RULES:
        raise ValueError(f"lips = {lips!r} is not one of {LIP_RULES}")
    pulls = tuple(
        Pull(_landmark(p["at"]), _triple(p["move"]), float(p["reach"]))
        for p in entry.get("pulls", ())
    )
    jaw = None
    if "jaw" in entry:
        j = entry["jaw"]
        jaw = JawMotion(
            float(j["degrees"]),
            _triple(j["slide"]),
            _landmark(j["at"]),
            float(j["core"]),
            float(j["reach"]),
        )
    closes = entry.get("closes_lid")
    return Muscle(pulls, jaw, lips, None if closes is None else float(closes))


def _landmark(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < LANDMARK_COUNT:
        raise ValueError(f"{value!r} is not a landmark from 0 to {LANDMARK_COUNT - 1}")
    return value


def _triple(value: Any) -> tuple[float, float, float]:
    x, y, z = (float(part) for part in value)
    return x, y, z
