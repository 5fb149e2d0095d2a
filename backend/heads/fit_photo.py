# SPDX-License-Identifier: GPL-3.0-or-later
"""Fits an installed head to the face in a photo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from backend.face.build_head import build_head
from backend.face.from_photo import named_weights, photo_notes
from backend.face.identity import closed_template, mean_smile
from backend.face.landmarks import find_face
from backend.face.lip_fields import offset_basis
from backend.face.load_image import load_image
from backend.face.neutral import neutral_face
from backend.face.template import face_size, load_template
from backend.face.texture.photo_crop import PhotoCrop, crop_photo
from backend.watch import UNWATCHED, Watch
from shared.arkit import INDEX
from shared.face import FaceMesh
from shared.landmarks import LANDMARK_COUNT

from .bake_photo import bake
from .eyeballs import Ball, find_ball, turns
from .stored_head import StoredHead
from .warp import spread

MODEL_NAME = "installed head 1"
# Landmark noise unrelated to identity, in metres; the tracker guesses depth, so it counts half.
# Neighbouring landmarks are correlated: 468 count as a hundred. With these numbers the
# coefficients of real neutral photos are about one standard deviation at most, and the modes leave
# 1.0 of 1.9 mm.
_NOISE = 0.001
_DEPTH_WEIGHT = 0.5
_COUNT = 100.0
# How far a head without modes moves towards the photo.
_MILD = 0.6


@dataclass(frozen=True, eq=False)
class _Photo:
    """The face in a photo: neutral landmarks and irises in metres, and the cropped photo."""

    neutral: Float64[np.ndarray, "468 3"]
    irises: Float64[np.ndarray, "10 3"]
    crop: PhotoCrop
    warnings: list[str]
    meta: dict[str, Any]


def fit_head(
    head: StoredHead,
    name: str,
    image: Path | str | bytes,
    watch: Watch = UNWATCHED,
) -> FaceMesh:
    """The head with the photo's face, as far as it adapts to one.

    Raises VividKeysError(bad_image, too_large, no_face, cancelled).
    """
    watch.stage(0.0, "Reading the photo")
    photo = _look_at(image, watch)
    watch.stage(0.5, "Fitting the head")
    rest = head.vertices.astype(np.float64)
    balls = _eyeballs(head, rest)
    vertices = rest
    if len(head.modes) or head.meta.get("identity"):
        vertices = _fitted(head, rest, photo.neutral, balls)
        balls = _eyeballs(head, vertices)
    shapes = np.array(head.shapes, np.float32)
    for ball in balls:
        for shape, offsets in turns(ball, vertices).items():
            # A head whose own shapes turn its eyes keeps them.
            if not shapes[INDEX[shape], ball.rows].any():
                shapes[INDEX[shape], ball.rows] = offsets
    landmarks = head.on_landmarks(vertices)
    texture, uvs = head.texture, np.asarray(head.uvs, np.float64)
    if head.meta.get("skin") == "photo":
        watch.stage(0.7, "Making the texture")
        size = face_size(landmarks) / face_size(load_template().vertices)
        baked = bake(
            vertices, head.triangles, uvs, head.part_names, head.vertex_part, landmarks,
            photo.crop, balls, size, build_head(photo.neutral, photo.irises, photo.crop, {}),
        )  # fmt: skip
        texture, uvs = baked.texture, baked.uvs
    watch.stage(0.9, "Making the shapes")
    warnings = [*photo.warnings, *map(str, head.meta.get("warnings", []))]
    meta = {**photo.meta, "warnings": warnings, "model": MODEL_NAME, "head": name}
    face = FaceMesh(
        vertices=vertices.astype(np.float32),
        triangles=head.triangles,
        uvs=uvs.astype(np.float32),
        texture=texture,
        materials=head.materials,
        triangle_material=head.triangle_material,
        shapes=shapes,
        offset_fields=_lip_fields(head, landmarks),
        landmarks=landmarks.astype(np.float32),
        part_names=head.part_names,
        vertex_part=head.vertex_part,
        meta={**meta, "landmark_triangles": load_template().triangles.tolist()},
    )
    watch.stage(1.0, "The head is ready")
    return face


def _look_at(image: Path | str | bytes, watch: Watch) -> _Photo:
    photo = load_image(image)
    watch.stage(0.05, "Finding the face")
    tracked = find_face(photo.pixels, watch)
    watch.stage(0.25, "Building the neutral face")
    neutral = neutral_face(tracked.landmarks)
    crop = crop_photo(photo.pixels, tracked.landmarks, neutral)
    warnings = [*photo.warnings, *tracked.warnings, *photo_notes(neutral)]
    meta = {
        "image_sha256": photo.sha256,
        "head_angles": [round(float(angle), 4) for angle in neutral.angles],
        "mouth_was_open": round(neutral.mouth_was_open, 5),
        "photo_expression": named_weights(neutral.expression),
    }
    return _Photo(neutral.vertices, neutral.irises, crop, warnings, meta)


def _fitted(
    head: StoredHead,
    rest: Float64[np.ndarray, "V 3"],
    neutral: Float64[np.ndarray, "468 3"],
    balls: list[Ball],
) -> Float64[np.ndarray, "V 3"]:
    """Vertices of the head with the identity of neutral landmarks.

    Identity is measured as the difference from the mean face as the same tracker sees it, so that
    the tracker's systematic errors cancel.
    """
    wanted = neutral - closed_template()
    landmarks = head.on_landmarks(rest)
    vertices = rest
    if len(head.modes):
        coefficients, pose = identity_coefficients(head.on_landmarks(head.modes), landmarks, wanted)
        vertices = rest + np.tensordot(coefficients, head.modes.astype(np.float64), axes=1)
        remaining = wanted - pose - (head.on_landmarks(vertices) - landmarks)
    else:
        remaining = _MILD * wanted
    where = head.on_landmarks(vertices)
    warped = vertices + spread(vertices, where, remaining)
    for ball in balls:
        # Eyeballs stay round: they move as a whole.
        fitted = find_ball(ball.side, vertices, ball.rows)
        shift = spread(fitted.centre[None], where, remaining)
        warped[ball.rows] = vertices[ball.rows] + shift
    return np.asarray(warped)


def identity_coefficients(
    modes: Float64[np.ndarray, "K 468 3"],
    landmarks: Float64[np.ndarray, "468 3"],
    wanted: Float64[np.ndarray, "468 3"],
) -> tuple[Float64[np.ndarray, " K"], Float64[np.ndarray, "468 3"]]:
    """The mode coefficients that move the landmarks by `wanted`, and the rigid part of `wanted`.

    Coefficients are regularised (each mode is one standard deviation of people). Translation,
    rotation and scale of the whole face, which make up the rigid part, and a smile, which people
    have in photos, are solved for at the same time and left out.
    """
    centred = landmarks - landmarks.mean(axis=0)
    pose = [np.tile(axis, (len(landmarks), 1)) for axis in np.eye(3)]
    pose += [np.cross(axis, centred) for axis in np.eye(3)]
    pose.append(centred)
    columns = np.stack([*modes, *pose, mean_smile()]).reshape(len(modes) + 8, -1).T
    weight = np.repeat(load_template().rigidity[:LANDMARK_COUNT], 3).reshape(-1, 3)
    weight = (0.3 + 0.7 * weight) * (1.0, _DEPTH_WEIGHT, 1.0)
    weight = weight.reshape(-1, 1) / _NOISE
    weight = weight * np.sqrt(_COUNT / len(landmarks))
    reluctance = np.diag([1.0] * len(modes) + [1e-3] * 7 + [0.3])
    found, *_ = np.linalg.lstsq(
        np.concatenate([columns * weight, reluctance]),
        np.concatenate([wanted.reshape(-1) * weight[:, 0], np.zeros(columns.shape[1])]),
        rcond=None,
    )
    whole = np.tensordot(found[len(modes) : -1], np.stack(pose), axes=1)
    return found[: len(modes)], whole


def _eyeballs(head: StoredHead, vertices: Float64[np.ndarray, "V 3"]) -> list[Ball]:
    """The eyeballs of a head whose parts are named as such."""
    found = []
    for side in ("left", "right"):
        if f"{side}_eye" in head.part_names:
            rows = np.flatnonzero(head.vertex_part == head.part_names.index(f"{side}_eye"))
            if len(rows) >= 16:
                found.append(find_ball(side, vertices, rows))
    return found


def _lip_fields(
    head: StoredHead, landmarks: Float64[np.ndarray, "468 3"]
) -> Float32[np.ndarray, "K V 3"]:
    """A Take's lip fields on this head."""
    basis = offset_basis(landmarks)
    fields = np.zeros((len(basis), len(head.vertices), 3), np.float32)
    fields[:, head.field_rows] = np.einsum(
        "rn,krnc->krc", head.field_shares, basis[:, head.field_landmarks]
    )
    fields[np.abs(fields) < 1e-6] = 0.0
    return fields
