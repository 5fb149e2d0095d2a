# SPDX-License-Identifier: GPL-3.0-or-later
"""A character of the user's own: its objects, whether they can get keys, and its shape.

The shape is sent as it was modelled: the base mesh with the objects' transforms, without pose and
modifiers. Offsets that come back are converted to each object's own space.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import bpy
import numpy as np
from mathutils import Matrix

from .. import mapping
from ..animation import lip_detail, targets
from ..contracts import arkit, character, errors
from ..mapping.conventions import keys_of_channels

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Float64, Int32

FACE_POINT_PROPERTY = "vividkeys_face_point"
PIECES_PROPERTY = "vividkeys_pieces"
FEWEST_VERTICES = 100
# A larger coordinate is a mistake; its square would overflow single precision.
_FARTHEST = 1e9


@dataclass(frozen=True)
class Piece:
    """One object of a character as it was when it was sent.

    `matrix` is 4 by 4, row by row, and maps the object's own space to the one that was sent;
    `shape` is a hash that tells whether the mesh is still the same.
    """

    object: targets.Reference
    vertices: int
    matrix: tuple[float, ...]
    shape: str

    @property
    def to_sent(self) -> Float64[np.ndarray, "4 4"]:
        return np.array(self.matrix, np.float64).reshape(4, 4)

    def to_local(self, places: Float[np.ndarray, "*batch 3"]) -> Float32[np.ndarray, "*batch 3"]:
        """Positions that came back, in the object's own space."""
        inverse = np.linalg.inv(self.to_sent)
        return np.asarray(places @ inverse[:3, :3].T + inverse[:3, 3], np.float32)

    def offsets_to_local(
        self, offsets: Float[np.ndarray, "*batch 3"]
    ) -> Float32[np.ndarray, "*batch 3"]:
        """Offsets that came back, in the object's own space."""
        return np.asarray(offsets @ np.linalg.inv(self.to_sent[:3, :3]).T, np.float32)


# --- which objects ---------------------------------------------------------------------------


def face_of(context: bpy.types.Context, name: str = "") -> bpy.types.Object | None:
    """The object with the face; None when there is none.

    It is the one called `name`, or the active one, or the one whose face point is active.
    """
    if name:
        return bpy.data.objects.get(name)
    active = context.view_layer.objects.active if context.view_layer is not None else None
    if active is None or active.get(FACE_POINT_PROPERTY) is None:
        return active
    return active.parent or active


def pieces_of(
    context: bpy.types.Context, face: bpy.types.Object, name: str = ""
) -> list[bpy.types.Object]:
    """The face and the meshes that go with it: those that are selected.

    While its face points are being dragged, those that were selected when the points were made.
    """
    active = context.view_layer.objects.active
    if not name and active is not None and active != face:
        return [face, *noted_pieces(face)]
    selected = [
        member
        for member in context.view_layer.objects
        if member != face and member.type == "MESH" and member.select_get()
    ]
    return [face, *selected]


def note_pieces(pieces: Sequence[bpy.types.Object]) -> None:
    """Remember on the face which objects go with it.

    Dragging a point changes the selection. And objects that got no keys, such as upper teeth, are
    not targets, but belong in an exported file.
    """
    pieces[0][PIECES_PROPERTY] = {str(number): other for number, other in enumerate(pieces[1:])}


def noted_pieces(face: bpy.types.Object) -> list[bpy.types.Object]:
    """The objects that were last sent together with this face and are still in the file."""
    noted = face.get(PIECES_PROPERTY)
    others = list(noted.values()) if noted is not None else []
    return [other for other in others if other is not None and other.users_scene]


def choice_problem(context: bpy.types.Context, pieces: Sequence[bpy.types.Object]) -> str:
    """Why these objects cannot be sent, as a sentence; '' when they can."""
    face = pieces[0] if pieces else None
    problem = piece_problem(face)
    if problem or face is None:
        return problem
    if face.name not in context.view_layer.objects:
        return f"'{face.name}' is not in the current view layer; enable its collection first."
    if not face.visible_get():
        return f"'{face.name}' is hidden; show it first."
    if len(face.data.vertices) < FEWEST_VERTICES:
        return (
            f"'{face.name}' has {len(face.data.vertices)} vertices; "
            f"a face needs at least {FEWEST_VERTICES}."
        )
    problem = next(filter(None, map(piece_problem, pieces[1:])), "")
    if problem:
        return f"{problem.rstrip('.')}. Or deselect it."
    if len(pieces) > character.MAX_PIECES:
        return f"{len(pieces)} meshes are selected; at most {character.MAX_PIECES} can be keyed."
    return ""


