# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a character shown to the face detector: without hair, lashes and glasses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int32, Int64
from numpy.typing import NDArray

from shared.character import Character

from .components import Ball, component_labels, fit_ball, seam_twins
from .face_picture import Eyeball, Surface, make_surface

# Words in the names of pieces, and the role they give. Searched in this order: an eyelash is not
# an eye.
NAME_ROLES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("lashes", ("lash", "wimper")),
    ("brows", ("brow", "braue")),
    ("hair", ("hair", "haar", "beard", "bart", "moustache", "mustache", "wig", "ponytail")),
    ("other", ("glass", "brille", "hat", "helmet", "cloth", "shirt", "shoe", "occlu", "tear")),
    ("tongue", ("tongue", "zunge")),
    ("upper_teeth", ("upper_teeth", "teeth_upper", "teethupper", "upperteeth", "teeth_up")),
    ("lower_teeth", ("lower_teeth", "teeth_lower", "teethlower", "lowerteeth", "teeth_lo")),
    ("teeth", ("teeth", "tooth", "zahn", "denture", "gum")),
    ("eye", ("eye", "auge", "cornea", "sclera", "iris", "pupil")),
)
_HIDDEN = {"lashes", "hair", "other"}
# The most roughness (rms over radius) with which a ball can pass for an eye.
_ROUGH = 0.12
# A part entirely within this many radii of an eyeball's centre is a shell around it.
_SHELL = 2.6


def name_role(name: str) -> str:
    """The role that a piece's name implies, "" for none; "eye" and "teeth" leave the side open."""
    plain = name.lower().replace(" ", "_").replace(".", "_").replace("-", "_")
    if plain in ("face", "head", "body") or "eyes_face" in plain:
        return ""
    for role, words in NAME_ROLES:
        if any(_has_word(plain, word) for word in words):
            return role
    return ""


def _has_word(name: str, word: str) -> bool:
    """Short words must stand alone: `that` does not contain the word `hat`."""
    return word in name.split("_") if len(word) <= 3 else word in name


@dataclass(frozen=True, eq=False)
class Parts:
    """A character taken apart.

    label   component of each vertex, -1 if it belongs to no triangle
    same    first vertex at the same position
    sizes   number of vertices of each component
    piece   the piece each component belongs to
    roles   of each component by its piece's name, "" if unknown
    balls   sphere of each component that could be an eyeball, by its number
    """

    label: Int32[np.ndarray, " V"]
    same: Int64[np.ndarray, " V"]
    sizes: Int64[np.ndarray, " C"]
    piece: Int64[np.ndarray, " C"]
    roles: tuple[str, ...]
    balls: dict[int, Ball]


def take_apart(character: Character) -> Parts:
    """The components, their sizes, roles by name, and which look like eyeballs."""
    vertices = character.vertices.astype(np.float64)
    same = seam_twins(vertices, character.triangles, character.piece)
    label = component_labels(character.triangles, same)
    count = int(label.max()) + 1
    sizes = np.bincount(label[label >= 0], minlength=count)
    used = np.flatnonzero(label >= 0)
    piece = np.zeros(count, np.int64)
    piece[label[used]] = character.piece[used]
    of_piece = [name_role(name) for name in character.piece_names]
    if len(of_piece):
        of_piece[0] = ""  # The piece with the face, whatever it is called.
    roles = tuple(of_piece[number] for number in piece)
    order = used[np.argsort(label[used], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    members = [order[starts[k] : starts[k + 1]] for k in range(count)]
    balls = _eyeballs(vertices, members, roles)
    return Parts(label, same, sizes, piece, roles, balls)


def _eyeballs(
    vertices: Float64[np.ndarray, "V 3"],
    members: list[NDArray[np.int64]],
    roles: tuple[str, ...],
) -> dict[int, Ball]:
    """Roundish components with a twin at the same height, or named as eyes."""
    found: dict[int, Ball] = {}
    for number, rows in enumerate(members):
        if roles[number] not in ("", "eye") or len(rows) < 12 or number > 2000:
            continue
        width = _extents(vertices[rows])
        if width.min() < 0.45 * width.max():
            continue
        ball = fit_ball(vertices[rows])
        if ball is None or ball.roughness > _ROUGH or width.max() > 2.6 * ball.radius:
            continue
        if width.min() < 0.6 * ball.radius:
            continue
        found[number] = ball
    return {
        number: ball
        for number, ball in found.items()
        if roles[number] == "eye" or any(_twins(ball, other) for other in found.values())
    }


def _extents(points: Float64[np.ndarray, "N 3"]) -> Float64[np.ndarray, " 3"]:
    """The extents of points along their principal axes."""
    away = points - points.mean(axis=0)
    _, axes = np.linalg.eigh(away.T @ away)
    return np.asarray(np.ptp(away @ axes, axis=0))


def _twins(one: Ball, other: Ball) -> bool:
    """Whether two balls could be the eyes of one head."""
    gap = float(np.linalg.norm(one.centre - other.centre))
    return bool(
        0.75 < one.radius / other.radius < 1.33
        and 1.2 * one.radius < gap < 12 * one.radius
        and abs(one.centre[2] - other.centre[2]) < 0.35 * gap
    )


def shown_surface(character: Character, parts: Parts, *, strict: bool) -> Surface:
    """The surface that is shown to the face detector.

    Shells over an eyeball (lashes, tears, shadows) are always left out, hair and clothes by name;
    `strict` leaves out every component but the eyeballs and the largest one of piece 0.
    """
    vertices = character.vertices.astype(np.float64)
    hidden = np.array([role in _HIDDEN for role in parts.roles], bool)
    if strict:
        first = np.flatnonzero(parts.piece == 0)
        hidden[np.arange(len(hidden)) != (first[0] if len(first) else 0)] = True
    used = np.flatnonzero(parts.label >= 0)
    for ball in parts.balls.values():
        off = np.linalg.norm(vertices[used] - ball.centre, axis=1)
        reach = np.zeros(len(hidden))
        np.maximum.at(reach, parts.label[used], off)
        hidden |= reach < _SHELL * ball.radius
    hidden[list(parts.balls)] = False
    component = parts.label[character.triangles[:, 0]]
    keep = ~hidden[component]
    eyeballs = tuple(Eyeball(ball.centre, ball.radius, k) for k, ball in parts.balls.items())
    return make_surface(vertices, character.triangles[keep], component[keep], eyeballs, parts.same)
