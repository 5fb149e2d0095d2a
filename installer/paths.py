# SPDX-License-Identifier: GPL-3.0-or-later
"""Where things lie in the checkout."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".venv"
REQUIREMENTS = ROOT / "requirements"
CACHE = ROOT / ".cache"
LOGS = CACHE / "logs"
WHEELS = CACHE / "wheels"
DIST = ROOT / "dist"
DEMO_OUT = ROOT / "out" / "demo"
SAMPLE_AUDIO = ROOT / "backend" / "samples" / "speech.flac"
SAMPLE_IMAGE = ROOT / "backend" / "samples" / "portrait.jpg"
MOTION_WEIGHTS = ROOT / "backend" / "models" / "motion.safetensors"


def shown(path: Path) -> str:
    """The path as a person wants to read it: relative to the checkout where it lies inside."""
    try:
        return str(path.relative_to(ROOT))
    except ValueError:
        return str(path)
