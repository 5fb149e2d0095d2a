# SPDX-License-Identifier: GPL-3.0-or-later
"""Shipped weights, each with a model card beside it."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def shipped_weights() -> dict[str, Path]:
    """Name and file of the weights that a complete checkout contains."""
    return {name: FOLDER / f"{name}.safetensors" for name in ("motion", "head_pose")}
