# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders an untextured mesh so that a face detector trained on photos recognises a face.

Skin colour, a soft light from above the camera, hollows darkened from the depth picture, and
eyes: a whitish ball with a dark iris, painted into the openings if the mesh has no eyeballs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64, UInt8
from PIL import Image, ImageDraw
from scipy.ndimage import binary_fill_holes, gaussian_filter, label, zoom

from backend.face.surface import vertex_normals
from backend.rasterize import rasterize

_SKIN = np.array([0.80, 0.60, 0.50])
_HOLLOW = np.array([0.22, 0.10, 0.08])
_EYE_WHITE = np.array([0.86, 0.84, 0.82])
_IRIS = np.array([0.20, 0.13, 0.09])
_BACKGROUND = np.array([0.42, 0.45, 0.48])
# Cosines of half the angles that iris and pupil subtend at the centre of the eyeball.
_IRIS_COSINE, _PUPIL_COSINE = np.cos(np.radians(29)), np.cos(np.radians(12))


@dataclass(frozen=True, eq=False)
class View:
    """An orthographic camera.

    centre   the point in the middle of the picture
    axes     rows: picture right, away from the camera, up
    half     half the width of the picture in the character's unit
    side     its width and height in pixels
    """

    centre: Float64[np.ndarray, " 3"]
    axes: Float64[np.ndarray, "3 3"]
    half: float
    side: int

    def project(self, points: Float64[np.ndarray, "N 3"]) -> Float64[np.ndarray, "N 3"]:
        """Points as pixels right, pixels down, and depth in pixels (smaller is nearer)."""
        right, away, up = ((points - self.centre) @ self.axes.T).T
        scale = self.side / (2 * self.half)
        return np.column_stack(
            [self.side / 2 + scale * right, self.side / 2 - scale * up, scale * away]
        )

    def turned(self, yaw: float, pitch: float) -> View:
        """The view from another direction, radians: yaw about the picture's up, then pitch."""
        c, s = np.cos(yaw), np.sin(yaw)
        about_up = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
        c, s = np.cos(pitch), np.sin(pitch)
        about_right = np.array([[1.0, 0.0, 0.0], [0.0, c, s], [0.0, -s, c]])
        return View(self.centre, about_right @ about_up @ self.axes, self.half, self.side)


@dataclass(frozen=True, eq=False)
class Eyeball:
    """A ball to be painted as an eye, and its component's number."""

    centre: Float64[np.ndarray, " 3"]
    radius: float
    component: int


@dataclass(frozen=True, eq=False)
class Surface:
    """The mesh to draw: the visible triangles, and the component of each.

    Normals follow the winding of the triangles.
    """

    vertices: Float64[np.ndarray, "V 3"]
    triangles: Int32[np.ndarray, "F 3"]
    normals: Float64[np.ndarray, "V 3"]
    component: Int32[np.ndarray, " F"]
    eyeballs: tuple[Eyeball, ...]


@dataclass(frozen=True, eq=False)
class Light:
    """A light and the shading.

    direction  where the light comes from in picture axes: right, away, up
    even       share of ambient light
    hollows    how much hollows are darkened
    """

    direction: tuple[float, float, float] = (0.25, -1.0, 0.55)
    even: float = 0.45
    hollows: float = 1.0


@dataclass(frozen=True, eq=False)
class Picture:
    """A drawn view.

    triangle  of each pixel; -1 for none
    shares    barycentric coordinates in that triangle
    depth     in pixels, infinite where there is nothing
    """

    pixels: UInt8[np.ndarray, "S S 3"]
    triangle: Int32[np.ndarray, "S S"]
    shares: Float64[np.ndarray, "S S 3"]
    depth: Float64[np.ndarray, "S S"]


def make_surface(
    vertices: Float64[np.ndarray, "V 3"],
    triangles: Int32[np.ndarray, "F 3"],
    component: Int32[np.ndarray, " F"],
    eyeballs: tuple[Eyeball, ...],
    same: Int64[np.ndarray, " V"],
) -> Surface:
    """A surface whose normals are smooth across seams.

    `component` is given per triangle; `same` is the first vertex at each position.
    """
    return Surface(
        vertices,
        triangles,
        vertex_normals(vertices, same[triangles].astype(np.int32))[same],
        component,
        eyeballs,
    )


