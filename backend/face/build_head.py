# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole head around a neutral face: eyes, mouth, skull and neck, texture and shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.arkit import ARKIT_NAMES
from shared.face import FaceMesh

from . import atlas
from .arkit_basis import landmark_basis
from .eye_texture import eye_tile
from .eyes import eye_parts, place_eyeball
from .head_shell import shell_parts
from .lip_fields import offset_basis
from .mouth import mouth_parts
from .paint import GREY_SKIN, face_light, paint_mouth_and_neck
from .parts import MATERIALS, Part, assemble
from .refine import refine_skin
from .template import face_size, load_template
from .texture import PhotoCrop, build_texture

Floats = NDArray[np.float64]

# A lip field that moves a vertex by less does not move it, metres.
NO_MOTION = 3e-6


def build_head(vertices: Floats, irises: Floats, crop: PhotoCrop | None,
               meta: dict[str, Any]) -> FaceMesh:  # fmt: skip
    """The whole head around neutral landmarks [468,3] and irises [10,3]; grey without a photo."""
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
        uvs=whole.uvs.astype(np.float32)[whole.triangles],
        texture=texture,
        materials=MATERIALS,
        triangle_material=whole.triangle_material,
        shapes=shapes,
        offset_fields=fields,
        part_names=whole.part_names,
        vertex_part=whole.vertex_part,
        # The skin is finer than the landmarks, so their own mesh is told apart from it here.
        meta={**meta, "landmark_triangles": load_template().triangles.tolist()},
    )


def _plain_uvs(vertices: Floats) -> Floats:
    """Front view of the face laid into the photo's part of the texture."""
    x = atlas.PHOTO_WIDTH / 2 + vertices[:, 0] * 3400.0
    y = atlas.SIDE * 0.55 - (vertices[:, 2] - 0.013) * 3400.0
    return atlas.photo_uv(np.stack([x, y], axis=1))