def piece_problem(piece: bpy.types.Object | None) -> str:
    """Why this object cannot get keys, as a sentence; '' when it can."""
    if piece is None:
        return "Select the mesh with the face."
    name = piece.name
    if piece.type != "MESH":
        return f"'{name}' is not a mesh; select the mesh with the face."
    mesh = cast("bpy.types.Mesh", piece.data)
    if not piece.is_editable:
        return f"'{name}' is linked from another file; make it local first."
    if not mesh.is_editable:
        return f"The mesh of '{name}' is linked from another file; make it local first."
    if mesh.override_library is not None:
        return (
            f"The mesh of '{name}' is a library override, which takes no new keys; make it local."
        )
    if piece.mode in ("EDIT", "SCULPT"):
        return f"'{name}' is in {piece.mode.lower()} mode; leave it first."
    if not mesh.polygons:
        return f"'{name}' has no faces."
    if mesh.users > 1:
        shared = sum(1 for o in bpy.data.objects if o.data == mesh and o.users_scene)
        if shared > 1:
            return f"{shared} objects share the mesh of '{name}'; make it a single user first."
    if mesh.shape_keys is not None and not mesh.shape_keys.use_relative:
        return f"The shape keys of '{name}' are absolute; make them relative first."
    if any(m.type == "MIRROR" and (m.show_viewport or m.show_render) for m in piece.modifiers):
        return (
            f"'{name}' is mirrored by a modifier, so both sides would move alike; apply it first."
        )
    return ""


def key_count(pieces: Sequence[bpy.types.Object]) -> int:
    """How many of the 52 channels have a key of their own on these meshes."""
    found: set[str] = set()
    for piece in pieces:
        if piece.type == "MESH" and piece.data.shape_keys is not None:
            found.update(keys_of_channels(key_names(targets.keys_on(piece))))
    return len(found.intersection(arkit.ARKIT_NAMES))


def has_all_keys(pieces: Sequence[bpy.types.Object]) -> bool:
    """Whether there is nothing to add: all of the 52 keys are there, and those for lip detail."""
    keys: bpy.types.Key | None = pieces[0].data.shape_keys
    whole = key_count(pieces) == len(arkit.ARKIT_NAMES)
    return whole and keys is not None and lip_detail.has_keys(keys)


def key_names(keys: bpy.types.Key) -> tuple[str, ...]:
    """The names of a datablock's shape keys without the reference key and our lip keys."""
    aside = {keys.reference_key.name, *(b.name for b in lip_detail.keys_of(keys).values())}
    return tuple(block.name for block in keys.key_blocks if block.name not in aside)


def match_of(piece: bpy.types.Object) -> mapping.Mapping:
    """The mapping that the names of a piece's keys suggest."""
    return mapping.match_keys(key_names(targets.keys_on(piece)))


# --- their shape -----------------------------------------------------------------------------


def read(
    pieces: Sequence[bpy.types.Object],
    point_ids: Int32[np.ndarray, " N"],
    point_places: Float32[np.ndarray, "N 3"],
) -> tuple[character.Character, tuple[Piece, ...]]:
    """The character to send, and a note about each piece.

    `point_places` are in the space of the first piece. Raises VividKeysError(bad_target,
    too_large).
    """
    counts: list[int] = [len(piece.data.vertices) for piece in pieces]
    count = sum(counts)
    if count > character.MAX_VERTICES:
        raise errors.VividKeysError(
            errors.ErrorKind.TOO_LARGE,
            f"The meshes have {count:,} vertices; at most {character.MAX_VERTICES:,} can be keyed.",
            "Deselect what does not belong to the face, or use a coarser mesh.",
        )
    rest = [rest_coordinates(piece) for piece in pieces]
    matrices = [np.array(rest_matrix(piece), np.float64) for piece in pieces]
    for piece, places, matrix in zip(pieces, rest, matrices, strict=True):
        _check_numbers(piece, places, matrix)
    # Centred, because far from the origin single precision is too coarse for lips.
    middle = _moved(rest[0], matrices[0])
    centre = (middle.min(axis=0) + middle.max(axis=0)) / 2.0
    vertices, triangles, notes, first = [], [], [], 0
    for piece, places, matrix in zip(pieces, rest, matrices, strict=True):
        matrix[:3, 3] -= centre
        corners = _triangles(cast("bpy.types.Mesh", piece.data)) + first
        # Mirroring reverses the winding of the faces.
        triangles.append(corners[:, ::-1] if np.linalg.det(matrix[:3, :3]) < 0.0 else corners)
        vertices.append(_moved(places, matrix))
        notes.append(_note(piece, places, matrix))
        first += len(places)
    sent = character.Character(
        vertices=np.concatenate(vertices).astype(np.float32),
        triangles=np.ascontiguousarray(np.concatenate(triangles), np.int32),
        piece=np.repeat(np.arange(len(pieces), dtype=np.int32), [len(r) for r in rest]),
        piece_names=tuple(piece.name for piece in pieces),
        point_ids=point_ids,
        point_places=_moved(point_places, matrices[0]).astype(np.float32),
    )
    return sent, tuple(notes)


