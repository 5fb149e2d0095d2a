# SPDX-License-Identifier: GPL-3.0-or-later
"""The 468 face landmarks on any character's mesh.

The character is rendered as an untextured bust from the directions where a face is likely, and
the face tracker for photos runs on the renderings; the landmarks it finds are projected back onto
the surface. Points set by the user take precedence, and suffice if no face is detected.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int32

from backend.face.pose import Similarity
from backend.face.surface import vertex_normals
from backend.face.template import face_size, load_template
from backend.watch import UNWATCHED, Watch
from shared.character import Character
from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import LANDMARK_COUNT

from .face_edges import snap_to_edges
from .face_picture import Surface
from .face_tracking import WORST_RESIDUAL, Tracked, region, track
from .head_parts import Parts, shown_surface, take_apart
from .head_search import Find, find_heads, judge
from .point_fit import fit_points, follow_points
from .settle import settled
from .surface_points import nearest_on_surface

MIN_VERTICES = 100
# How many points the user must set before they suffice without a detected face.
MIN_POINTS = 4
# Above this residual the mesh hardly resembles the template; a share of the distance between the
# outer eye corners.
_DOUBTFUL = 0.16
# Below this mean confidence the views disagree so much that the detection is not a face.
_LEAST_CONFIDENCE = 0.15
# Below this mean confidence something may be hiding part of the face.
_POOR_CONFIDENCE = 0.35


@dataclass(frozen=True, eq=False)
class FaceLandmarks:
    """Where a character's face is.

    places      in the character's own space, on its surface
    confidence  0..1: how well each landmark was seen
    to_frontal  the similarity to the template's frame: metres, +Z up, face along -Y
    method      "rendered": detected in renderings of the mesh; "points": from the user's points
    warnings    sentences for the user
    """

    places: Float64[np.ndarray, "468 3"]
    confidence: Float64[np.ndarray, " 468"]
    to_frontal: Similarity
    method: str
    warnings: tuple[str, ...] = ()


def find_landmarks(character: Character, watch: Watch = UNWATCHED) -> FaceLandmarks:
    """The landmarks of a character's face.

    Raises VividKeysError(bad_target) for a mesh that cannot be a face, no_face if none was found
    and the user has set fewer than four points, cancelled.
    """
    _check(character)
    watch.stage(0.0, "Looking at the mesh")
    parts = take_apart(character)
    surface = shown_surface(character, parts, strict=False)
    watch.stage(0.1, "Looking for the face")
    tracked, surface = _tracked(character, parts, surface, watch)
    has_points = len(np.unique(character.point_ids)) >= MIN_POINTS
    if tracked is None and not has_points:
        raise VividKeysError(
            ErrorKind.NO_FACE,
            "No face was found on this character.",
            "Set the face points by hand: at least four, preferably all twelve.",
        )
    watch.stage(0.7, "Finding lips and eyelids")
    if tracked is None:
        return _from_points(character, parts, surface, watch)
    return _from_pictures(character, parts, surface, tracked, watch)


def _check(character: Character) -> None:
    used = np.unique(character.triangles)
    if len(used) < MIN_VERTICES:
        raise VividKeysError(
            ErrorKind.BAD_TARGET,
            f"Only {len(used)} vertices of this mesh belong to polygons; a face needs more.",
            "Choose the mesh that has the character's face.",
        )
    size = np.ptp(character.vertices[used].astype(np.float64), axis=0)
    if size.max() <= 0 or np.sort(size)[1] < 1e-3 * size.max() or size.min() < 1e-4 * size.max():
        raise VividKeysError(
            ErrorKind.BAD_TARGET,
            "This mesh is flat; a face needs depth.",
            "Choose the mesh that has the character's face.",
        )


def _tracked(
    character: Character,
    parts: Parts,
    surface: Surface,
    watch: Watch,
) -> tuple[Tracked | None, Surface]:
    """The face as tracked in renderings, and the surface that was drawn.

    If tracking went badly, e.g. under hair without a name, it is repeated without loose parts.
    """
    tracked = _seen(character, surface, watch)
    if tracked is None or float(tracked.confidence.mean()) < _POOR_CONFIDENCE:
        bare = shown_surface(character, parts, strict=True)
        if len(bare.triangles) < len(surface.triangles):
            again = _seen(character, bare, watch)
            if again is not None and (
                tracked is None or again.confidence.mean() > 1.2 * tracked.confidence.mean()
            ):
                return again, bare
    return tracked, surface


def _seen(
    character: Character,
    surface: Surface,
    watch: Watch,
) -> Tracked | None:
    if len(np.unique(character.point_ids)) >= MIN_POINTS:
        # The user's points say where the head is, so it need not be searched.
        guess = fit_points(character.point_ids, character.point_places)
        finds: Iterable[Find] = [judge(guess, _all())]
    else:
        finds = find_heads(surface, watch.check)
    for find in finds:
        watch.stage(0.4, "Looking at the face from several sides")
        tracked = track(surface, find, watch.check)
        if tracked is not None and _believable(tracked):
            return tracked
    return None


def _believable(tracked: Tracked) -> bool:
    return (
        tracked.residual < WORST_RESIDUAL and float(tracked.confidence.mean()) > _LEAST_CONFIDENCE
    )


def _all() -> Bool[np.ndarray, " 468"]:
    return np.ones(LANDMARK_COUNT, bool)


def _from_pictures(
    character: Character,
    parts: Parts,
    surface: Surface,
    tracked: Tracked,
    watch: Watch,
) -> FaceLandmarks:
    unit = face_size(load_template().vertices) / tracked.to_frontal.scale
    front = region(surface, tracked.to_frontal)
    places, off = settled(tracked.places, tracked.confidence, tracked.to_frontal)
    confidence = tracked.confidence * np.exp(-((off / 0.05) ** 2))
    places = follow_points(places, character.point_ids, character.point_places)
    places = onto_surface(places, front, tracked.to_frontal)
    snapped, put = snap_to_edges(places, front, parts.same, tracked.to_frontal, unit, watch.check)
    # Neighbours of landmarks moved to an edge follow, or their order along the skin would break.
    weights = np.where(put, 6.0, 1.0)
    smooth, _ = settled(snapped, weights, tracked.to_frontal, doubt=1.0)
    smooth = onto_surface(smooth, front, tracked.to_frontal)
    places = np.where(put[:, None], snapped, smooth)
    confidence = np.where(put, np.maximum(confidence, 0.9), confidence)
    places, confidence = _users_points(character, places, confidence)
    final = judge(places, _all())
    warnings = []
    if tracked.residual > _DOUBTFUL:
        warnings.append(
            "The face differs a lot from a human one; check that the points are placed correctly."
        )
    return FaceLandmarks(places, confidence, final.to_frontal, "rendered", tuple(warnings))


def _from_points(
    character: Character, parts: Parts, surface: Surface, watch: Watch
) -> FaceLandmarks:
    guess = fit_points(character.point_ids, character.point_places)
    move = judge(guess, _all()).to_frontal
    front = region(surface, move)
    if not len(front.triangles):
        raise VividKeysError(
            ErrorKind.NO_FACE,
            "The face points are far from the mesh.",
            "Set the points on the face of this character.",
        )
    places = onto_surface(guess, front, move)
    unit = face_size(load_template().vertices) / move.scale
    snapped, put = snap_to_edges(places, front, parts.same, move, unit, watch.check)
    confidence = np.where(put, 0.6, 0.35)
    places, confidence = _users_points(character, snapped, confidence)
    return FaceLandmarks(
        places,
        confidence,
        judge(places, _all()).to_frontal,
        "points",
        ("No face was found in renderings of the mesh; only the points set by hand were used.",),
    )


def _users_points(
    character: Character,
    places: Float64[np.ndarray, "468 3"],
    confidence: Float64[np.ndarray, " 468"],
) -> tuple[Float64[np.ndarray, "468 3"], Float64[np.ndarray, " 468"]]:
    """The landmarks with the user's points exactly where they were set."""
    places, confidence = places.copy(), confidence.copy()
    places[character.point_ids] = character.point_places
    confidence[character.point_ids] = 1.0
    return places, np.clip(confidence, 0.0, 1.0)


