# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes only the first video of a process slow: libraries, compiled loops, models."""

from __future__ import annotations

from importlib import import_module

import numpy as np

from backend.face.landmarks import warm_up as load_tracker
from shared.arkit import ARKIT_NAMES
from shared.face import LANDMARK_COUNT
from shared.take import Take

_SIDE = 128
# Corners of the eyes, between which the irises are.
_EYES = ((33, 133), (362, 263))


def warm_up() -> None:
    """Draw one picture of nobody: the rest face in front of noise."""
    from backend.mesh_to_video.frame_renderer import FrameRenderer
    from backend.mesh_to_video.performance import take_performance
    from backend.mesh_to_video.portrait import portrait_from_pixels
    from backend.mesh_to_video.settings import RenderSettings

    import_module("backend.mesh_to_video.video")  # for the libraries that write the film
    load_tracker()
    landmarks, neutral = _nobody()
    noise = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, 3)).astype(np.uint8)
    take = Take(
        fps=24.0,
        weights=np.full((1, len(ARKIT_NAMES)), 0.1, np.float32),
        head_rotation=np.zeros((1, 3), np.float32),
        head_translation=np.zeros((1, 3), np.float32),
        neutral=neutral,
        triangles=np.array([[0, 1, 2]], np.int32),
    )
    portrait = portrait_from_pixels(noise, landmarks)
    performance = take_performance(portrait, take, take.fps)
    FrameRenderer(portrait, RenderSettings(size=_SIDE)).frame(performance.vertices(0))


def _nobody() -> tuple[np.ndarray, np.ndarray]:
    """Landmarks [478,3] of the rest face in the middle of the picture, and that face in metres."""
    from backend.face.from_photo import template_neutral

    neutral = template_neutral()
    scale = 0.5 * _SIDE / float(np.ptp(neutral[:, 2]))
    placed = (neutral - neutral.mean(axis=0)) * scale
    face = np.stack([_SIDE / 2 + placed[:, 0], _SIDE / 2 - placed[:, 2], placed[:, 1]], axis=1)
    irises = [np.repeat(face[list(eye)].mean(axis=0)[None], 5, axis=0) for eye in _EYES]
    return np.concatenate([face[:LANDMARK_COUNT], *irises]).astype(np.float32), neutral
