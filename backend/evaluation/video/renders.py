# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames rendered by the pipeline, to be measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8

from backend.evaluation.video.clips import RealClip
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

_THREADS = 2


def networks(parts: Parts, weights: Path | None = None) -> VideoNetworks:
    """The networks in a folder, or the shipped ones; its warnings say which are missing."""
    return load_networks(parts, weights or FOLDER)


class ClipRenders:
    """One clip's photo, driven by the clip's own tracked motion."""

    def __init__(self, clip: RealClip, weights: Path | None = None) -> None:
        self._clip, self._weights = clip, weights
        self.portrait: Portrait = portrait_from_pixels(
            clip.frames[clip.photo], clip.landmarks[clip.photo]
        )
        self.performance: Performance = tracked_performance(self.portrait, clip.landmarks, clip.fps)

    def __call__(
        self, parts: Parts | None, frames: Sequence[int]
    ) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        """The requested frames in order; without parts the photo itself."""
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
) -> tuple[Float64[np.ndarray, "T 468 3"], list[UInt8[np.ndarray, "H W 3"]]]:
    """The driven head's landmarks, in the photo's pixels, and the rendered frames."""
    performance = take_performance(portrait, take, fps)
    settings = RenderSettings(fps=fps, parts=parts or Parts())
    frames = range(performance.frame_count)
    driven = np.stack([driven_landmarks(performance, frame) for frame in frames])
    return driven, list(rendered(portrait, performance, settings, frames, weights))


def driven_landmarks(performance: Performance, frame: int) -> Float64[np.ndarray, "468 3"]:
    """The landmarks of a driven head: the first vertices of our heads."""
    return np.asarray(performance.vertices(frame)[:LANDMARK_COUNT], np.float64)


def rendered(
    portrait: Portrait,
    performance: Performance,
    settings: RenderSettings,
    frames: Sequence[int],
    weights: Path | None = None,
) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
    """Frames in the order requested, rendered by two threads.

    `weights` is a folder with other networks than the shipped ones.
    """
    renderer = FrameRenderer(portrait, settings, networks(settings.parts, weights))

    def make(frame: int) -> UInt8[np.ndarray, "H W 3"]:
        return np.asarray(renderer.frame(performance.vertices(frame))[..., :3])

    with ThreadPoolExecutor(_THREADS) as pool:
        # A few at a time, so that a long film does not pile up in memory.
        for start in range(0, len(frames), 4 * _THREADS):
            yield from pool.map(make, frames[start : start + 4 * _THREADS])
