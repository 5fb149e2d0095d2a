# SPDX-License-Identifier: GPL-3.0-or-later
"""`animate`: a voice recording becomes a Take."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import tyro

from backend.commands.moods import read_moods
from backend.commands.progress import progress_bar
from backend.commands.style_options import StyleOptions
from shared.formats import save_audio2face_json, save_livelink_csv
from shared.performance.style import StyleDials, restyle_take
from shared.take import NATIVE_FPS, save_take


@dataclass(frozen=True)
class Animate:
    """Turn speech into face animation: blendshape weights, blinks and head motion."""

    audio: tyro.conf.Positional[Path]
    """The recording: wav, flac, ogg, mp3, m4a, or a film with sound."""
    out: Path
    """The Take to write, for instance line.take.npz."""
    image: Path | None = None
    """A photo of the face that will speak; without it the average face is used."""
    weights: Path | None = None
    """Weights of the motion network instead of those that come along, for instance fine-tuned."""
    csv: Path | None = None
    """Also write a Live Link Face CSV here."""
    a2f: Path | None = None
    """Also write an Audio2Face JSON here."""
    seed: int = 0
    """Blinks and head motion follow from this number; the same seed gives the same Take."""
    fps: float = NATIVE_FPS
    """Frames per second of the Take."""
    articulation: float = 1.0
    """How far the mouth moves; 0 keeps it still."""
    blinks: float = 1.0
    """How often the eyes blink, 0 to 3; 0 for never."""
    gaze: float = 1.0
    """How far the eyes wander from the viewer, 0 to 3; 0 holds them still."""
    head_motion: float = 1.0
    """Strength of head motion; 0 removes it."""
    effort: float = 0.0
    """How clearly the mouth speaks: -1 mumbles, 1 is crisp."""
    jaw_share: float = 0.0
    """Who does the work: -1 the lips, 1 the jaw."""
    parted: float = 0.0
    """How far the lips rest apart in pauses: 0 shut, 1 about 3 mm."""
    head_liveliness: float = 0.0
    """How eagerly the head moves with the voice: -1 calm, 1 lively."""
    moods: Path | None = None
    """A table of moods over time: CSV with the column time_s and one for each mood."""
    style: StyleOptions = field(default_factory=StyleOptions)

    def run(self) -> int:
        from backend.audio.load import load_audio
        from backend.audio_to_mesh.animate import AnimateSettings, animate
        from backend.audio_to_mesh.motion_model import MotionModel

        settings = AnimateSettings(
            seed=self.seed,
            fps=self.fps,
            articulation=self.articulation,
            blinks=self.blinks,
            gaze=self.gaze,
            head_motion=self.head_motion,
            effort=self.effort,
            jaw_share=self.jaw_share,
            parted=self.parted,
            head_liveliness=self.head_liveliness,
        )
        dials = StyleDials(**asdict(self.style))
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
        save_take(take, self.out)
        written = [self.out]
        if self.csv is not None:
            save_livelink_csv(take, self.csv)
            written.append(self.csv)
        if self.a2f is not None:
            save_audio2face_json(take, self.a2f)
            written.append(self.a2f)
        print(f"{take.frame_count} frames at {take.fps:g} fps ({take.duration:.2f} s)")
        for path in written:
            print(f"wrote {path}")
        return 0
