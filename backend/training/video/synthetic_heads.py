# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures of random talking heads whose motion is known exactly.

Heads made from photos (`head_cache.py`) are posed, lit, dressed and put in front of a background. A
scene is a person, a light and a camera; its pictures differ only in the head's state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8
from scipy.spatial.transform import Rotation

from shared.landmarks import (
    LANDMARK_COUNT,
    LIP_EDGES,
    LOWER_LIP_EDGE,
    OUTER_LIP_LOWER,
    OUTER_LIP_UPPER,
    UPPER_LIP_EDGE,
)

from .backdrop import Body, random_background, random_body
from .camera import Camera, Lights, photographed, random_camera, random_lights
from .drawing_kernels import LINEAR, colours, normals, origins
from .head_cache import EYE, LASHES, MOUTH, SKIN, TEETH, TrainingHead, load_training_head
from .mouth_variety import Mouth, random_mouth_of, speaking
from .pairs import TrainingPair
from .states import State, next_state, random_state
from .surface_drawing import Drawn, draw
from .tracking_noise import as_tracked

# Supersampling factor.
FINER = 2
# Pivot of the head: the top of the neck, metres in the head's frame.
PIVOT = np.array((0.0, 0.02, -0.055))
# Deep teeth get this share of the scattered light that deep flesh gets.
FLESH_SHARE_OF_TEETH = 0.25
# Lips open by less than this (metres) let in less light, down to the given share.
LETS_ALL_IN, LEAST_IN = 0.008, 0.3
# A source has this share of the tracker's usual error, because people choose good photos.
_SOURCE_ERROR = 0.5
# Depths that differ by less belong to the same surface, metres.
_SAME_SURFACE = 0.0035


@dataclass(frozen=True, eq=False)
class Scene:
    """A person, their clothes, the light and the camera.

    scale   pixels of the finished picture per metre
    middle  position of the head's origin in the picture, pixels
    size    (width, height) of the finished picture
    gain    brightness of each kind of surface, such as this person's teeth
    mouth   the person's mouth
    """

    head: TrainingHead
    body: Body
    lights: Lights
    camera: Camera
    background: UInt8[np.ndarray, "H W 3"]
    scale: float
    middle: Float64[np.ndarray, " 2"]
    size: tuple[int, int]
    gain: Float64[np.ndarray, "5 3"]
    mouth: Mouth


@dataclass(frozen=True, eq=False)
class Shot:
    """One picture, its landmarks in pixels, and the rasterised mesh."""

    picture: UInt8[np.ndarray, "H W 3"]
    landmarks: Float64[np.ndarray, "478 3"]
    drawn: Drawn


def random_scene(
    head: TrainingHead,
    random: np.random.Generator,
    side: int = 320,
    backgrounds: list[UInt8[np.ndarray, "_ _ 3"]] | None = None,
) -> Scene:
    """A person in random clothes and light, framed like a portrait."""
    neck = head.neck_rim()
    width = np.ptp(head.landmarks(head.vertices)[:LANDMARK_COUNT, 0])
    scale = side * random.uniform(0.34, 0.5) / width
    middle = np.array((0.5, 0.5)) + random.normal(0, (0.03, 0.025), 2)
    tone = np.ones((5, 3))
    tone[TEETH] = random.uniform(0.45, 1.1) * np.array((1.0, *random.uniform((0.93, 0.7), 1.0)))
    tone[MOUTH] = random.uniform(0.6, 1.3) * (1 + random.normal(0, 0.08, 3))
    tone[EYE] = random.uniform(0.85, 1.1)
    tone[SKIN] = np.clip(1 + random.normal(0, 0.03, 3), 0.9, 1.1)
    tone[LASHES] = 0.8
    return Scene(
        head=head,
        body=random_body(random, neck, head.skin),
        lights=random_lights(random),
        camera=random_camera(random),
        background=random_background(random, (side, side), backgrounds),
        scale=float(scale),
        middle=middle * side,
        size=(side, side),
        gain=tone,
        mouth=random_mouth_of(random),
    )


def turned(
    points: Float64[np.ndarray, "N 3"],
    follows: Float64[np.ndarray, " N"],
    angles: Float64[np.ndarray, " 3"],
) -> Float64[np.ndarray, "N 3"]:
    """Points (metres) turned by the head's angles, as far as each follows the head."""
    pitch, roll, yaw = angles
    vector = Rotation.from_euler("xyz", (pitch, roll, yaw)).as_rotvec()
    from_pivot = points - PIVOT
    whole = from_pivot @ Rotation.from_rotvec(vector).as_matrix().T
    moved = whole.copy()
    bent = np.flatnonzero(follows < 1.0)
    if len(bent):
        part = Rotation.from_rotvec(follows[bent, None] * vector)
        moved[bent] = part.apply(from_pivot[bent])
    return np.asarray(moved + PIVOT)


