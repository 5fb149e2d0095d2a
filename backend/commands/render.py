# SPDX-License-Identifier: GPL-3.0-or-later
"""`render`: a Take and a photo become a talking-head video."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from backend.commands.progress import progress_bar
from shared.take import load_take

CONSENT = "Only animate the face of someone who agreed to it."


@dataclass(frozen=True)
class Render:
    """Make the face in a photo speak. Only with the consent of the person it belongs to."""

    take: tyro.conf.Positional[Path]
    """The Take, for instance line.take.npz (see `animate`)."""
    image: Path
    """The photo."""
    out: Path
    """The video: .mp4, .mov (ProRes 4444), or .png or a folder for one picture per frame."""
    audio: Path | None = None
    """The recording; without it the video is silent."""
    size: int = 0
    """The longer side of the video in pixels; 0 for the photo's own."""
    fps: float = 25.0
    """Frames per second."""
    background: Literal["keep", "blur", "green", "alpha"] = "keep"
    """What is behind the person; alpha needs .mov or .png."""
    mark: bool = False
    """Write a visible note into the picture that it is generated."""
    preview: bool = False
    """A small, quick video to check the result first."""
    duration: float | None = None
    """Render only the first seconds, this many."""
    keep_partial: bool = False
    """Keep a playable video of what was rendered when rendering fails or is stopped."""
    device: str = "auto"
    """auto, cpu, or for instance cuda:0."""

    def run(self) -> int:
        from backend.mesh_to_video.settings import RenderSettings
        from backend.mesh_to_video.video import preview_settings, render_video

        settings = RenderSettings(
            size=self.size,
            fps=self.fps,
            background=self.background,
            mark=self.mark,
            device=self.device,
        )
        if self.preview:
            settings = preview_settings(settings)
        take = load_take(self.take)
        with progress_bar("Rendering") as watch:
            video = render_video(
                self.image,
                take,
                self.out,
                audio=self.audio,
                settings=settings,
                duration=self.duration,
                keep_partial=self.keep_partial,
                watch=watch,
            )
        for warning in video.warnings:
            print(f"note: {warning}")
        print(
            f"{video.frames} frames at {video.fps:.6g} fps ({video.seconds:.2f} s), "
            f"{video.width} by {video.height} pixels, {video.fps_measured:.1f} frames per second"
        )
        print(f"wrote {video.path}{' and those after it' if video.path.suffix == '.png' else ''}")
        print(CONSENT)
        return 0