def onto_surface(
    places: Float64[np.ndarray, "468 3"], surface: Surface, to_frontal: Similarity
) -> Float64[np.ndarray, "468 3"]:
    """The nearest points of the skin that face the way the template does there.

    Eyeballs do not count as skin.
    """
    template = load_template()
    frontal = to_frontal.apply(places)
    wanted = vertex_normals(frontal, template.triangles) @ to_frontal.rotation
    balls = [ball.component for ball in surface.eyeballs]
    skin = ~np.isin(surface.component, balls)
    triangles = surface.triangles[skin]
    if not len(triangles):
        return places
    found, _, _ = nearest_on_surface(
        places, surface.vertices, triangles, wanted, _outward(surface, places, triangles, wanted)
    )
    return found


def _outward(
    surface: Surface,
    places: Float64[np.ndarray, "468 3"],
    triangles: Int32[np.ndarray, "F 3"],
    wanted: Float64[np.ndarray, "468 3"],
) -> Float64[np.ndarray, "V 3"]:
    """The mesh's normals, flipped if its triangles wind the other way."""
    _, triangle, _ = nearest_on_surface(places, surface.vertices, triangles)
    normals = surface.normals[triangles[triangle]].mean(axis=1)
    agree = float(np.median((normals * wanted).sum(axis=1)))
    return surface.normals if agree >= 0 else -surface.normals
