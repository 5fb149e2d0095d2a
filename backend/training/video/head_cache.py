# SPDX-License-Identifier: GPL-3.0-or-later
"""Heads for synthetic training pictures: made once from photos and cached as .npz."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int16, Int32, Int64, Shaped, UInt8
from scipy.spatial import cKDTree

from backend.face.build_head import build_head
from backend.face.close_mouth import close_mouth
from backend.face.identity import identity_modes
from backend.face.landmarks import find_face
from backend.face.load_image import load_image
from backend.face.neutral import neutral_face
from backend.face.texture.photo_crop import crop_photo
from backend.heads.fit_photo import fit_head
from backend.heads.stored_head import StoredHead
from shared.arkit import INDEX
from shared.arrays import save_npz
from shared.errors import ErrorKind, VividKeysError
from shared.face import FaceMesh
from shared.landmarks import (
    CHIN,
    INNER_LIP_LOWER,
    INNER_LIP_UPPER,
    LANDMARK_COUNT,
    LEFT_INNER_LIP_CORNER,
    LIP_CORNERS,
    OUTER_EYE_CORNERS,
    OUTER_LIP_LOWER,
    OUTER_LIP_UPPER,
    RIGHT_INNER_LIP_CORNER,
)
from shared.npz import load_npz

# Side of the texture in texels; pictures of 256 pixels need no larger one.
TEXTURE_SIDE = 1024
# Kinds of surface, which are lit differently.
SKIN, EYE, TEETH, MOUTH, LASHES = range(5)
_KINDS = {
    "teeth_and_gums": TEETH, "teeth": TEETH, "mouth_and_tongue": MOUTH, "mouth": MOUTH,
    "eye": EYE, "lashes": LASHES,
}  # fmt: skip
# Skin above this height turns with the skull; skin this close to the lower end does not; metres.
_NECK_TOP = -0.02
_ROOT = 0.012
_IRIS_RADIUS = 0.0059
_ROUNDING = 1e-5
_LIP_CORNERS = (*LIP_CORNERS, RIGHT_INNER_LIP_CORNER, LEFT_INNER_LIP_CORNER)
# Clothes begin this far below the thinnest part of the neck, which extends this far under them.
_BELOW_THINNEST, _NECK_UNDER = 0.008, 0.035
_NARROWER = 8.0


@dataclass(frozen=True, eq=False)
class TrainingHead:
    """A head that can be posed and drawn quickly.

    vertices (metres), triangles, uvs and texture are as in a FaceMesh
    kind      SKIN, EYE, TEETH, MOUTH or LASHES
    shapes    in units of `_ROUNDING` metres
    follows   how far a vertex turns with the head, 0..1: 0 at the collar
    rows      the vertices that carry the tracked landmarks
    away      offsets of the landmarks from those vertices, metres
    skin      the skin's colour, 0..255
    """

    name: str
    vertices: Float64[np.ndarray, "V 3"]
    triangles: Int32[np.ndarray, "F 3"]
    uvs: Float32[np.ndarray, "F 3 2"]
    texture: UInt8[np.ndarray, "T T 3"]
    kind: UInt8[np.ndarray, " F"]
    shapes: Int16[np.ndarray, "52 V 3"]
    follows: Float64[np.ndarray, " V"]
    rows: Int32[np.ndarray, " 478"]
    away: Float64[np.ndarray, "478 3"]
    skin: Float64[np.ndarray, " 3"]

    def posed(self, weights: Float64[np.ndarray, " 52"]) -> Float64[np.ndarray, "V 3"]:
        """The vertices (metres) with these ARKit weights."""
        chosen = np.flatnonzero(weights)
        moved = self.vertices.copy()
        for index in chosen:
            moved += (weights[index] * _ROUNDING) * self.shapes[index]
        return moved

    def neck_rim(self) -> Float64[np.ndarray, "N 3"]:
        """Points (metres) around the neck near its thinnest part, where clothes begin."""
        height = _neck_height(self.vertices, self.landmarks(self.vertices))
        near = np.abs(self.vertices[:, 2] - height) < 0.006
        return self.vertices[near & (self.follows < 1.0)]

    def landmarks(self, vertices: Float64[np.ndarray, "V 3"]) -> Float64[np.ndarray, "478 3"]:
        """The tracked landmarks (metres) on vertices that are posed but not turned."""
        return np.asarray(vertices[self.rows] + self.away)


def own_head(photo: Path, seed: int | None = None) -> FaceMesh:
    """Our head from a photo; given a seed, with the shape of a random identity.

    Raises VividKeysError(bad_image, no_face).
    """
    image = load_image(photo)
    tracked = find_face(image.pixels)
    neutral = neutral_face(tracked.landmarks)
    crop = crop_photo(image.pixels, tracked.landmarks, neutral)
    vertices = neutral.vertices
    if seed is not None:
        modes = identity_modes()
        amounts = np.random.default_rng(seed).normal(0.0, 0.8, len(modes))
        vertices = close_mouth(vertices + np.tensordot(amounts, modes, axes=1))
    return build_head(vertices, neutral.irises, crop, {})


def training_head(face: FaceMesh, name: str) -> TrainingHead:
    """A head prepared for drawing."""
    rest = face.vertices.astype(np.float64)
    places = (face.landmarks if len(face.landmarks) else rest[:LANDMARK_COUNT]).astype(np.float64)
    rest = _without_flare(rest, places)
    part = np.array(face.part_names)[face.vertex_part]
    kinds = np.array([_KINDS.get(material, SKIN) for material in face.materials], np.uint8)
    kind = kinds[face.triangle_material]
    rows, away = _landmarks(face, rest, places, part, kind)
    texture = cv2.resize(face.texture, (TEXTURE_SIDE,) * 2, interpolation=cv2.INTER_AREA)
    return TrainingHead(
        name=name,
        vertices=rest,
        triangles=np.ascontiguousarray(face.triangles, np.int32),
        uvs=np.ascontiguousarray(face.uvs, np.float32),
        texture=np.asarray(texture, np.uint8),
        kind=np.ascontiguousarray(kind),
        shapes=np.clip(np.round(face.shapes / _ROUNDING), -32767, 32767).astype(np.int16),
        follows=_follows(rest, places, face.triangles[kind == SKIN]),
        rows=rows,
        away=away,
        skin=_skin_colour(face, kind),
    )


def _neck_height(rest: Float64[np.ndarray, "V 3"], landmarks: Float64[np.ndarray, "N 3"]) -> float:
    """The height just below the thinnest part of the neck, metres."""
    chin = float(landmarks[CHIN, 2])
    # Further down is the rim of the neck, which is lower in front than behind.
    heights = np.linspace(chin - 0.008, chin - 0.035, 8)
    wide = [np.ptp(rest[np.abs(rest[:, 2] - height) < 0.005, 0]) for height in heights]
    # Slightly lower, where clothes begin.
    return float(heights[int(np.argmin(wide))]) - _BELOW_THINNEST


def _without_flare(
    rest: Float64[np.ndarray, "V 3"], landmarks: Float64[np.ndarray, "N 3"]
) -> Float64[np.ndarray, "V 3"]:
    """The vertices with the neck kept as thin as at its thinnest part down to its end.

    A flare or the shoulders of a head would stick out of the clothes.
    """
    height = _neck_height(rest, landmarks)
    low = np.flatnonzero(rest[:, 2] < height)
    around = rest[np.abs(rest[:, 2] - height) < 0.006]
    middle = (around[:, :2].min(axis=0) + around[:, :2].max(axis=0)) / 2
    radius = np.ptp(around[:, :2], axis=0) / 2
    far = np.linalg.norm((rest[low, :2] - middle) / radius, axis=1)
    far /= np.clip(1.0 - _NARROWER * (height - rest[low, 2]), 0.7, 1.0)
    drawn = rest.copy()
    # Lower parts are narrowed more, so that they stay under the clothes when the neck bends.
    drawn[low, :2] = middle + (rest[low, :2] - middle) / np.maximum(far, 1.0)[:, None]
    drawn[low, 2] = np.maximum(drawn[low, 2], height - _NECK_UNDER)
    return drawn


def _follows(
    rest: Float64[np.ndarray, "V 3"],
    landmarks: Float64[np.ndarray, "N 3"],
    skin: Int32[np.ndarray, "F 3"],
) -> Float64[np.ndarray, " V"]:
    """1 on the face and the skull, 0 at the collar, blended by the distances to both."""
    on_skin = np.unique(skin)
    lowest = rest[on_skin, 2].min()
    collar = on_skin[rest[on_skin, 2] < lowest + _ROOT]
    upper = on_skin[rest[on_skin, 2] > _NECK_TOP]
    top = np.concatenate([rest[upper], landmarks])
    to_top = cKDTree(top).query(rest[on_skin])[0]
    to_collar = cKDTree(rest[collar]).query(rest[on_skin])[0]
    follows = np.ones(len(rest))
    share = to_collar / np.maximum(to_top + to_collar, 1e-9)
    follows[on_skin] = share * share * (3 - 2 * share)
    return follows


def _landmarks(
    face: FaceMesh,
    rest: Float64[np.ndarray, "V 3"],
    places: Float64[np.ndarray, "468 3"],
    part: Shaped[np.ndarray, " V"],
    kind: UInt8[np.ndarray, " F"],
) -> tuple[Int32[np.ndarray, " 478"], Float64[np.ndarray, "478 3"]]:
    """The vertices that carry the landmarks, and the landmarks' offsets from them, metres."""
    right, left = OUTER_EYE_CORNERS
    radius = _IRIS_RADIUS * np.linalg.norm(places[left] - places[right]) / 0.09
    ring = radius * np.array([(0, 0, 0), (1, 0, 0), (0, 0, 1), (-1, 0, 0), (0, 0, -1)])
    if np.array_equal(face.landmarks, face.vertices[:LANDMARK_COUNT]):
        near = [np.arange(LANDMARK_COUNT)]
    else:
        near = [_on_skin(face, rest, places, np.unique(face.triangles[kind == SKIN]))]
    irises = []
    for side in ("right_eye", "left_eye"):
        rows = np.flatnonzero(part == side)
        if not len(rows):
            raise VividKeysError(ErrorKind.BAD_ARRAY, "The head has no eyes of its own.")
        pole = rest[rows[np.argmin(rest[rows, 1])]]
        around = pole + ring
        near.append(rows[cKDTree(rest[rows]).query(around)[1]])
        irises.append(around)
    chosen = np.concatenate(near).astype(np.int32)
    return chosen, np.concatenate([places, *irises]) - rest[chosen]


