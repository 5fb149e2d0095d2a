# SPDX-License-Identifier: GPL-3.0-or-later
"""A character becomes one with keys: the muscle table on its face, spread over its mesh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from backend.face.arkit_basis import contacts, landmark_basis
from backend.face.lip_fields import offset_basis
from backend.face.pose import Similarity, fit_similarity
from backend.face.template import face_size, load_template
from backend.face.topology import LANDMARK_COUNT
from shared.arkit import ARKIT_NAMES, INDEX
from shared.character import Character, FaceKeys
from shared.errors import ErrorKind, VividKeysError

from . import loose_parts
from .closing import around_ball, closed_field, edges_seen
from .landmark_surface import LandmarkSurface, Places
from .loose_parts import Component
from .mesh_graph import MeshGraph, mesh_graph, point_normals
from .sides import Sides, find_sides, near_lips
from .spread_shapes import Smoother, Spread, follow, plan_spread
from .visible_edges import snapped_landmarks

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Ints = NDArray[np.int64]
Progress = Callable[[float, str], None]
Cancelled = Callable[[], bool]

METHOD = "muscle table 1"
# A motion smaller than this is none, metres on a face of human size.
NO_MOTION = 2e-6
# What is left of a jaw's motion on a face whose lips cannot part.
_SURFACE_JAW = 0.35
_CHUNK = 8
_CLOSING_ROUNDS = 3
_LOOKS = ("eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp")


def make_keys(
    character: Character,
    *,
    style: str = "auto",
    surface_only: bool = False,
    landmarks: Floats | None = None,
    components: Sequence[Component] | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> FaceKeys:
    """The 52 shapes and the lip fields for a character.

    `landmarks` [468,3] in the character's space where they are known already, `components` what
    its loose parts are. `surface_only` makes keys for a face whose lips cannot part, too.
    Raises VividKeysError(no_face, bad_target, cancelled).
    """

    def stage(fraction: float, sentence: str) -> None:
        stop()
        if progress is not None:
            progress(fraction, sentence)

    def stop() -> None:
        if cancelled is not None and cancelled():
            raise VividKeysError(ErrorKind.CANCELLED, "Making the keys was cancelled.")

    warnings: list[str] = []
    stage(0.0, "Looking at the mesh")
    if landmarks is None:
        raise VividKeysError(ErrorKind.NO_FACE, "No face was found on the mesh.")
    places = np.asarray(landmarks, np.float64)
    frame = _frame(places)
    stage(0.05, "Sorting the parts of the head")
    head = _Head.of(character, frame, places, components)
    stage(0.15, "Telling the lips and the lids apart")
    normals = point_normals(head.graph)
    surface = LandmarkSurface(head.landmarks)
    sides = find_sides(
        head.graph, normals, head.face, surface, head.landmarks, head.scale
    )
    if not sides.opens and not surface_only:
        raise VividKeysError(
            ErrorKind.BAD_TARGET,
            "The mouth of this mesh cannot open: its lips are one surface.",
            "Cut the mesh along the line of the lips, or choose surface-only shapes.",
        )
    if not sides.opens:
        warnings.append(
            "The lips of this mesh are one surface: the mouth cannot open, and shapes that part "
            "the lips only move the skin."
        )
    near = snapped_landmarks(head.landmarks, head.graph, head.face, sides, head.scale)
    surface = LandmarkSurface(near)
    stage(0.25, "Laying the landmarks' surface onto the skin")
    face = np.flatnonzero(head.face)
    own_side = sides.side[:, face] if sides.opens else sides.side[:, face] * [[0], [1], [1]]
    laid = surface.locate(head.graph.points[face], normals[face], own_side)
    stop()
    spread = plan_spread(
        head.graph, normals, head.face, surface, laid, sides, near, head.scale
    )
    fields = np.concatenate([landmark_basis(near), offset_basis(near)])
    if not sides.opens:
        fields = _surface_fields(fields)
    stage(0.4, "Spreading the shapes over the face")
    spreader = _Spreader(head, spread, laid, surface, near)
    motion = np.zeros((len(fields), head.graph.count, 3), np.float32)
    for start in range(0, len(fields), _CHUNK):
        numbers = range(start, min(start + _CHUNK, len(fields)))
        spreader.spread(fields, numbers, motion, stop)
        stage(0.4 + 0.4 * (start + _CHUNK) / (len(fields) + _CHUNK), "Making the shapes smooth")
    stage(0.8, "Closing lips and lids")
    _close_openings(head, sides, near, fields, motion, spreader, stop)
    stage(0.86, "Moving eyes, teeth and tongue")
    _move_loose_parts(head, motion, near, spread)
    stage(0.92, "Packing the keys")
    return _as_keys(character, head, motion, frame, near, warnings, sides, style)


def _frame(landmarks: Floats) -> Similarity:
    """To a face of human size that looks straight ahead."""
    template = load_template()
    weights = template.rigidity[:LANDMARK_COUNT]
    if landmarks.shape != (LANDMARK_COUNT, 3) or not np.isfinite(landmarks).all():
        raise VividKeysError(ErrorKind.NO_FACE, "The places of the face's landmarks are no numbers.")
    if face_size(landmarks) <= 0:
        raise VividKeysError(ErrorKind.NO_FACE, "The landmarks of the face lie in one place.")
    return fit_similarity(landmarks, template.vertices, weights)


@dataclass(frozen=True, eq=False)
class _Head:
    """A character in metres, face ahead: the graph, the landmarks [468,3], the role of each point
    [P] and whether it is the face's skin [P]; `scale` against the template."""

    graph: MeshGraph
    landmarks: Floats
    role: NDArray[np.str_]
    face: NDArray[np.bool_]
    scale: float

    @classmethod
    def of(
        cls,
        character: Character,
        frame: Similarity,
        landmarks: Floats,
        components: Sequence[Component] | None,
    ) -> _Head:
        vertices = frame.apply(character.vertices.astype(np.float64))
        points = frame.apply(landmarks)
        scale = face_size(points) / face_size(load_template().vertices)
        triangles = character.triangles.astype(np.int64)
        graph = _graph(vertices, triangles, character.piece, points, scale)
        used = np.zeros(graph.count, np.bool_)
        used[graph.triangles.reshape(-1)] = True
        if components is None:
            by_part = loose_parts.roles_by_place(
                graph.points, graph.component, used, points, scale
            )
            role = by_part[graph.component]
        else:
            role = np.full(graph.count, "other", dtype="<U12")
            for part in components:
                role[graph.point_of[np.asarray(part.vertices, np.int64)]] = part.role
        face = (role == "face") & used
        if face.sum() < 50:
            raise VividKeysError(
                ErrorKind.NO_FACE,
                "There is too little skin where the face should be.",
                "Choose the object that has the face, or set the points of the face by hand.",
            )
        return cls(graph, points, role, face, scale)


