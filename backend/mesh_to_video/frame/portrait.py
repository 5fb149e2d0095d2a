# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything known about the person in the photo before anything moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8

from backend.face.arkit_basis import landmark_basis
from backend.face.from_photo import photo_notes
from backend.face.head_rig import HeadRig, head_rig
from backend.face.landmarks import find_face
from backend.face.load_image import load_image
from backend.face.neutral import NeutralFace, neutral_face
from backend.face.pose import Similarity
from backend.face.texture.photo_crop import crop_photo
from shared.landmarks import FACE_OVAL, LANDMARK_COUNT

from ..settings import NETWORK_SIDE
from .background import background_plate, person_matte
from .view import View

# Side of the face crop in heights of the face, and how far its centre lies above the face's.
CROP_SIDE, CROP_ABOVE = 1.9, 0.06


@dataclass(frozen=True, eq=False)
class Portrait:
    """A photo of a person, ready to be animated.

    landmarks  in the photo's pixels (right, down, away)
    neutral    the person's face without the photo's pose and expression
    rig        the whole head, V vertices
    axes       from the head's frame (metres) to the photo's axes (x right, y away, z up, pixels)
    expression ARKit weights of the photo
    misfit     what neutral face and expression leave unexplained of the photo, metres
    source     the head as it is in the photo, in its pixels (right, down, away)
    person     matte of the person, 0..1
    plate      the photo without the person
    crop       the square around the face that the networks see
    sha256     of the photo's file, "" without one
    warnings   sentences for the user
    """

    pixels: UInt8[np.ndarray, "H W 3"]
    landmarks: Float64[np.ndarray, "478 3"]
    neutral: NeutralFace
    rig: HeadRig
    axes: Similarity
    expression: Float64[np.ndarray, " 52"]
    misfit: Float64[np.ndarray, "468 3"]
    source: Float32[np.ndarray, "V 3"]
    person: Float32[np.ndarray, "H W"]
    plate: UInt8[np.ndarray, "H W 3"]
    crop: View
    sha256: str = ""
    warnings: tuple[str, ...] = field(default=())

    @property
    def face_height(self) -> float:
        """Height of the face in the photo, pixels."""
        return _face_box(self.landmarks)[3] - _face_box(self.landmarks)[1]

    def in_photo(self, vertices: Float[np.ndarray, "N 3"]) -> Float32[np.ndarray, "N 3"]:
        """Points of the head's frame (metres) in the photo's pixels, in the photo's pose."""
        moved = self.axes.apply(np.asarray(vertices, np.float64))
        return np.stack([moved[:, 0], -moved[:, 2], moved[:, 1]], axis=1).astype(np.float32)


def portrait_from_photo(image: Path | str | bytes) -> Portrait:
    """The person in a photo (path or bytes).

    Raises VividKeysError(bad_image, too_large, no_face).
    """
    photo = load_image(image)
    tracked = find_face(photo.pixels)
    notes = (*photo.warnings, *tracked.warnings)
    return _portrait(photo.pixels, tracked.landmarks, photo.sha256, notes)


def portrait_from_pixels(
    pixels: UInt8[np.ndarray, "H W 3"], landmarks: Float[np.ndarray, "478 3"]
) -> Portrait:
    """The person in a picture whose landmarks are known, in its pixels."""
    return _portrait(pixels, np.asarray(landmarks, np.float64), "", ())


def _portrait(
    pixels: UInt8[np.ndarray, "H W 3"],
    landmarks: Float64[np.ndarray, "478 3"],
    sha256: str,
    notes: tuple[str, ...],
) -> Portrait:
    neutral = neutral_face(landmarks)
    notes = (*notes, *photo_notes(neutral))
    rig = head_rig(neutral, crop_photo(pixels, landmarks, neutral))
    axes = neutral.to_head.inverse()
    shown = neutral.aligned[:LANDMARK_COUNT]
    explained = np.tensordot(neutral.expression, landmark_basis(neutral.vertices), axes=1)
    posed = rig.rest + rig.carried(shown - neutral.vertices)
    posed = posed + np.tensordot(neutral.expression.astype(np.float32), rig.inner, axes=1)
    moved = axes.apply(np.asarray(posed, np.float64))
    source = np.stack([moved[:, 0], -moved[:, 2], moved[:, 1]], axis=1).astype(np.float32)
    box = _face_box(landmarks)
    person = person_matte(pixels, box)
    return Portrait(
        pixels=pixels,
        landmarks=landmarks,
        neutral=neutral,
        rig=rig,
        axes=axes,
        expression=neutral.expression,
        misfit=shown - neutral.vertices - explained,
        source=source,
        person=person,
        plate=background_plate(pixels, person, box[3] - box[1]),
        crop=_face_crop(landmarks),
        sha256=sha256,
        warnings=notes,
    )


def _face_box(landmarks: Float64[np.ndarray, "478 3"]) -> tuple[float, float, float, float]:
    outline = landmarks[list(FACE_OVAL), :2]
    (left, top), (right, bottom) = outline.min(axis=0), outline.max(axis=0)
    # A face turned far to the side is narrow, one looking down is short.
    height = max(bottom - top, 1.1 * (right - left))
    return float(left), float(bottom - height), float(right), float(bottom)


def _face_crop(landmarks: Float64[np.ndarray, "478 3"]) -> View:
    left, top, right, bottom = _face_box(landmarks)
    side = CROP_SIDE * (bottom - top)
    x, y = (left + right) / 2, (top + bottom) / 2 - CROP_ABOVE * (bottom - top)
    return View(x - side / 2, y - side / 2, NETWORK_SIDE / side, NETWORK_SIDE, NETWORK_SIDE)