def in_pixels(
    points: Float64[np.ndarray, "N 3"], scene: Scene, finer: int = 1
) -> Float64[np.ndarray, "N 3"]:
    """Points in metres to pixels right, down and away."""
    scale = scene.scale * finer
    return np.stack(
        [
            scene.middle[0] * finer + points[:, 0] * scale,
            scene.middle[1] * finer - (points[:, 2] - 0.0) * scale,
            points[:, 1] * scale,
        ],
        axis=1,
    )


def shoot(scene: Scene, state: State, random: np.random.Generator) -> Shot:
    """Draw the scene's person in a state."""
    head, body = scene.head, scene.body
    posed = speaking(head, head.posed(state.weights), scene.mouth, random)
    placed = turned(posed, head.follows, state.angles)
    points = np.concatenate([placed, body.vertices])
    triangles = np.concatenate([head.triangles, body.triangles + len(placed)])
    shade = _shade(scene, posed, points, triangles)
    size = (scene.size[0] * FINER, scene.size[1] * FINER)
    drawn = draw(in_pixels(points, scene, FINER).astype(np.float32), triangles, size)
    light = LINEAR[cv2.resize(scene.background, size, interpolation=cv2.INTER_LINEAR)]
    gain = scene.gain[head.kind].astype(np.float32)
    colours(light, drawn.face_id, drawn.shares, triangles, head.uvs, head.texture, 0, shade, gain,
            LINEAR)  # fmt: skip
    plain = np.ones((len(body.triangles), 3), np.float32)
    colours(light, drawn.face_id, drawn.shares, triangles, body.uvs, body.texture,
            len(head.triangles), shade, plain, LINEAR)  # fmt: skip
    carried = head.landmarks(posed)
    landmarks = in_pixels(turned(carried, head.follows[head.rows], state.angles), scene)
    let_in = _let_in(landmarks, scene)
    _lip_shadow(light, drawn, scene, let_in)
    _flesh_scatters(light, drawn, scene, FINER * landmarks, let_in)
    picture = photographed(cv2.resize(light, scene.size, interpolation=cv2.INTER_AREA),
                           scene.camera, random)  # fmt: skip
    return Shot(picture, landmarks, drawn)


def _shade(
    scene: Scene,
    posed: Float64[np.ndarray, "N 3"],
    points: Float64[np.ndarray, "V 3"],
    triangles: Int32[np.ndarray, "F 3"],
) -> Float32[np.ndarray, "V 3"]:
    """Light on every vertex of head and body, about 1 on the front of the face."""
    head, lights = scene.head, scene.lights
    light = lights.on(normals(points, triangles))
    usual = np.median(light[head.rows[:LANDMARK_COUNT]], axis=0).mean()
    shade = 1.0 + lights.contrast * (light / usual - 1.0)
    inside = np.unique(head.triangles[(head.kind == TEETH) | (head.kind == MOUTH)])
    # Depth behind the lips in the head's own frame: deeper parts get less light.
    lips = posed[head.rows[list(LIP_EDGES)], 1].mean()
    deep = np.clip(posed[inside, 1] - lips - 0.004, 0.0, None)
    shade[inside] *= (np.exp(-deep / lights.depth))[:, None]
    return np.asarray(np.clip(shade, 0.02, 3.0), np.float32)


def _let_in(landmarks: Float64[np.ndarray, "478 3"], scene: Scene) -> float:
    """Share of the light that the lips let in, from their gap; landmarks in pixels."""
    gap = float(landmarks[LOWER_LIP_EDGE, 1] - landmarks[UPPER_LIP_EDGE, 1]) / scene.scale
    return LEAST_IN + (1 - LEAST_IN) * float(np.clip(gap / LETS_ALL_IN, 0.0, 1.0))


