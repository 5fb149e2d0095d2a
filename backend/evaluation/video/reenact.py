# SPDX-License-Identifier: GPL-3.0-or-later
"""Self-reenactment: a frame of a real clip, driven by the clip's own motion, against the clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float64, UInt8

from backend.evaluation.video.clips import RealClip
from backend.evaluation.video.flicker import background_flicker, skin_flicker
from backend.evaluation.video.methods import METHODS
from backend.evaluation.video.pictures import Likeness, likeness, luminance
from backend.evaluation.video.regions import face_box, face_region, mouth_region
from backend.evaluation.video.sharpness import cpbd, gradient_energy
from backend.face.template import load_template
from backend.mesh_to_video.settings import Parts

FACE, MOUTH = "face", "mouth"
# The target: every figure better than the warp's, and by this share on the mouth.
MOUTH_GAIN = 0.05
# Frames of a clip in which sharpness is measured.
_SHARPNESS_FRAMES = 12
# How many of the worst frames are drawn.
WORST_KEPT = 3


# Renders frames of a clip with some parts of the pipeline; for None, holds the photo still.
Renders = Callable[[Parts | None, Sequence[int]], Iterator[UInt8[np.ndarray, "H W 3"]]]


@dataclass(frozen=True)
class FrameFigures:
    """One frame of one method."""

    frame: int
    face: Likeness
    mouth: Likeness


@dataclass(frozen=True)
class MethodFigures:
    """One method on one clip.

    face, mouth  means over frames
    sharpness    CPBD on the face, mean over frames; energy: mean squared slope of the face
    background, skin  flicker in levels, see `flicker`
    """

    method: str
    face: Likeness
    mouth: Likeness
    sharpness: float
    energy: float
    background: float
    skin: float
    frames: tuple[FrameFigures, ...]


@dataclass(frozen=True)
class ClipFigures:
    """All methods on one clip, and the real frames' own sharpness and flicker.

    photo_sharpness, photo_energy are those of the frame that serves as the photo.
    """

    name: str
    frames: int
    photo: int
    methods: tuple[MethodFigures, ...]
    photo_sharpness: float
    photo_energy: float
    sharpness: float
    energy: float
    background: float
    skin: float

    def of(self, method: str) -> MethodFigures:
        return next(figures for figures in self.methods if figures.method == method)


def compared_frames(clip: RealClip, step: int = 1) -> list[int]:
    """The frames to compare: the face was found, and it is not the photo itself."""
    return [int(k) for k in np.flatnonzero(clip.seen) if k != clip.photo][::step]


def clip_figures(
    clip: RealClip,
    renders: Renders,
    methods: Sequence[str] = tuple(METHODS),
    step: int = 1,
) -> ClipFigures:
    """Every `step`-th frame of the clip by every method."""
    frames = compared_frames(clip, step)
    real = [clip.frames[frame] for frame in frames]
    faces = clip.landmarks[frames]
    sharpness, energy = face_sharpness(real, faces)
    photo_sharpness, photo_energy = face_sharpness(
        [clip.frames[clip.photo]], clip.landmarks[[clip.photo]]
    )
    rigidity = load_template().rigidity
    return ClipFigures(
        clip.name,
        len(frames),
        clip.photo,
        tuple(
            method_figures(name, clip, frames, list(renders(METHODS[name], frames)))
            for name in methods
        ),
        photo_sharpness,
        photo_energy,
        sharpness,
        energy,
        background_flicker(real, faces),
        skin_flicker(real, faces, rigidity),
    )


def method_figures(
    name: str,
    clip: RealClip,
    frames: Sequence[int],
    made: Sequence[UInt8[np.ndarray, "H W 3"]],
) -> MethodFigures:
    """Compare the rendered frames of a clip with the real ones."""
    faces = clip.landmarks[list(frames)]
    fitted = [same_size(picture, clip.size) for picture in made]
    rows = []
    for frame, picture in zip(frames, fitted, strict=True):
        found = likeness(clip.frames[frame], picture, regions(clip.landmarks[frame], clip.size))
        rows.append(FrameFigures(frame, found[FACE], found[MOUTH]))
    sharpness, energy = face_sharpness(fitted, faces)
    return MethodFigures(
        name,
        mean_likeness([row.face for row in rows]),
        mean_likeness([row.mouth for row in rows]),
        sharpness,
        energy,
        background_flicker(fitted, faces),
        skin_flicker(fitted, faces, load_template().rigidity),
        tuple(rows),
    )


def regions(
    landmarks: Float64[np.ndarray, "478 3"], size: tuple[int, int]
) -> dict[str, Bool[np.ndarray, "H W"]]:
    """The regions of the figures: around the face in the real frame, whatever the method drew."""
    return {FACE: face_region(landmarks, size), MOUTH: mouth_region(landmarks, size)}


def mean_likeness(rows: Sequence[Likeness]) -> Likeness:
    """Means of the figures; for PSNR, as usual, the mean of the decibels."""
    values = np.array([(row.psnr, row.ssim, row.gradient) for row in rows]).mean(axis=0)
    return Likeness(*(float(value) for value in values))


def face_sharpness(
    pictures: Sequence[UInt8[np.ndarray, "H W 3"]], landmarks: Float64[np.ndarray, "T 478 3"]
) -> tuple[float, float]:
    """CPBD and mean squared slope of the face, means over a few frames."""
    chosen = np.unique(np.linspace(0, len(pictures) - 1, _SHARPNESS_FRAMES).round().astype(int))
    seen, energy = [], []
    for number in chosen:
        grey = luminance(pictures[number])
        size = (grey.shape[0], grey.shape[1])
        face, box = face_region(landmarks[number], size), face_box(landmarks[number], size)
        seen.append(cpbd(grey[box], face[box]))
        energy.append(gradient_energy(grey, face))
    known = [value for value in seen if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan"), float(np.mean(energy))


def same_size(
    picture: UInt8[np.ndarray, "H W 3"], size: tuple[int, int]
) -> UInt8[np.ndarray, "h w 3"]:
    """A frame in the size of the clip: video files need even sides, so a row may be missing."""
    height, width = picture.shape[:2]
    if (height, width) == size:
        return picture
    if 0 <= size[0] - height <= 1 and 0 <= size[1] - width <= 1:
        below, beside = size[0] - height, size[1] - width
        return np.asarray(cv2.copyMakeBorder(picture, 0, below, 0, beside, cv2.BORDER_REPLICATE))
    method = cv2.INTER_AREA if height > size[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (size[1], size[0]), interpolation=method))


def worst_frames(figures: MethodFigures, most: int = WORST_KEPT) -> list[int]:
    """The frames with a method's worst mouths, worst first, none close to another."""
    chosen: list[int] = []
    for row in sorted(figures.frames, key=lambda row: row.mouth.ssim):
        if all(abs(row.frame - other) > 4 for other in chosen):
            chosen.append(row.frame)
        if len(chosen) == most:
            break
    return chosen