def draw(
    surface: Surface,
    view: View,
    light: Light,
    openings: list[Float64[np.ndarray, "N 2"]] | None = None,
) -> Picture:
    """The surface in a view.

    `openings` are outlines of eyes in pixels, painted where no eyeball shows.
    """
    triangle, shares, depth = depth_picture(surface, view)
    seen = triangle >= 0
    corners = surface.triangles[triangle[seen]]
    share = shares[seen][:, :, None]
    normal = (surface.normals[corners] * share).sum(axis=1) @ view.axes.T
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    # Whatever is visible faces the camera, however its triangle is wound.
    normal *= np.where(normal[:, 1] > 0, -1.0, 1.0)[:, None]
    colour = np.broadcast_to(_SKIN, (len(corners), 3)).copy()
    is_eye = _paint_eyeballs(colour, surface, view, triangle[seen], corners, share)
    towards = np.asarray(light.direction) / np.linalg.norm(light.direction)
    lit = light.even + (1 - light.even) * np.clip(normal @ towards, 0, 1)
    image = np.broadcast_to(_BACKGROUND, (*depth.shape, 3)).copy()
    hollow = _hollows(depth, seen) * light.hollows
    dark = np.clip(hollow[seen], 0, 1)[:, None] * np.where(is_eye, 0.35, 1.0)[:, None]
    shine = np.clip(normal @ _halfway(towards), 0, 1)[:, None] ** 20 * 0.08
    image[seen] = (colour * (1 - dark) + _HOLLOW * dark) * lit[:, None] + shine
    image[binary_fill_holes(seen) & ~seen] = _HOLLOW  # sockets, open mouths
    eye_pixels = np.zeros_like(seen)
    eye_pixels[seen] = is_eye
    for outline in openings or ():
        _paint_opening(image, depth, outline, eye_pixels)
    pixels = np.asarray(np.clip(image, 0, 1) ** 0.9 * 255, np.uint8)
    return Picture(pixels, triangle, shares, depth)


def depth_picture(
    surface: Surface, view: View
) -> tuple[Int32[np.ndarray, "S S"], Float64[np.ndarray, "S S 3"], Float64[np.ndarray, "S S"]]:
    """Triangle, barycentric coordinates and depth of every pixel of a view."""
    seen = rasterize(view.project(surface.vertices), surface.triangles, (view.side, view.side))
    return seen.face_id, seen.barycentric.astype(np.float64), seen.depth.astype(np.float64)


def _halfway(towards: Float64[np.ndarray, " 3"]) -> Float64[np.ndarray, " 3"]:
    middle = towards + np.array([0.0, -1.0, 0.0])
    return np.asarray(middle / np.linalg.norm(middle))


def _paint_eyeballs(
    colour: Float64[np.ndarray, "N 3"],
    surface: Surface,
    view: View,
    triangle: Int32[np.ndarray, " N"],
    corners: Int32[np.ndarray, "N 3"],
    share: Float64[np.ndarray, "N 3 1"],
) -> Bool[np.ndarray, " N"]:
    """Colour the pixels that show eyeballs, in place; returns which ones they are."""
    component = surface.component[triangle]
    is_eye = np.zeros(len(triangle), bool)
    for ball in surface.eyeballs:
        mine = component == ball.component
        if not mine.any():
            continue
        place = (surface.vertices[corners[mine]] * share[mine]).sum(axis=1) - ball.centre
        ahead = -(place @ view.axes[1]) / np.maximum(np.linalg.norm(place, axis=1), 1e-12)
        paint = np.where((ahead > _IRIS_COSINE)[:, None], _IRIS, _EYE_WHITE)
        colour[mine] = np.where((ahead > _PUPIL_COSINE)[:, None], 0.03, paint)
        is_eye |= mine
    return is_eye


