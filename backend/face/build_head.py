# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole head around a neutral face: eyes, mouth, skull and neck, texture and shapes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float64, UInt8

from shared.arkit import ARKIT_NAMES
from shared.face import FaceMesh
from shared.landmarks import LANDMARK_COUNT

from .arkit_basis import landmark_basis
from .head.eyes import Eyeball, eye_parts, place_eyeball
from .head.head_shell import shell_parts
from .head.mouth import mouth_parts
from .head.parts import MATERIALS, Part, assemble
from .head.refine import refine_skin
from .lip_fields import offset_basis
from .template import face_size, load_template
from .texture import atlas
from .texture.bake import bake_skin
from .texture.eye_texture import eye_tile
from .texture.layout_file import load_layout, made_for_another_head
from .texture.paint import GREY_SKIN, face_light, paint_mouth
from .texture.photo_crop import PhotoCrop
from .texture.plain_skin import plain_skin
from .texture.texels import HeadLayout, head_layout

# Motions of a lip field below this are set to zero, metres.
NO_MOTION = 3e-6


def build_head(
    vertices: Float64[np.ndarray, "468 3"],
    irises: Float64[np.ndarray, "10 3"],
    crop: PhotoCrop | None,
    meta: dict[str, Any],
) -> FaceMesh:
    """Build the whole head around neutral landmarks and irises (metres); grey without a photo."""
    # Lip fields and the photo's expression are spread over the head by the same steps as the
    # shapes: lips that meet on the landmarks also meet on the head.
    lips = offset_basis(vertices)
    shown = vertices if crop is None else crop.aligned[:LANDMARK_COUNT]
    basis = np.concatenate([landmark_basis(vertices), lips, (shown - vertices)[None]])
    parts, balls = head_parts(vertices, irises, crop)
    whole = refine_skin(assemble(vertices, basis, parts))
    layout = template_layout()
    if not np.array_equal(whole.triangles, layout.head_triangles):
        raise made_for_another_head()
    # The painted tiles need none of the skin, so both are made at the same time.
    with ThreadPoolExecutor(1) as beside:
        painted = beside.submit(inner_tiles, crop, vertices, balls)
        if crop is None:
            texture = plain_skin(layout)
        else:
            texture = bake_skin(crop, whole.vertices + whole.shapes[-1], layout)
        for name, pixels in painted.result().items():
            atlas.PAINTED[name].paste(texture, pixels)
    count = len(ARKIT_NAMES)
    moved = whole.shapes[:count].astype(np.float32)
    fields = whole.shapes[count : count + len(lips)].astype(np.float32)
    fields[np.abs(fields) < NO_MOTION] = 0.0
    return FaceMesh(
        vertices=whole.vertices.astype(np.float32),
        triangles=whole.triangles,
        uvs=layout.uvs.astype(np.float32),
        texture=texture,
        materials=MATERIALS,
        triangle_material=whole.triangle_material,
        shapes=moved,
        offset_fields=fields,
        part_names=whole.part_names,
        vertex_part=whole.vertex_part,
        # The skin is finer than the landmarks, so the landmarks' own mesh is recorded here.
        meta={**meta, "landmark_triangles": load_template().triangles.tolist()},
    )


@lru_cache(maxsize=1)
def template_layout() -> HeadLayout:
    """The texture's layout, made for the mean head; all our heads have its triangles.

    Raises VividKeysError(bad_file) if its file is missing or was not made for the shipped head.
    """
    return head_layout(load_layout())


def head_parts(
    vertices: Float64[np.ndarray, "468 3"],
    irises: Float64[np.ndarray, "10 3"],
    crop: PhotoCrop | None,
) -> tuple[list[Part], dict[str, Eyeball]]:
    """The parts that are added to the landmark mesh, and the eyeballs by side."""
    scale = face_size(vertices) / face_size(load_template().vertices)
    right = place_eyeball(vertices, irises[0], "right", scale)
    left = place_eyeball(vertices, irises[5], "left", scale)
    parts: list[Part] = [
        *eye_parts(vertices, right, "right", scale),
        *eye_parts(vertices, left, "left", scale),
        *mouth_parts(vertices, scale),
        *shell_parts(vertices, crop, scale),
    ]
    return parts, {"right": right, "left": left}


def inner_tiles(
    crop: PhotoCrop | None, vertices: Float64[np.ndarray, "468 3"], balls: dict[str, Eyeball]
) -> dict[str, UInt8[np.ndarray, "_ _ 3"]]:
    """Pictures of eyes, teeth, tongue and throat by tile name, lit like the face."""
    skin = GREY_SKIN if crop is None else crop.skin
    tiles = paint_mouth(skin)
    for side, ball in balls.items():
        tiles[f"{side}_eye"] = eye_tile(side, crop, vertices, ball, face_light(skin))
    return tiles