def _on_skin(
    face: FaceMesh,
    rest: Float64[np.ndarray, "V 3"],
    places: Float64[np.ndarray, "468 3"],
    skin: Int32[np.ndarray, " N"],
) -> Int64[np.ndarray, " 468"]:
    """The vertices nearest to the landmarks.

    Closed lips are distinguished by jawOpen, which moves only the lower one.
    """
    down = -face.shapes[INDEX["jawOpen"], skin, 2]
    with_jaw = down > 0.5 * np.quantile(down, 0.99)
    rows = skin[cKDTree(rest[skin]).query(places)[1]]
    for lips, own in (
        (INNER_LIP_UPPER + OUTER_LIP_UPPER, skin[down < 0.35 * np.quantile(down, 0.99)]),
        (INNER_LIP_LOWER + OUTER_LIP_LOWER, skin[with_jaw]),
    ):
        # The corners belong to both lips.
        chosen = [row for row in lips if row not in _LIP_CORNERS]
        rows[chosen] = own[cKDTree(rest[own]).query(places[chosen])[1]]
    return np.asarray(rows, np.int64)


def _skin_colour(face: FaceMesh, kind: UInt8[np.ndarray, " F"]) -> Float64[np.ndarray, " 3"]:
    """The median colour of the lower skin, which continues on the neck."""
    skin = np.flatnonzero(kind == SKIN)
    heights = face.vertices[face.triangles[skin], 2].mean(axis=1)
    low = skin[heights < np.quantile(heights, 0.12)]
    uv = face.uvs[low].mean(axis=1)
    side = np.array(face.texture.shape[1::-1])
    at = np.clip((uv * (1, -1) + (0, 1)) * side, 0, side - 1).astype(int)
    return np.asarray(np.median(face.texture[at[:, 1], at[:, 0]], axis=0), np.float64)


