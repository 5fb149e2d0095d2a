# SPDX-License-Identifier: GPL-3.0-or-later
"""The style dials as options of commands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StyleOptions:
    """How the performance is given; no mood or amplitude opens lips that are closed."""

    jaw: float = 1.0
    """How far the jaw opens, 0 to 3; lips still meet on p, b and m."""
    expressiveness: float = 1.0
    """How much brows, cheeks and lower lids follow the voice, 0 to 3; 0 keeps them still."""
    smile: float = 0.0
    """Corners of the mouth all the time: -1 down, 1 up."""
    asymmetry: float = 0.0
    """-1: the character's right side is stronger, 1: the left side."""
    joy: float = 0.0
    """Mood, 0 to 1; moods can be mixed."""
    sadness: float = 0.0
    """Mood, 0 to 1."""
    anger: float = 0.0
    """Mood, 0 to 1."""
    fear: float = 0.0
    """Mood, 0 to 1."""
    surprise: float = 0.0
    """Mood, 0 to 1."""
    disgust: float = 0.0
    """Mood, 0 to 1."""
