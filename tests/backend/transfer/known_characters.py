# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of this folder share: making, turning and measuring characters."""

from __future__ import annotations

import numpy as np

from shared.character import Character


def one_piece(vertices: np.ndarray, triangles: np.ndarray, **more: object) -> Character:
    """A character of one piece."""
    piece = np.zeros(len(vertices), np.int32)
    return Character(vertices, triangles, piece, ("Head",), **more)  # type: ignore[arg-type]


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """Points [N,3] turned about the vertical."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return points @ np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])


def errors(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Distances [468] in percent of the distance of the outer eye corners."""
    size = np.linalg.norm(truth[263] - truth[33])
    return np.linalg.norm(found - truth, axis=1) / size * 100