_ARRAYS = ("vertices", "triangles", "uvs", "texture", "kind", "shapes", "follows", "rows",
           "away", "skin")  # fmt: skip


def save_training_head(head: TrainingHead, path: Path) -> None:
    """Write a head as .npz."""
    save_npz(path, {name: getattr(head, name) for name in _ARRAYS})


@lru_cache(maxsize=24)
def load_training_head(path: Path) -> TrainingHead:
    """Read a head; raises VividKeysError(bad_file)."""
    arrays = load_npz(path, "a training head")
    try:
        return TrainingHead(name=path.stem, **{name: arrays[name] for name in _ARRAYS})
    except KeyError as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE, f"'{path.name}' is not a training head.", "Remove it."
        ) from error


def make_heads(
    photos: Iterable[Path], folder: Path, ict: StoredHead | None = None, every: int = 4
) -> list[Path]:
    """Make heads for photos, keeping existing ones; every `every`-th uses ICT-FaceKit's mesh.

    Photos without a face are printed and skipped.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number, photo in enumerate(photos):
        other = ict is not None and number % every == every - 1
        kind = "ict" if other else "own"
        path = folder / f"{kind}_{photo.parent.name}_{photo.stem}.npz"
        if not path.is_file():
            try:
                # Half of the faces get the shape of a person who does not exist.
                seed = number if number % 2 else None
                if other and ict is not None:
                    face = fit_head(ict, "ict", photo)
                else:
                    face = own_head(photo, seed)
                save_training_head(training_head(face, path.stem), path)
            except VividKeysError as error:
                print(f"{photo.name}: {error}", flush=True)
                continue
        made.append(path)
    return made