def _hollows(
    depth: Float64[np.ndarray, "S S"], seen: Bool[np.ndarray, "S S"]
) -> Float64[np.ndarray, "S S"]:
    """How much deeper each pixel is than its surroundings, on a fine and on coarser scales."""
    flat = np.where(seen, depth, 0.0).astype(np.float32)
    total = np.zeros_like(flat)
    side = len(depth)
    # Coarse hollows are found in a smaller picture.
    for reach, weight, step in ((0.006, 0.9, 1), (0.015, 0.8, 2), (0.04, 0.5, 4)):
        sigma = reach * side
        share = gaussian_filter(seen[::step, ::step].astype(np.float32), sigma / step, truncate=3)
        around = gaussian_filter(flat[::step, ::step], sigma / step, truncate=3)
        around = around / np.maximum(share, 1e-3)
        if step > 1:
            around = zoom(around, step, order=1, grid_mode=False)[:side, :side]
        total += weight * np.clip((flat - around) / (2.5 * sigma), 0, 0.6)
    return np.asarray(np.where(seen, total, 0.0), np.float64)


def _paint_opening(
    image: Float64[np.ndarray, "S S 3"],
    depth: Float64[np.ndarray, "S S"],
    outline: Float64[np.ndarray, "N 2"],
    is_eye: Bool[np.ndarray, "S S"],
) -> None:
    """Paint an eye into the outline (pixels), unless an eyeball already shows there.

    An empty socket is filled completely, whatever the outline says.
    """
    side = len(image)
    mask = Image.new("L", (4 * side, 4 * side))
    ImageDraw.Draw(mask).polygon([(4 * x, 4 * y) for x, y in outline.tolist()], fill=255)
    cover = np.asarray(mask.resize((side, side), Image.Resampling.BOX), np.float64) / 255
    inside = cover > 0.5
    if not inside.any() or (is_eye & inside).sum() > 0.3 * inside.sum():
        return
    socket = _socket(depth, outline, inside)
    if socket is not None:
        cover = gaussian_filter(socket.astype(np.float64), 0.6)
        inside = socket
    rows, columns = np.nonzero(inside)
    centre, width = (columns.mean() + 0.5, rows.mean() + 0.5), np.ptp(columns) + 1
    rows, columns = np.nonzero(cover > 0.02)
    distance = np.hypot(columns + 0.5 - centre[0], rows + 0.5 - centre[1]) / width
    eye = np.where((distance < 0.2)[:, None], _IRIS, _EYE_WHITE)
    eye = np.where((distance < 0.08)[:, None], 0.03, eye)
    share = cover[rows, columns][:, None]
    image[rows, columns] = image[rows, columns] * (1 - share) + eye * share


def _socket(
    depth: Float64[np.ndarray, "S S"],
    outline: Float64[np.ndarray, "N 2"],
    inside: Bool[np.ndarray, "S S"],
) -> Bool[np.ndarray, "S S"] | None:
    """The pixels of an empty eye socket or a hole under an outline; None if there is none."""
    low, high = outline.min(axis=0), outline.max(axis=0)
    width = high[0] - low[0]
    column = np.clip(outline[:, 0].astype(int), 0, len(depth) - 1)
    row = np.clip(outline[:, 1].astype(int), 0, len(depth) - 1)
    rim = depth[row, column]
    # The lids are in front; part of the outline may already lie in the opening.
    front = np.percentile(np.where(np.isfinite(rim), rim, depth[inside].max()), 35)
    if not np.isfinite(front):
        return None
    y, x = np.indices(depth.shape)
    near = (np.abs(x - (low[0] + high[0]) / 2) < 0.75 * width) & (
        np.abs(y - (low[1] + high[1]) / 2) < 0.45 * width
    )
    numbers, count = label((depth > front + 0.15 * width) & near)
    if not count:
        return None
    most = 1 + int(np.bincount(numbers[inside], minlength=count + 1)[1:].argmax())
    socket = numbers == most
    return socket if (socket & inside).sum() > 0.25 * inside.sum() else None
