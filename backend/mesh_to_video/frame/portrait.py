# SPDX-License-Identifier: GPL-3.0-or-later
"""All that is known about the person in the photo before anything moves."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Pixels = NDArray[np.uint8]

# The side of the face crop in heights of the face, and how far its middle lies above the face's.
CROP_SIDE, CROP_ABOVE = 1.9, 0.06


@dataclass(frozen=True, eq=False)
class Portrait:
    """A photo whose person can move.

    pixels     uint8 [H,W,3]; landmarks [478,3] in its pixels (right, down, away)
    neutral    the person's face without the photo's pose and expression
    rig        the whole head, V vertices
    axes       from the head's frame (metres) to the photo's axes (x right, y away, z up, pixels)
    expression [52] ARKit weights of the photo
    misfit     [468,3] metres: what neutral face and expression leave unexplained of the photo
    source     [V,3] the head as it is in the photo, in its pixels (right, down, away)
    person     [H,W] 0..1: where the person is
    plate      uint8 [H,W,3]: the photo without the person
    crop       the square around the face that the networks see
    """

    pixels: Pixels
    landmarks: Floats
    neutral: NeutralFace
    rig: HeadRig
    axes: Similarity
    expression: Floats
    misfit: Floats
    source: Singles
    person: Singles
    plate: Pixels
    crop: View
    sha256: str = ""
    warnings: tuple[str, ...] = field(default=())

    @property
    def face_height(self) -> float:
        """Height of the face in the photo, pixels."""
        return _face_box(self.landmarks)[3] - _face_box(self.landmarks)[1]

    def in_photo(self, vertices: NDArray[np.floating]) -> Singles:
        """Points [N,3] of the head's frame (metres) in the photo's pixels, in the photo's pose."""
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


def portrait_from_pixels(pixels: Pixels, landmarks: Floats) -> Portrait:
    """The person in a picture uint8 [H,W,3] whose `landmarks` [478,3] are known."""
    return _portrait(pixels, np.asarray(landmarks, np.float64), "", ())


def _portrait(pixels: Pixels, landmarks: Floats, sha256: str, notes: tuple[str, ...]) -> Portrait:
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


def _face_box(landmarks: Floats) -> tuple[float, float, float, float]:
    outline = landmarks[list(FACE_OVAL), :2]
    (left, top), (right, bottom) = outline.min(axis=0), outline.max(axis=0)
    # A face that is turned far is narrow, one that looks down is short.
    height = max(bottom - top, 1.1 * (right - left))
    return float(left), float(bottom - height), float(right), float(bottom)


def _face_crop(landmarks: Floats) -> View:
    left, top, right, bottom = _face_box(landmarks)
    side = CROP_SIDE * (bottom - top)
    x, y = (left + right) / 2, (top + bottom) / 2 - CROP_ABOVE * (bottom - top)
    return View(x - side / 2, y - side / 2, NETWORK_SIDE / side, NETWORK_SIDE, NETWORK_SIDE)
