# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders and writes the contact sheets: poses, a clip's worst frames, whole videos."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from backend.evaluation.video.clips import RealClip
from backend.evaluation.video.methods import METHODS, WARP, WHOLE, label
from backend.evaluation.video.mouth_shapes import TURNS, VISEMES, turning_take, viseme_take
from backend.evaluation.video.reenact import ClipFigures, same_size, worst_frames
from backend.evaluation.video.renders import ClipRenders, take_renders
from backend.evaluation.video.sheets import (
    around_face,
    around_mouth,
    error_picture,
    save,
    sheet,
    square,
)
from backend.mesh_to_video.frame.portrait import Portrait

# Frames of a whole video: side in pixels, and how many per row.
_FRAME, _ACROSS = 160, 12


def write_people(
    people: Sequence[tuple[str, Portrait]], folder: Path, weights: Path | None = None
) -> list[Path]:
    """Mouth shapes (whole heads, and mouths close up) and turned heads of all people."""
    heads, mouths, turned = [], [], []
    for name, portrait in people:
        size = portrait.pixels.shape[:2]
        _, made = take_renders(portrait, viseme_take(), 25.0, weights=weights)
        frames = [same_size(frame, (size[0], size[1])) for frame in made]
        heads.append((name, [around_face(frame, portrait.landmarks) for frame in frames]))
        mouths.append((name, [around_mouth(frame, portrait.landmarks) for frame in frames]))
        _, made = take_renders(portrait, turning_take(), 25.0, weights=weights)
        turned.append((name, [around_face(frame, portrait.landmarks) for frame in made[1:]]))
    return [
        save(sheet(heads, list(VISEMES)), folder / "mouth_shapes.png"),
        save(sheet(mouths, list(VISEMES)), folder / "mouths.png"),
        save(sheet(turned, list(TURNS)), folder / "turned_heads.png"),
    ]


def write_worst(
    clip: RealClip, figures: ClipFigures, folder: Path, weights: Path | None = None
) -> Path:
    """The frames on which the whole pipeline is worst, beside the real ones and the warp's."""
    frames = worst_frames(figures.of(WHOLE))
    renders = ClipRenders(clip, weights)
    made = {name: list(renders(METHODS[name], frames)) for name in (WARP, WHOLE)}
    photo = clip.frames[clip.photo]
    rows: list[tuple[str, list[UInt8[np.ndarray, "H W 3"]]]] = []
    for place, frame in enumerate(frames):
        real, face = clip.frames[frame], clip.landmarks[frame]
        warp, whole = (same_size(made[name][place], clip.size) for name in (WARP, WHOLE))
        pictures = [photo, real, warp, whole, error_picture(real, warp), error_picture(real, whole)]
        rows.append((f"frame {frame}", [around_face(picture, face) for picture in pictures]))
        rows.append(("", [around_mouth(picture, face) for picture in pictures]))
    names = ["photo", "real", label(WARP), label(WHOLE), "error of the warp", "error of the whole"]
    return save(sheet(rows, names), folder / f"worst_{clip.name}.png")


def write_video(
    name: str, frames: Sequence[UInt8[np.ndarray, "H W 3"]], folder: Path, every: int = 5
) -> Path:
    """Every fifth frame of a video, in rows of twelve."""
    chosen = range(0, len(frames), every)
    height, width = frames[0].shape[:2]
    middle = np.array([width / 2, height / 2])
    pieces = [square(frames[k], middle, float(max(height, width)), _FRAME) for k in chosen]
    rows = [(f"frame {chosen[k]}", pieces[k : k + _ACROSS]) for k in range(0, len(pieces), _ACROSS)]
    return save(sheet(rows, [""] * min(_ACROSS, len(pieces))), folder / f"video_{name}.png")
