# SPDX-License-Identifier: GPL-3.0-or-later
"""One photo to a face that can be animated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float64

from backend.watch import UNWATCHED, Watch
from shared.arkit import ARKIT_NAMES
from shared.errors import ErrorKind, VividKeysError
from shared.face import FaceMesh
from shared.landmarks import LEFT_LID_LOWER, LEFT_LID_UPPER, RIGHT_LID_LOWER, RIGHT_LID_UPPER

from .build_head import build_head
from .close_mouth import close_mouth
from .landmarks import find_face
from .load_image import load_image
from .neutral import NeutralFace, neutral_face
from .template import load_template
from .texture.photo_crop import crop_photo

MODEL_NAME = "landmark-face 2"
# Beyond this the far side of the face is hardly visible, radians.
FAR_TURNED = np.radians(40.0)
# Beyond this it is a profile, of which the tracker only guesses the face.
PROFILE = np.radians(60.0)


def face_from_photo(image: Path | str | bytes, watch: Watch = UNWATCHED) -> FaceMesh:
    """The face in a photo (path or bytes) as a neutral, frontal head with the 52 shapes.

    Warnings for the user go to `meta["warnings"]`. Raises VividKeysError(bad_image, too_large,
    no_face, cancelled).
    """
    watch.stage(0.0, "Reading the photo")
    photo = load_image(image)
    watch.stage(0.1, "Finding the face")
    tracked = find_face(photo.pixels, watch)
    watch.stage(0.4, "Building the neutral face")
    neutral = neutral_face(tracked.landmarks)
    warnings = [*photo.warnings, *tracked.warnings, *photo_notes(neutral)]
    watch.stage(0.6, "Making the texture")
    crop = crop_photo(photo.pixels, tracked.landmarks, neutral)
    watch.stage(0.8, "Making the shapes")
    face = build_head(
        neutral.vertices,
        neutral.irises,
        crop,
        {
            "warnings": warnings,
            "image_sha256": photo.sha256,
            "model": MODEL_NAME,
            "head_angles": [round(float(angle), 4) for angle in neutral.angles],
            "mouth_was_open": round(neutral.mouth_was_open, 5),
            "photo_expression": named_weights(neutral.expression),
        },
    )
    watch.stage(1.0, "The face is ready")
    return face


def photo_notes(neutral: NeutralFace) -> list[str]:
    """Warnings for the user about how the face looks in its photo.

    Raises VividKeysError(bad_image) for a profile.
    """
    pitch, _, yaw = neutral.angles
    if abs(yaw) > PROFILE:
        raise VividKeysError(
            ErrorKind.BAD_IMAGE,
            f"The head in the picture is turned away by about {np.degrees(abs(yaw)):.0f} degrees: "
            "only one side of the face can be seen.",
            "Choose a photo from the front, or turned by at most 40 degrees.",
        )
    notes = []
    if eyes_closed(neutral.vertices):
        notes.append(
            "The eyes in the photo are closed or nearly so; a photo with open eyes works better."
        )
    if max(abs(pitch), abs(yaw)) > FAR_TURNED:
        notes.append(
            "The head is turned far away from the camera; the hidden side of the face was guessed."
        )
    return notes


def named_weights(expression: Float64[np.ndarray, " 52"]) -> dict[str, float]:
    """The weights that are not zero, by name, rounded."""
    found = zip(ARKIT_NAMES, expression, strict=True)
    return {name: round(float(weight), 3) for name, weight in found if weight >= 0.0005}


def eyes_closed(vertices: Float64[np.ndarray, "468 3"]) -> bool:
    """Whether an eye is open by less than an eighth of its width."""
    openings = []
    for upper, lower in ((RIGHT_LID_UPPER, RIGHT_LID_LOWER), (LEFT_LID_UPPER, LEFT_LID_LOWER)):
        width = np.linalg.norm(vertices[upper[0]] - vertices[upper[-1]])
        openings.append(np.linalg.norm(vertices[upper[4]] - vertices[lower[4]]) / width)
    return bool(min(openings) < 0.125)


def plain_face() -> FaceMesh:
    """Build the mean face in plain grey, for use without a photo."""
    template = load_template()
    meta = {"warnings": [], "model": MODEL_NAME}
    return build_head(template_neutral(), template.irises, None, meta)


def template_neutral() -> Float64[np.ndarray, "468 3"]:
    """The mean face's landmarks with the lips exactly closed, metres."""
    return close_mouth(load_template().vertices)
