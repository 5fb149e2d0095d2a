# SPDX-License-Identifier: GPL-3.0-or-later
"""`animate`: a voice recording becomes a Take."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from backend.commands.moods import read_moods
from backend.commands.progress import progress_bar
from backend.commands.style_options import DialOptions, StyleOptions
from backend.commands.take_files import TakeFileOptions
from shared.dials import Applied, applied
from shared.performance.style import StyleDials, restyle_take
from shared.take import NATIVE_FPS


@dataclass(frozen=True)
class Animate(DialOptions, TakeFileOptions, dials=applied(Applied.MOTION) + applied(Applied.VOICE)):
    """Turn speech into face animation: blendshape weights, blinks and head motion."""

    audio: tyro.conf.Positional[Path]
    """The recording: wav, flac, ogg, mp3, m4a, or a video with sound."""
    out: Path
    """The Take to write, for instance line.take.npz."""
    image: Path | None = None
    """A photo of the face that will speak; without it the average face is used."""
    weights: Path | None = None
    """Weights of the motion network instead of the shipped ones, for instance fine-tuned."""
    seed: int = 0
    """Determines blinks and head motion; the same seed gives the same Take."""
    fps: float = NATIVE_FPS
    """Frames per second of the Take."""
    moods: Path | None = None
    """A table of moods over time: CSV with a column time_s and one per mood."""
    style: StyleOptions = field(default_factory=StyleOptions)

    def run(self) -> int:
        from backend.audio.load import load_audio
        from backend.audio_to_mesh.animate import AnimateSettings, animate
        from backend.audio_to_mesh.motion_model import MotionModel

        settings = AnimateSettings(seed=self.seed, fps=self.fps, **self.dial_values())
        dials = StyleDials(**self.style.dial_values())
        moods = read_moods(self.moods) if self.moods is not None else None
        with progress_bar("Reading the recording") as watch:
            audio = load_audio(self.audio)
            face = None
            if self.image is not None:
                from backend.face import reconstruct

                watch.progress(0.0, "Finding the face")
                face = reconstruct(self.image)
            watch.progress(0.0, "Listening")
            model = MotionModel.load(self.weights)
            take = animate(audio, model, settings, face, watch)
        take = restyle_take(take, dials, moods.at(take) if moods is not None else None)
        for warning in take.meta.get("warnings", []):
            print(f"note: {warning}")
        written = self.write_take(take, self.out)
        print(f"{take.frame_count} frames at {take.fps:g} fps ({take.duration:.2f} s)")
        for path in written:
            print(f"wrote {path}")
        return 0
