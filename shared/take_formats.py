# SPDX-License-Identifier: GPL-3.0-or-later
"""The file formats a Take can be written in, declared once for the extension and command line.

A new format is a line here and its writer in `formats`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .formats import save_audio2face_json, save_livelink_csv
from .take import Take, save_take


@dataclass(frozen=True)
class TakeFormat:
    """A kind of file that holds the curves of a Take, at the Take's own frame rate.

    `name` is the format's name in Blender's scripts, `option` the command line's option for a file
    written beside the Take ("" for the Take itself). `what` names the file in a sentence.
    """

    name: str
    suffix: str
    label: str
    what: str
    description: str
    write: Callable[[Take, Path], None]
    option: str = ""


TAKE_FORMATS: tuple[TakeFormat, ...] = (
    TakeFormat(
        "LIVE_LINK",
        ".csv",
        "Live Link CSV",
        "a Live Link Face CSV",
        "For Unreal, Unity and other programs, as the Live Link Face app writes it",
        save_livelink_csv,
        "csv",
    ),
    TakeFormat(
        "AUDIO2FACE",
        ".json",
        "Audio2Face",
        "an Audio2Face JSON",
        "Blendshape weights as Audio2Face exports them",
        save_audio2face_json,
        "a2f",
    ),
    TakeFormat(
        "TAKE",
        ".take.npz",
        "Take",
        "a Take",
        "All curves at 60 frames per second, as numpy arrays",
        save_take,
    ),
)