def found_again(piece: Piece) -> bpy.types.Object:
    """The object of a piece, ready to get keys.

    Raises VividKeysError(bad_target) when it is gone, cannot be changed now, or no longer has the
    shape that was sent.
    """
    step = "Then fetch the keys again: they are listed under 'Backend'."
    try:
        found: bpy.types.Object = targets.find(piece.object)
        if not found.users_scene:
            # Deleted, but something still points to it, e.g. our list of targets.
            raise errors.VividKeysError(
                errors.ErrorKind.BAD_TARGET, f"The object '{found.name}' is in no scene any more."
            )
    except errors.VividKeysError as error:
        raise errors.VividKeysError(
            error.kind, error.sentence, f"Open the file that has it. {step}"
        ) from error
    problem = piece_problem(found)
    if problem:
        raise errors.VividKeysError(errors.ErrorKind.BAD_TARGET, problem, step)
    if _shape(found, rest_coordinates(found)) != piece.shape:
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_TARGET,
            f"The mesh '{found.name}' was changed since it was sent; its keys do not fit it.",
            "Undo the change and fetch the keys again, or press 'Make Face Keys' again.",
        )
    return found


def rest_coordinates(piece: bpy.types.Object) -> Float32[np.ndarray, "V 3"]:
    """The vertices without keys and modifiers, in the object's own space."""
    keys = piece.data.shape_keys
    if keys is not None:
        return lip_detail.coordinates(keys.reference_key.points)
    flat = np.empty(len(piece.data.vertices) * 3, np.float32)
    piece.data.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3)


def rest_matrix(piece: bpy.types.Object) -> Matrix:
    """The object's world matrix, with the bone that it may be parented to in its rest pose.

    Eyes parented to a head bone would otherwise be sent in their posed position, away from a skin
    that an armature modifier poses.
    """
    if piece.parent is None or piece.constraints:
        return piece.matrix_world.copy()
    own = piece.matrix_parent_inverse @ piece.matrix_basis
    if piece.parent_type == "OBJECT":
        return rest_matrix(piece.parent) @ own
    bones = piece.parent.data.bones if piece.parent.type == "ARMATURE" else {}
    bone = bones.get(piece.parent_bone) if piece.parent_type == "BONE" else None
    if bone is None or bone.use_relative_parent:
        return piece.matrix_world.copy()
    tail = bone.matrix_local @ Matrix.Translation((0.0, bone.length, 0.0))
    placed: Matrix = rest_matrix(piece.parent) @ tail @ own
    return placed


def _moved(
    places: Float[np.ndarray, "N 3"], matrix: Float64[np.ndarray, "4 4"]
) -> Float64[np.ndarray, "N 3"]:
    return np.asarray(places @ matrix[:3, :3].T + matrix[:3, 3], np.float64)


def _triangles(mesh: bpy.types.Mesh) -> Int32[np.ndarray, "F 3"]:
    mesh.calc_loop_triangles()
    flat = np.empty(len(mesh.loop_triangles) * 3, np.int32)
    mesh.loop_triangles.foreach_get("vertices", flat)
    return flat.reshape(-1, 3)


def _note(
    piece: bpy.types.Object, places: Float32[np.ndarray, "V 3"], matrix: Float64[np.ndarray, "4 4"]
) -> Piece:
    return Piece(
        object=targets.remember(piece),
        vertices=len(places),
        matrix=tuple(map(float, matrix.ravel())),
        shape=_shape(piece, places),
    )


def _shape(piece: bpy.types.Object, places: Float32[np.ndarray, "V 3"]) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(places).tobytes())
    digest.update(str(len(piece.data.polygons)).encode())
    return digest.hexdigest()[:32]


def _check_numbers(
    piece: bpy.types.Object, places: Float32[np.ndarray, "V 3"], matrix: Float64[np.ndarray, "4 4"]
) -> None:
    # Written so that NaN fails too: it is not less than anything.
    if not (np.abs(places) < _FARTHEST).all():
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_TARGET,
            f"Some vertices of '{piece.name}' have invalid coordinates: not a number, or huge.",
            "Delete or repair them: 'Mesh > Clean Up' in edit mode.",
        )
    linear = matrix[:3, :3]
    if not np.isfinite(matrix).all() or abs(np.linalg.det(linear)) < 1e-12 * max(
        float(np.abs(linear).max()) ** 3, 1e-30
    ):
        raise errors.VividKeysError(
            errors.ErrorKind.BAD_TARGET,
            f"The scale of '{piece.name}' is zero along an axis.",
            "Give it a size first.",
        )