def _graph(
    vertices: Floats, triangles: Ints, piece: NDArray[np.int32], landmarks: Floats, scale: float
) -> MeshGraph:
    """Welded, but not from one piece to another, and not across the line of the lips."""
    pieces = piece.astype(np.int64) * 4
    near = near_lips(vertices, landmarks, scale)
    corners = near[triangles].all(axis=1).sum()
    # Where every triangle has vertices of its own there is nothing else to go by than places.
    in_crumbs = near.sum() > 2.4 * corners
    group = pieces.copy()
    if not in_crumbs:
        group[near] = 4 * len(vertices) + np.flatnonzero(near)
    first = mesh_graph(vertices, triangles, group)
    if in_crumbs:
        return first
    used = np.zeros(first.count, np.bool_)
    used[first.triangles.reshape(-1)] = True
    roles = loose_parts.roles_by_place(first.points, first.component, used, landmarks, scale)
    face = used & (roles[first.component] == "face")
    surface = LandmarkSurface(landmarks)
    sides = find_sides(first, point_normals(first), face, surface, landmarks, scale)
    # Once it is known which lip is which, seams of the texture across a lip are welded too.
    code = (sides.side[:, first.point_of] + 1).T @ np.array([1, 3, 9])
    group = pieces.copy()
    group[near] += 4 * (int(piece.max()) + 1) * (1 + code[near])
    return mesh_graph(vertices, triangles, group)


def _surface_fields(fields: Floats) -> Floats:
    """Fields [S,468,3] without a gap between the lips, for lips that are one surface."""
    lips = contacts()["lips"]
    closed = fields.copy()
    for number, field in enumerate(fields):
        middle = (field[lips.upper] + field[lips.lower]) / 2
        closed[number] = lips.corrected(field, middle, middle)
    for name in ("jawOpen", "mouthClose"):
        closed[INDEX[name]] *= _SURFACE_JAW
    return closed


