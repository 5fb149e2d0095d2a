# SPDX-License-Identifier: GPL-3.0-or-later
"""The voice and the face that come with VividKeys, for the demo, the bench and the tests."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).resolve().parent
SPEECH = _FOLDER / "speech.flac"
PORTRAIT = _FOLDER / "portrait.jpg"
