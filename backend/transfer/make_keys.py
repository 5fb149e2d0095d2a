# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes keys for a character: the muscle table on its face, spread over its mesh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32, Float64

from backend.face.arkit_basis import contacts, landmark_basis
from backend.face.lip_fields import offset_basis
from backend.face.pose import Similarity
from backend.watch import UNWATCHED, Watch
from shared.arkit import ARKIT_NAMES, INDEX
from shared.character import Character, FaceKeys
from shared.errors import ErrorKind, VividKeysError

from . import loose_parts
from .classify import component_roles
from .closing import around_ball, closed_field
from .find_landmarks import FaceLandmarks, find_landmarks
from .framed_head import FramedHead, framed_head
from .landmark_surface import LandmarkSurface, Places
from .mesh_graph import point_normals
from .proportions import is_stylised
from .shape_source import ShapeSource, carried_shapes, own_source
from .sides import Sides, find_sides
from .spread_shapes import Smoother, Spread, follow, plan_spread
from .visible_edges import snapped_landmarks

METHOD = "muscle table 1"
# Smaller motions than this count as none, metres on a face of human size.
NO_MOTION = 2e-6
# The share of the jaw's motion that remains on a face whose lips cannot part.
_SURFACE_JAW = 0.35
_CHUNK = 8
# The share of the progress that goes to finding the face.
_FINDING = 0.4
_CLOSING_ROUNDS = 3
_LOOKS = ("eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp")


def make_keys(
    character: Character,
    *,
    style: str = "auto",
    surface_only: bool = False,
    landmarks: FaceLandmarks | None = None,
    source: ShapeSource | None = None,
    watch: Watch = UNWATCHED,
) -> FaceKeys:
    """The 52 shapes and the lip fields for a character.

    `landmarks` are passed if they are already known. `style` is "human", "stylised", or "auto",
    which decides by the proportions: a human face gets the shapes of the mean face, or of the head
    `source`, by deformation transfer; a stylised one, whose proportions say little about its
    muscles, gets the muscle table's shapes on its own face, unless a `source` is named.
    `surface_only` also makes keys for a face whose lips cannot part.
    Raises VividKeysError(no_face, bad_target, mouth_closed, cancelled).
    """
    if landmarks is None:
        landmarks = find_landmarks(character, watch.part(0.0, _FINDING))
    warnings = list(landmarks.warnings)
    watch.stage(_FINDING, "Sorting the parts of the head")
    if style == "auto":
        style = "stylised" if is_stylised(landmarks) else "human"
    frame = landmarks.to_frontal
    components = component_roles(character, landmarks)
    head = framed_head(character, frame, landmarks.places.astype(np.float64), components)
    watch.stage(_FINDING + 0.03, "Telling the lips and the lids apart")
    normals = point_normals(head.graph)
    surface = LandmarkSurface(head.landmarks)
    sides = find_sides(head.graph, normals, head.face, surface, head.landmarks, head.scale)
    if not sides.opens and not surface_only:
        raise VividKeysError(
            ErrorKind.MOUTH_CLOSED,
            "The mouth of this mesh cannot open: its lips are one surface.",
            "Cut the mesh along the line between the lips, or choose surface-only shapes.",
        )
    if not sides.opens:
        warnings.append(
            "The lips of this mesh are one surface: the mouth cannot open, and shapes that part "
            "the lips only move the skin."
        )
    near = snapped_landmarks(head.landmarks, head.graph, head.face, sides, head.scale)
    surface = LandmarkSurface(near)
    watch.stage(_FINDING + 0.07, "Fitting the landmarks to the skin")
    face = np.flatnonzero(head.face)
    own_side = sides.side[:, face].copy()
    if not sides.opens:
        own_side[0] = 0
    laid = surface.locate(head.graph.points[face], normals[face], own_side)
    watch.check()
    spread = plan_spread(head.graph, normals, head.face, surface, laid, sides, near, head.scale)
    if source is None and style == "stylised":
        basis = landmark_basis(near)
    else:
        basis = carried_shapes(source or own_source(), near)
    fields = np.concatenate([basis, offset_basis(near)])
    if source is not None and source.missing:
        lacking = ", ".join(source.missing)
        warnings.append(f"'{source.name}' lacks {lacking}; the muscle table's shapes are used.")
    if not sides.opens:
        fields = _surface_fields(fields)
    watch.stage(_FINDING + 0.12, "Spreading the shapes over the face")
    spreader = _Spreader(head, spread, laid, surface, near)
    motion = np.zeros((len(fields), head.graph.count, 3), np.float32)
    for start in range(0, len(fields), _CHUNK):
        numbers = range(start, min(start + _CHUNK, len(fields)))
        spreader.spread(fields, numbers, motion, watch.check)
        done = (start + len(numbers)) / len(fields)
        watch.stage(_FINDING + 0.12 + (0.72 - _FINDING) * done, "Smoothing the shapes")
    watch.stage(0.85, "Closing the eyes")
    _close_eyes(head, sides, near, fields, motion, spreader, watch.check)
    watch.stage(0.92, "Moving eyes, teeth and tongue")
    _move_loose_parts(head, motion, near, spread)
    watch.stage(0.96, "Packing the keys")
    return _as_keys(head, motion, frame, near, warnings, sides, style)


def _surface_fields(fields: Float64[np.ndarray, "S 468 3"]) -> Float64[np.ndarray, "S 468 3"]:
    """Fields that do not part the lips, for lips that are one surface."""
    lips = contacts()["lips"]
    closed = fields.copy()
    for number, field in enumerate(fields):
        middle = (field[lips.upper] + field[lips.lower]) / 2
        closed[number] = lips.corrected(field, middle, middle)
    for name in ("jawOpen", "mouthClose"):
        closed[INDEX[name]] *= _SURFACE_JAW
    return closed


