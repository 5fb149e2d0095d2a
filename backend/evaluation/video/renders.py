# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames out of the pipeline, for those who measure them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.evaluation.video.clips import RealClip
from backend.evaluation.video.pictures import Pixels
from backend.mesh_to_video.frame.performance import (
    Performance,
    take_performance,
    tracked_performance,
)
from backend.mesh_to_video.frame.portrait import Portrait, portrait_from_pixels
from backend.mesh_to_video.frame_renderer import FrameRenderer
from backend.mesh_to_video.networks.weights import VideoNetworks, load_networks
from backend.mesh_to_video.settings import Parts, RenderSettings
from backend.models import FOLDER
from shared.landmarks import LANDMARK_COUNT
from shared.take import Take

Floats = NDArray[np.float64]

_THREADS = 2


def networks(parts: Parts, weights: Path | None = None) -> VideoNetworks:
    """Those of a folder, or the shipped ones; its warnings say which are not there."""
    return load_networks(parts, weights or FOLDER)


class ClipRenders:
    """One clip's photo, driven by the clip's own tracked motion."""

    def __init__(self, clip: RealClip, weights: Path | None = None) -> None:
        self._clip, self._weights = clip, weights
        self.portrait: Portrait = portrait_from_pixels(
            clip.frames[clip.photo], clip.landmarks[clip.photo]
        )
        self.performance: Performance = tracked_performance(self.portrait, clip.landmarks, clip.fps)

    def __call__(self, parts: Parts | None, frames: Sequence[int]) -> Iterator[Pixels]:
        """The wanted frames in order; without parts the photo itself."""
        if parts is None:
            photo = self._clip.frames[self._clip.photo]
            return iter([photo] * len(frames))
        settings = RenderSettings(fps=self._clip.fps, parts=parts)
        return rendered(self.portrait, self.performance, settings, frames, self._weights)


def take_renders(
    portrait: Portrait,
    take: Take,
    fps: float,
    parts: Parts | None = None,
    weights: Path | None = None,
) -> tuple[Floats, list[Pixels]]:
    """What the driven head does, landmarks [T,468,3] in the photo's pixels, and its pictures."""
    performance = take_performance(portrait, take, fps)
    settings = RenderSettings(fps=fps, parts=parts or Parts())
    frames = range(performance.frame_count)
    driven = np.stack([driven_landmarks(performance, frame) for frame in frames])
    return driven, list(rendered(portrait, performance, settings, frames, weights))


def driven_landmarks(performance: Performance, frame: int) -> Floats:
    """[468,3] of a driven head: the first vertices of our heads."""
    return np.asarray(performance.vertices(frame)[:LANDMARK_COUNT], np.float64)


def rendered(
    portrait: Portrait,
    performance: Performance,
    settings: RenderSettings,
    frames: Sequence[int],
    weights: Path | None = None,
) -> Iterator[Pixels]:
    """Frames in the order asked for, made by two threads; `weights` is a folder with others than
    those that are shipped.
    """
    renderer = FrameRenderer(portrait, settings, networks(settings.parts, weights))

    def make(frame: int) -> Pixels:
        return np.asarray(renderer.frame(performance.vertices(frame))[..., :3])

    with ThreadPoolExecutor(_THREADS) as pool:
        # A few at a time, so that a long film does not wait in memory.
        for start in range(0, len(frames), 4 * _THREADS):
            yield from pool.map(make, frames[start : start + 4 * _THREADS])
