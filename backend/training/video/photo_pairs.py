# SPDX-License-Identifier: GPL-3.0-or-later
"""Training pairs from still photos: two of one person, or one with a synthesised source.

With one photo only, the *source* is synthesised: the same person with another mouth and another
pose, rendered by geometry alone. The target is the real photo, so what the networks learn to paint
(teeth, lips, lids) is always real.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

from backend.face.fit_photo import fit_photo
from backend.face.head.parts import PART_NAMES
from backend.face.landmarks import find_face
from backend.face.load_image import load_image
from backend.face.template import load_template
from backend.mesh_to_video.frame.performance import take_performance
from backend.mesh_to_video.frame.portrait import Portrait, portrait_from_pixels
from backend.mesh_to_video.frame_renderer import FrameRenderer
from backend.mesh_to_video.settings import GEOMETRY_ONLY, RenderSettings
from shared.arkit import INDEX
from shared.arrays import save_npz
from shared.errors import VividKeysError
from shared.landmarks import LANDMARK_COUNT, LEFT_IRIS, RIGHT_IRIS
from shared.npz import load_npz
from shared.take import Take

from .pairs import TrainingPair
from .states import both_sides, random_mouth, with_contacts

# Standard deviation of a synthesised source's rotation, radians (pitch, roll, yaw).
_TURN = np.radians((2.5, 2.0, 5.0))
# Photos are scaled down to this longer side: enough for a face crop of 256 pixels.
_LONGEST = 640
# Heads turned further make poor sources, radians.
_FRONTAL = np.radians(25.0)


@dataclass(frozen=True, eq=False)
class TrackedPhoto:
    """A photo and the landmarks of its face, pixels."""

    pixels: UInt8[np.ndarray, "H W 3"]
    landmarks: Float64[np.ndarray, "478 3"]
    name: str


def tracked_photo(path: Path, folder: Path | None = None) -> TrackedPhoto:
    """A photo and its landmarks, which are cached in `folder`.

    Raises VividKeysError(bad_image, no_face).
    """
    pixels = load_image(path).pixels
    shrink = min(1.0, _LONGEST / max(pixels.shape[:2]))
    if shrink < 1.0:
        size = (round(pixels.shape[1] * shrink), round(pixels.shape[0] * shrink))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    name = f"{path.parent.name}_{path.stem}"
    kept = folder / f"{name}.npz" if folder is not None else None
    if kept is not None and kept.is_file():
        stored = load_npz(kept, "tracked landmarks")
        if tuple(stored.get("size", ())) == pixels.shape[:2]:
            return TrackedPhoto(pixels, stored["landmarks"].astype(np.float64), name)
    landmarks = find_face(pixels).landmarks
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        save_npz(kept, {"landmarks": landmarks, "size": np.array(pixels.shape[:2])})
    return TrackedPhoto(pixels, landmarks, name)


def laid_over(photo: TrackedPhoto, other: TrackedPhoto) -> TrackedPhoto:
    """`photo` aligned in its plane to the bony landmarks of `other`.

    People sit differently from photo to photo, and that is not motion of the face.
    """
    bone = load_template().rigidity
    weight = bone / bone.sum()
    source, target = (p.landmarks[:, 0] + 1j * p.landmarks[:, 1] for p in (photo, other))
    source_middle, target_middle = (weight * source).sum(), (weight * target).sum()
    centred = source - source_middle
    factor = (weight * np.conj(centred) * (target - target_middle)).sum() / (
        weight * np.abs(centred) ** 2
    ).sum()
    shift = target_middle - factor * source_middle
    turn = np.array([(factor.real, -factor.imag), (factor.imag, factor.real)])
    # Pixel centres lie at +0.5.
    offset = np.array((shift.real, shift.imag)) + turn @ (0.5, 0.5) - 0.5
    height, width = other.pixels.shape[:2]
    picture = cv2.warpAffine(photo.pixels, np.column_stack([turn, offset]), (width, height),
                             flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    points = np.empty_like(photo.landmarks)
    points[:, :2] = photo.landmarks[:, :2] @ turn.T + (shift.real, shift.imag)
    points[:, 2] = photo.landmarks[:, 2] * abs(factor)
    return TrackedPhoto(np.asarray(picture, np.uint8), points, photo.name)


def same_person(first: TrackedPhoto, second: TrackedPhoto, kind: str) -> Iterator[TrainingPair]:
    """The pairs of two photos of one person, in both directions."""
    for source, target in ((first, second), (second, first)):
        moved = laid_over(target, source)
        yield TrainingPair(
            source.pixels, moved.pixels, source.landmarks, moved.landmarks, None, source.name, kind
        )


def made_source(
    photo: TrackedPhoto,
    random: np.random.Generator,
    kind: str,
    portrait: Portrait | None = None,
) -> TrainingPair | None:
    """The photo as the target of a synthesised source with another mouth and pose.

    None where the head is turned too far for that. Raises VividKeysError(bad_image).
    """
    if abs(fit_angles(photo.landmarks)) > _FRONTAL:
        return None
    portrait = portrait or portrait_from_pixels(photo.pixels, photo.landmarks)
    vertices = _other_state(portrait, random)
    settings = RenderSettings(parts=GEOMETRY_ONLY)
    picture = FrameRenderer(portrait, settings).frame(vertices)
    landmarks = landmarks_of(portrait, vertices)
    return TrainingPair(
        np.ascontiguousarray(picture), photo.pixels, landmarks, photo.landmarks, None,
        photo.name, kind,
    )  # fmt: skip


def fit_angles(landmarks: Float64[np.ndarray, "478 3"]) -> float:
    """The yaw of a face, radians."""
    turn = fit_photo(landmarks).to_head.rotation.T
    return float(np.arctan2(turn[1, 0], turn[0, 0]))


def _other_state(portrait: Portrait, random: np.random.Generator) -> Float32[np.ndarray, "V 3"]:
    """The head in another state, in the photo's pixels.

    Its lips are mostly closed, as in photos chosen for talking heads.
    """
    draw = random.random()
    if draw < 0.5:
        weights = both_sides({"mouthPress": random.uniform(0.0, 0.15)})
    elif draw < 0.7:
        weights = both_sides({"mouthSmile": random.uniform(0.1, 0.4)})
    else:
        weights = random_mouth(random)
    if random.random() < 0.15:
        weights = weights + both_sides({"eyeBlink": random.uniform(0.2, 1.0)})
    if random.random() < 0.3:
        weights[INDEX["browInnerUp"]] += random.uniform(0.0, 0.6)
    take = Take(
        fps=25.0,
        weights=with_contacts(weights)[None].astype(np.float32),
        head_rotation=random.normal(0.0, _TURN)[None].astype(np.float32),
        head_translation=np.zeros((1, 3), np.float32),
        neutral=portrait.neutral.vertices.astype(np.float32),
        triangles=load_template().triangles,
    )
    return take_performance(portrait, take, 25.0).vertices(0)


def landmarks_of(
    portrait: Portrait, vertices: Float32[np.ndarray, "V 3"]
) -> Float64[np.ndarray, "478 3"]:
    """The landmarks (pixels) of a driven head; irises move with the eyeballs."""
    found = portrait.landmarks.copy()
    found[:LANDMARK_COUNT] += (vertices - portrait.source)[:LANDMARK_COUNT]
    part = portrait.rig.vertex_part
    for name, rows in (("right_eye", RIGHT_IRIS), ("left_eye", LEFT_IRIS)):
        ball = np.flatnonzero(part == PART_NAMES.index(name))
        before = portrait.source[ball]
        front = before[:, 2] <= np.median(before[:, 2])
        ball, before = ball[front], before[front]
        for row in rows:
            away = np.linalg.norm(before[:, :2] - portrait.landmarks[row, :2], axis=1)
            nearest = ball[int(np.argmin(away))]
            found[row] += vertices[nearest] - portrait.source[nearest]
    return found


def london_pairs(neutral: Path, smiling: Path, folder: Path | None = None) -> list[TrainingPair]:
    """The pairs of one person's two photos; empty, with a message, if one cannot be used."""
    try:
        first, second = tracked_photo(neutral, folder), tracked_photo(smiling, folder)
    except VividKeysError as error:
        print(f"{neutral.name}: {error}", flush=True)
        return []
    return list(same_person(first, second, "london"))


def portrait_pair(
    photo: Path, random: np.random.Generator, kind: str, folder: Path | None = None
) -> list[TrainingPair]:
    """The pair with one photo as target; empty, with a message, if it cannot be used."""
    try:
        pair = made_source(tracked_photo(photo, folder), random, kind)
    except VividKeysError as error:
        print(f"{photo.name}: {error}", flush=True)
        return []
    return [pair] if pair is not None else []