class _Spreader:
    """Spreads the landmarks' shapes over the points of a head."""

    def __init__(
        self,
        head: FramedHead,
        spread: Spread,
        laid: Places,
        surface: LandmarkSurface,
        near: Float64[np.ndarray, "468 3"],
    ) -> None:
        self._spread, self._laid, self._surface = spread, laid, surface
        self._jaws = loose_parts.jaw_motions(head.graph.points[spread.moving], near, head.scale)
        held = np.zeros(len(spread.moving), np.bool_)
        self._smoother = Smoother(head.graph, spread, held, head.scale)

    def spread(
        self,
        fields: Float64[np.ndarray, "S 468 3"],
        numbers: Sequence[int],
        motion: Float32[np.ndarray, "S P 3"],
        stop: Callable[[], None],
    ) -> None:
        """Fill in `motion` for the shapes `numbers` of `fields`, in place."""
        count = len(self._spread.moving)
        wanted = np.empty((count, len(numbers), 3), np.float32)
        for column, number in enumerate(numbers):
            fine = self._surface.map.operator @ fields[number]
            name = ARKIT_NAMES[number] if number < len(ARKIT_NAMES) else ""
            jaw = self._jaws.get(name)
            walls = jaw is not None or name == "mouthClose"
            wanted[:, column] = follow(self._spread, self._laid, fine, jaw, walls)
        smooth = self._smoother(wanted.reshape(count, -1), stop).reshape(wanted.shape)
        for column, number in enumerate(numbers):
            motion[number, self._spread.moving] = smooth[:, column]


def _close_eyes(
    head: FramedHead,
    sides: Sides,
    near: Float64[np.ndarray, "468 3"],
    fields: Float64[np.ndarray, "S 468 3"],
    motion: Float32[np.ndarray, "S P 3"],
    spreader: _Spreader,
    stop: Callable[[], None],
) -> None:
    """Make blinks close on this mesh; changes `fields` and `motion` in place."""
    triangles = head.graph.triangles[head.face[head.graph.triangles].all(axis=1)]
    for side in ("left", "right"):
        number = INDEX["eyeBlink" + side.capitalize()]
        for _ in range(_CLOSING_ROUNDS):
            posed = replace(head.graph, points=head.graph.points + motion[number])
            changed = closed_field(
                posed, triangles, sides, f"{side}_eye", near, fields[number], head.scale
            )
            if changed is None:
                break
            fields[number] = changed
            spreader.spread(fields, [number], motion, stop)


def _move_loose_parts(
    head: FramedHead,
    motion: Float32[np.ndarray, "S P 3"],
    near: Float64[np.ndarray, "468 3"],
    spread: Spread,
) -> None:
    """Fill in the motions of everything that is not skin, in place."""
    points = head.graph.points
    skin = spread.moving
    for eye in loose_parts.find_eyes(points, head.role, near):
        lids = skin[np.linalg.norm(points[skin] - eye.centre, axis=1) < 2.0 * eye.radius]
        for stem in ("eyeBlink", "eyeSquint", "eyeWide", *_LOOKS):
            number = INDEX[stem + eye.side.capitalize()]
            motion[number, lids] = around_ball(
                points[lids], motion[number, lids], eye, points[eye.points]
            )
        looks = loose_parts.eye_looks(eye, points[eye.points])
        loose_parts.apply_by_name(motion, eye.points, looks)
    for role in ("lower_teeth", "tongue", "mouth"):
        rows = np.flatnonzero(head.role == role)
        if len(rows):
            shapes = loose_parts.mouth_part(points[rows], role, near, head.scale)
            loose_parts.apply_by_name(motion, rows, shapes)
    still = {
        "face",
        "eye_left",
        "eye_right",
        "upper_teeth",
        "lower_teeth",
        "tongue",
        "mouth",
        "hair",
    }
    outside = points[skin]
    others = np.flatnonzero(~np.isin(head.role, list(still)))
    for part in np.unique(head.graph.component[others]):
        rows = others[head.graph.component[others] == part]
        low, high = outside.min(axis=0) - 0.02, outside.max(axis=0) + 0.02
        if ((points[rows] < low) | (points[rows] > high)).all(axis=0).any():
            continue
        shares, follows = loose_parts.skin_share(
            points[rows], outside, str(head.role[rows[0]]), head.scale
        )
        if follows:
            for shape in motion:
                shape[rows] = shares @ shape[skin]


def _as_keys(
    head: FramedHead,
    motion: Float32[np.ndarray, "S P 3"],
    frame: Similarity,
    near: Float64[np.ndarray, "468 3"],
    warnings: list[str],
    sides: Sides,
    style: str,
) -> FaceKeys:
    """The keys in the character's space, for the vertices that move."""
    motion[np.abs(motion) < NO_MOTION * head.scale] = 0.0
    moves = np.any(motion, axis=(0, 2))[head.graph.point_of]
    rows = np.flatnonzero(moves)
    back = (frame.rotation / frame.scale).astype(np.float32)
    offsets = motion[:, head.graph.point_of[rows]] @ back
    back_points = (near - frame.shift) @ frame.rotation / frame.scale
    return FaceKeys(
        rows=rows.astype(np.int32),
        shapes=offsets[: len(ARKIT_NAMES)],
        offset_fields=offsets[len(ARKIT_NAMES) :],
        landmarks=back_points.astype(np.float32),
        meta={
            "warnings": warnings,
            "mouth_opens": bool(sides.opens),
            "method": METHOD,
            "style": style,
        },
    )