class _Spreader:
    """Spreads shapes of the landmarks over the points of a head."""

    def __init__(
        self,
        head: _Head,
        spread: Spread,
        laid: Places,
        surface: LandmarkSurface,
        near: Floats,
    ) -> None:
        self._spread, self._laid, self._surface = spread, laid, surface
        self._jaws = loose_parts.jaw_motions(head.graph.points[spread.moving], near, head.scale)
        held = np.zeros(len(spread.moving), np.bool_)
        self._smoother = Smoother(head.graph, spread, held, head.scale)

    def spread(
        self, fields: Floats, numbers: Sequence[int], motion: Singles, stop: Callable[[], None]
    ) -> None:
        """Fill in `motion` [S,P,3] for the shapes `numbers` of `fields` [S,468,3]; in place."""
        count = len(self._spread.moving)
        wanted = np.empty((count, len(numbers), 3), np.float32)
        for column, number in enumerate(numbers):
            fine = self._surface.map.operator @ fields[number]
            name = ARKIT_NAMES[number] if number < len(ARKIT_NAMES) else ""
            wanted[:, column] = follow(self._spread, self._laid, fine, self._jaws.get(name))
        smooth = self._smoother(wanted.reshape(count, -1), stop).reshape(wanted.shape)
        for column, number in enumerate(numbers):
            motion[number, self._spread.moving] = smooth[:, column]


def _close_openings(
    head: _Head,
    sides: Sides,
    near: Floats,
    fields: Floats,
    motion: Singles,
    spreader: _Spreader,
    stop: Callable[[], None],
) -> None:
    """Blinks close and mouthClose seals on this mesh; changes `fields` and `motion` in place."""
    triangles = head.graph.triangles[head.face[head.graph.triangles].all(axis=1)]
    graph, scale = head.graph, head.scale
    jobs = [("left_eye", "eyeBlinkLeft", ""), ("right_eye", "eyeBlinkRight", "")]
    if sides.opens:
        jobs.append(("mouth", "mouthClose", "jawOpen"))
    for opening, name, beside in jobs:
        gap, _ = edges_seen(graph, triangles, sides, opening, near, scale)
        for _ in range(_CLOSING_ROUNDS):
            number, other = INDEX[name], INDEX.get(beside)
            pose, moved = fields[number], motion[number]
            if other is not None:
                pose, moved = pose + fields[other], moved + motion[other]
            changed = closed_field(
                graph, moved, triangles, sides, opening, near, (fields[number], pose),
                gap if beside else None, scale,
            )  # fmt: skip
            if changed is None:
                break
            fields[number] = changed
            spreader.spread(fields, [number], motion, stop)


def _move_loose_parts(head: _Head, motion: Singles, near: Floats, spread: Spread) -> None:
    """Fill in the motions [S,P,3] of all that is not skin; in place."""
    points = head.graph.points
    skin = spread.moving
    for eye in loose_parts.find_eyes(points, head.role, near):
        lids = skin[np.linalg.norm(points[skin] - eye.centre, axis=1) < 2.0 * eye.radius]
        for stem in ("eyeBlink", "eyeSquint", "eyeWide", *_LOOKS):
            number = INDEX[stem + eye.side.capitalize()]
            motion[number, lids] = around_ball(points[lids], motion[number, lids], eye)
        looks = loose_parts.eye_looks(eye, points[eye.points])
        loose_parts.apply_by_name(motion, eye.points, looks)
    for role in ("lower_teeth", "tongue", "mouth"):
        rows = np.flatnonzero(head.role == role)
        if len(rows):
            shapes = loose_parts.mouth_part(points[rows], role, near, head.scale)
            loose_parts.apply_by_name(motion, rows, shapes)
    still = {"face", "eye_left", "eye_right", "upper_teeth", "lower_teeth", "tongue", "mouth", "hair"}
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
    character: Character,
    head: _Head,
    motion: Singles,
    frame: Similarity,
    near: Floats,
    warnings: list[str],
    sides: Sides,
    style: str,
) -> FaceKeys:
    """Back into the character's space, only the vertices that move."""
    motion[np.abs(motion) < NO_MOTION * head.scale] = 0.0
    moves = motion.any(axis=(0, 2))[head.graph.point_of]
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
