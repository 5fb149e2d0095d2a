# SPDX-License-Identifier: GPL-3.0-or-later
"""One photo to a face that can be animated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.arkit import ARKIT_NAMES
from shared.errors import ErrorKind, VividKeysError
from shared.face import FaceMesh

from . import atlas
from .arkit_basis import landmark_basis
from .eye_texture import eye_tile
from .eyes import eye_parts, place_eyeball
from .head_shell import shell_parts
from .landmarks import find_face
from .lip_fields import offset_basis
from .load_image import load_image
from .mouth import mouth_parts
from .neutral import neutral_face
from .paint import GREY_SKIN, face_light, paint_mouth_and_neck
from .parts import MATERIALS, Part, assemble
from .refine import refine_skin
from .template import face_size, load_template
from .texture import PhotoCrop, build_texture, crop_photo
from .topology import LEFT_LID_LOWER, LEFT_LID_UPPER, RIGHT_LID_LOWER, RIGHT_LID_UPPER

Floats = NDArray[np.float64]
Progress = Callable[[float, str], None]

MODEL_NAME = "landmark-face 1"
# Beyond this the far side of the face is hardly seen, radians.
FAR_TURNED = np.radians(40.0)
# A lip field that moves a vertex by less does not move it, metres.
NO_MOTION = 1e-6


def face_from_photo(
    image: Path | str | bytes,
    *,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> FaceMesh:
    """The face in a photo (path or bytes) as a neutral, frontal head with the 52 shapes.

    `progress(fraction, sentence)` is called between the stages and `cancelled()` asked.
    Sentences worth telling go to `meta["warnings"]`. Raises VividKeysError(bad_image,
    too_large, no_face, cancelled).
    """

    def stage(fraction: float, sentence: str) -> None:
        if cancelled is not None and cancelled():
            raise VividKeysError(ErrorKind.CANCELLED, "The reconstruction was cancelled.")
        if progress is not None:
            progress(fraction, sentence)

    stage(0.0, "Reading the photo")
    photo = load_image(image)
    stage(0.1, "Finding the face")
    tracked = find_face(photo.pixels, cancelled)
    stage(0.4, "Building the neutral face")
    neutral = neutral_face(tracked.landmarks)
    stage(0.6, "Making the texture")
    crop = crop_photo(photo.pixels, tracked.landmarks, neutral.aligned)
    stage(0.8, "Making the shapes")
    pitch, roll, yaw = neutral.angles
    warnings = [*photo.warnings, *tracked.warnings]
    if eyes_closed(neutral.vertices):
        warnings.append(
            "The eyes in the photo are closed or nearly so; a photo with open eyes works better."
        )
    if max(abs(pitch), abs(yaw)) > FAR_TURNED:
        warnings.append("The head is turned far away; the hidden side of the face was guessed.")
    face = _build(
        neutral.vertices,
        neutral.irises,
        crop,
        {
            "warnings": warnings,
            "image_sha256": photo.sha256,
            "model": MODEL_NAME,
            "head_angles": [round(float(a), 4) for a in (pitch, roll, yaw)],
            "mouth_was_open": round(neutral.mouth_was_open, 5),
        },
    )
    stage(1.0, "The face is ready")
    return face


def eyes_closed(vertices: Floats) -> bool:
    """Whether an eye of a face [468,3] is open by less than an eighth of its width."""
    openings = []
    for upper, lower in ((RIGHT_LID_UPPER, RIGHT_LID_LOWER), (LEFT_LID_UPPER, LEFT_LID_LOWER)):
        width = np.linalg.norm(vertices[upper[0]] - vertices[upper[-1]])
        openings.append(np.linalg.norm(vertices[upper[4]] - vertices[lower[4]]) / width)
    return bool(min(openings) < 0.125)


def plain_face() -> FaceMesh:
    """The mean face in plain grey, for use without a photo."""
    template = load_template()
    return _build(template_neutral(), template.irises, None, {"warnings": [], "model": MODEL_NAME})


def template_neutral() -> Floats:
    """The mean face's landmarks [468,3] with the lips exactly closed."""
    from .neutral import close_mouth

    return close_mouth(load_template().vertices)


def _build(vertices: Floats, irises: Floats, crop: PhotoCrop | None,
           meta: dict[str, Any]) -> FaceMesh:  # fmt: skip
    scale = face_size(vertices) / face_size(load_template().vertices)
    skin = GREY_SKIN if crop is None else crop.skin
    right = place_eyeball(vertices, irises[0], "right", scale)
    left = place_eyeball(vertices, irises[5], "left", scale)
    tiles = paint_mouth_and_neck(skin)
    light = face_light(skin)
    tiles[atlas.RIGHT_EYE] = eye_tile("right", crop, vertices, right, light)
    tiles[atlas.LEFT_EYE] = eye_tile("left", crop, vertices, left, light)
    texture = build_texture(crop, tiles)
    if crop is None:
        atlas.PHOTO.view(texture)[:] = GREY_SKIN.astype(np.uint8)
        uvs = _plain_uvs(vertices)
    else:
        uvs = atlas.photo_uv(crop.points[: len(vertices)])
    parts: list[Part] = [
        *eye_parts(vertices, uvs, right, "right", scale, atlas.RIGHT_EYE),
        *eye_parts(vertices, uvs, left, "left", scale, atlas.LEFT_EYE),
        *mouth_parts(vertices, uvs, scale),
        *shell_parts(vertices, uvs, crop, scale),
    ]
    # The lip fields are spread over the head by the very steps that spread the shapes: what they
    # close on the landmarks they close on the head.
    basis = np.concatenate([landmark_basis(vertices), offset_basis(vertices)])
    whole = refine_skin(assemble(vertices, uvs, basis, parts))
    shapes, fields = np.split(whole.shapes.astype(np.float32), [len(ARKIT_NAMES)])
    fields[np.abs(fields) < NO_MOTION] = 0.0
    return FaceMesh(
        vertices=whole.vertices.astype(np.float32),
        triangles=whole.triangles,
        uvs=whole.uvs.astype(np.float32),
        texture=texture,
        materials=MATERIALS,
        triangle_material=whole.triangle_material,
        shapes=shapes,
        offset_fields=fields,
        # The skin is finer than the landmarks, so their own mesh is told apart from it here.
        meta={**meta, "landmark_triangles": load_template().triangles.tolist()},
    )


def _plain_uvs(vertices: Floats) -> Floats:
    """Front view of the face laid into the photo's part of the texture."""
    x = atlas.PHOTO_WIDTH / 2 + vertices[:, 0] * 3400.0
    y = atlas.SIDE * 0.55 - (vertices[:, 2] - 0.013) * 3400.0
    return atlas.photo_uv(np.stack([x, y], axis=1))
