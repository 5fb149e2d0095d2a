# SPDX-License-Identifier: GPL-3.0-or-later
"""Every dial of a performance, declared once: name, range, default, what it does, its group.

The fields of requests, the command line's options, the panel's sliders, what Actions record and the
tables in the documents are all made from this table. A new mood is a line here and its muscles in
`performance/moods.json`; a new dial is a line here and the code that applies it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from . import checks
from .checks import Check


class Group(StrEnum):
    """The dials that are shown together in the panel."""

    AMPLITUDE = "amplitude"
    BIAS = "bias"
    MOOD = "mood"
    SPEAKER = "speaker"


class Applied(StrEnum):
    """When a dial takes effect, in the words of the documents."""

    VOICE = "while the voice is heard"
    MOTION = "where the motion is made, or on a finished Take"
    CURVES = "on the finished curves"


@dataclass(frozen=True)
class Dial:
    """One number that shapes a performance; `default` leaves it as usual.

    `help` begins the sentence about it and `detail` ends it. Sliders go up to `usual_highest`,
    numbers that are typed in up to `highest`.
    """

    name: str
    label: str
    help: str
    group: Group
    applied: Applied
    lowest: float
    highest: float
    default: float
    detail: str = ""
    usual_highest: float | None = None

    @property
    def check(self) -> Check:
        return checks.number(self.lowest, self.highest)

    @property
    def range_text(self) -> str:
        return f"{self.lowest:g} to {self.highest:g}"

    @property
    def tooltip(self) -> str:
        """The sentence without a full stop, as Blender wants it."""
        return f"{self.help}; {self.detail}" if self.detail else self.help

    @property
    def option_help(self) -> str:
        """The sentence for the command line, where no slider shows the range."""
        if self.group is Group.MOOD:
            return f"Mood, {self.range_text}; moods can be mixed. {self.help}."
        if self.group is Group.AMPLITUDE:
            return f"{self.help}, {self.range_text}; {self.detail}."
        return f"{self.tooltip}."


def _amplitude(
    name: str, label: str, help: str, detail: str, applied: Applied = Applied.CURVES
) -> Dial:
    """A dial for how much there is of a motion: 0 removes it."""
    return Dial(name, label, help, Group.AMPLITUDE, applied, 0.0, 3.0, 1.0, detail, 1.5)


def _bias(name: str, label: str, help: str) -> Dial:
    return Dial(name, label, help, Group.BIAS, Applied.CURVES, -1.0, 1.0, 0.0)


def _mood(name: str, help: str) -> Dial:
    return Dial(name, name.capitalize(), help, Group.MOOD, Applied.CURVES, 0.0, 1.0, 0.0)


def _speaker(name: str, label: str, help: str, lowest: float = -1.0) -> Dial:
    """A dial for a way of speaking, which is an input of the networks."""
    return Dial(name, label, help, Group.SPEAKER, Applied.VOICE, lowest, 1.0, 0.0)


# In the panel's order.
DIALS: tuple[Dial, ...] = (
    _amplitude(
        "articulation",
        "Articulation",
        "How far the mouth moves",
        "0 keeps it still",
        Applied.MOTION,
    ),
    _amplitude("jaw", "Jaw", "How far the jaw opens", "lips still meet on p, b and m"),
    _amplitude(
        "expressiveness",
        "Expressiveness",
        "How much brows, cheeks and lower lids follow the voice",
        "0 keeps them still",
    ),
    _amplitude(
        "head_motion", "Head Motion", "Strength of head motion", "0 removes it", Applied.MOTION
    ),
    _amplitude("blinks", "Blink Rate", "How often the eyes blink", "0 for never", Applied.MOTION),
    _amplitude(
        "gaze",
        "Gaze",
        "How far the eyes wander from the viewer",
        "0 holds them still",
        Applied.MOTION,
    ),
    _bias("smile", "Smile", "Corners of the mouth all the time: -1 down, 1 up"),
    _bias("asymmetry", "Asymmetry", "-1: the character's right side is stronger, 1: the left side"),
    _mood("joy", "Cheeks and corners of the mouth lift"),
    _mood("sadness", "Inner brows rise, corners of the mouth sink"),
    _mood("anger", "Brows sink, lids tense, lips tighten"),
    _mood("fear", "Brows rise and draw together, lips stretch"),
    _mood("surprise", "Brows and upper lids rise, the jaw drops"),
    _mood("disgust", "The nose wrinkles, the upper lip lifts"),
    _speaker("effort", "Effort", "How clearly the mouth speaks: -1 mumbles, 1 is crisp"),
    _speaker("jaw_share", "Lips or Jaw", "Who does the work: -1 the lips, 1 the jaw"),
    _speaker(
        "parted",
        "Parted Lips",
        "How far the lips rest apart in pauses: 0 shut, 1 about 3 mm",
        lowest=0.0,
    ),
    _speaker(
        "head_liveliness",
        "Head Liveliness",
        "How eagerly the head moves with the voice: -1 calm, 1 lively",
    ),
)


def in_group(group: Group) -> tuple[Dial, ...]:
    """The dials of one group, in the panel's order."""
    return tuple(dial for dial in DIALS if dial.group is group)


def applied(*when: Applied) -> tuple[Dial, ...]:
    """The dials that take effect then, in the panel's order."""
    return tuple(dial for dial in DIALS if dial.applied in when)


STYLE = applied(Applied.MOTION, Applied.CURVES)
"""The dials that can be applied to a finished Take."""
STYLE_GROUPS: tuple[tuple[Dial, ...], ...] = tuple(
    in_group(group) for group in Group if group is not Group.SPEAKER
)
SPEAKER = in_group(Group.SPEAKER)
"""The dials that need the performance to be made again."""
MOODS: tuple[str, ...] = tuple(dial.name for dial in in_group(Group.MOOD))


def markdown_table(dials: Iterable[Dial] = DIALS) -> str:
    """The table of the dials as the documents show it."""
    rows = [
        "| name | in the panel | range | default | what it does | takes effect |",
        "|---|---|---|---|---|---|",
    ]
    rows += [
        f"| `{dial.name}` | {dial.label} | {dial.range_text} | {dial.default:g} | {dial.tooltip} "
        f"| {dial.applied} |"
        for dial in dials
    ]
    return "\n".join(rows) + "\n"