def _lip_shadow(
    light: Float32[np.ndarray, "H W 3"], drawn: Drawn, scene: Scene, let_in: float
) -> None:
    """Darken what is between the lips, most near their edges. Changes `light`."""
    head, mouth = scene.head, scene.mouth
    kind = np.append(head.kind, np.zeros(1, np.uint8))
    face = np.where(drawn.face_id < len(head.triangles), drawn.face_id, -1)
    between = np.isin(kind[face], (TEETH, MOUTH))
    rows, columns = np.flatnonzero(between.any(axis=1)), np.flatnonzero(between.any(axis=0))
    if not len(rows):
        return
    reach = max(2, round(0.012 * drawn.face_id.shape[0]))
    box = np.s_[
        max(0, rows[0] - 2 * reach) : rows[-1] + 2 * reach + 1,
        max(0, columns[0] - 2 * reach) : columns[-1] + 2 * reach + 1,
    ]
    inside = between[box].astype(np.float32)
    # Light comes from above, so the upper lip casts the longer shadow.
    open_to = cv2.GaussianBlur(inside, (0, 0), reach / 2)
    falls = mouth.shadow_falls * reach
    below = cv2.warpAffine(open_to, np.array([(1, 0, 0), (0, 1, falls)], np.float32),
                           inside.shape[::-1])  # fmt: skip
    shadow = let_in * np.clip(mouth.in_shadow + 0.9 * np.minimum(open_to, below), 0.0, 1.0)
    light[box] *= np.where(inside > 0, shadow, 1.0)[..., None].astype(np.float32)


def _flesh_scatters(
    light: Float32[np.ndarray, "H W 3"],
    drawn: Drawn,
    scene: Scene,
    landmarks: Float64[np.ndarray, "478 3"],
    let_in: float,
) -> None:
    """Add the light that lips and cheeks let through onto deep parts, in the lips' colour.

    Changes `light`; `landmarks` are in its pixels.
    """
    head, flesh = scene.head, scene.mouth.flesh * let_in
    height, width = light.shape[:2]
    lips = landmarks[[*OUTER_LIP_UPPER[2:-2], *OUTER_LIP_LOWER[2:-2]], :2].astype(int)
    column, row = np.clip(lips[:, 0], 0, width - 1), np.clip(lips[:, 1], 0, height - 1)
    colour = np.median(light[row, column], axis=0)
    kind = np.append(head.kind, np.zeros(1, np.uint8))
    face = np.where(drawn.face_id < len(head.triangles), drawn.face_id, -1)
    # Parts that are lit already get correspondingly less.
    for which, share in ((MOUTH, flesh), (TEETH, FLESH_SHARE_OF_TEETH * flesh)):
        own = kind[face] == which
        lit = light[own].mean(axis=1, keepdims=True) / max(float(colour.mean()), 1e-4)
        light[own] += np.float32(share) * colour * np.clip(1.0 - lit, 0.0, 1.0)


def exact_flow(scene: Scene, source: Shot, target: Shot) -> Float32[np.ndarray, "H W 2"]:
    """Optical flow from target to source, pixels."""
    return np.asarray(
        origins(
            target.drawn.face_id, target.drawn.shares, source.drawn.face_id, source.drawn.depth,
            source.drawn.points, source.drawn.triangles, FINER,
            _SAME_SURFACE * scene.scale * FINER,
        )
    )  # fmt: skip


def scene_pairs(
    scene: Scene, random: np.random.Generator, name: str, count: int = 4, tracked: bool = True
) -> Iterator[TrainingPair]:
    """Pairs of one source with `count` targets, every third of which follows the one before.

    If `tracked`, landmarks have a tracker's error.
    """
    source = shoot(scene, random_state(random, calm=True), random)
    error = 1.0 if tracked else 0.0
    from_here = as_tracked(source.landmarks, random, _SOURCE_ERROR * error)
    state = random_state(random)
    for number in range(count):
        follows = number % 3 == 2
        state = next_state(state, random) if follows else random_state(random)
        target = shoot(scene, state, random)
        yield TrainingPair(
            source.picture, target.picture, from_here,
            as_tracked(target.landmarks, random, error), exact_flow(scene, source, target),
            name, "synthetic", follows,
        )  # fmt: skip


def synthetic_pairs(
    heads: Sequence[Path],
    random: np.random.Generator,
    backgrounds: list[UInt8[np.ndarray, "_ _ 3"]] | None = None,
    side: int = 320,
    per_scene: int = 4,
    tracked: bool = True,
) -> Iterator[TrainingPair]:
    """An endless stream of pairs of random scenes with the heads in these files."""
    while True:
        head = load_training_head(heads[int(random.integers(len(heads)))])
        scene = random_scene(head, random, side, backgrounds)
        yield from scene_pairs(scene, random, head.name, per_scene, tracked)
