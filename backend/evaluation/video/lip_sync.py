# SPDX-License-Identifier: GPL-3.0-or-later
"""Rendered Takes, tracked again: do lips and head follow the mesh, is it still the same person?

The reference is measured on the driven mesh, after the renderer has limited its motion; the video,
by the face tracker in the rendered frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float64, UInt8

from backend.audio_to_mesh.animate import animate
from backend.audio_to_mesh.motion_model import MotionModel
from backend.audio_to_mesh.settings import AnimateSettings
from backend.evaluation.phones import Phone
from backend.evaluation.video.curves import Closures, Following, closures, following, gain
from backend.evaluation.video.flicker import background_flicker, skin_flicker
from backend.evaluation.video.people import Speech
from backend.evaluation.video.reenact import face_sharpness
from backend.evaluation.video.regions import face_width
from backend.evaluation.video.tracked import AXES, bone_distance, look_again, motion_of
from backend.face.fit_photo import fit_photo
from backend.face.photo_model import identity_coordinates
from backend.face.template import load_template
from shared.landmarks import LANDMARK_COUNT
from shared.take import Take

FPS = 25.0
# Amplitude of the swing about each axis in turn, and the duration of one swing.
SWING_DEGREES, SWING_SECONDS = 20.0, 3.0
# Copies of the photo in front of the video, on which the tracker settles.
_STILLS = 5
# Frames of a video in which the identity is measured.
_IDENTITY_FRAMES = 8


@dataclass(frozen=True, eq=False)
class Video:
    """A rendered Take.

    landmarks  of the face in the photo, in its pixels
    driven     the landmarks of the mesh in each frame, in the photo's pixels
    """

    name: str
    fps: float
    photo: UInt8[np.ndarray, "H W 3"]
    landmarks: Float64[np.ndarray, "478 3"]
    frames: tuple[UInt8[np.ndarray, "H W 3"], ...]
    driven: Float64[np.ndarray, "T 468 3"]


@dataclass(frozen=True)
class AxisFigures:
    """One axis of the head against the mesh: correlation, mean error in degrees, and gain."""

    axis: str
    correlation: float
    error: float
    gain: float


@dataclass(frozen=True)
class VideoFigures:
    """One rendered Take.

    aperture, aperture_gain  of the gap between the lips against the mesh's
    pose        per axis
    away        mean distance of bone in the picture from the mesh, without the constant offset of
                each landmark: percent of the distance between the outer eye corners
    found       share of frames in which a face is found
    bone, bone_sway  distance of bone between photo and video, and its variation within the video,
                millimetres
    identity    distance from the photo's face in `identity_coordinates`, mean over frames
    sharpness   CPBD of the face, relative to the photo's; energy: mean squared slope, likewise
    background, skin  flicker in levels
    worst       frames in which the gap between the lips differs most from the mesh's
    """

    name: str
    frames: int
    aperture: Following
    aperture_gain: float
    closures: Closures
    pose: tuple[AxisFigures, ...]
    away: float
    found: float
    bone: float
    bone_sway: float
    identity: float
    sharpness: float
    energy: float
    background: float
    skin: float
    worst: tuple[int, ...]


def speech_takes(speeches: Sequence[Speech]) -> list[Take]:
    """A Take of each recording, made by the shipped network on the average face."""
    model = MotionModel.load()
    return [animate(speech.audio, model, AnimateSettings()) for speech in speeches]


def swinging(take: Take) -> Take:
    """The beginning of the Take with the head swinging in pitch, roll and yaw in turn."""
    count = round(SWING_SECONDS * take.fps)
    swing = np.sin(2.0 * np.pi * np.arange(count) / count) * np.radians(SWING_DEGREES)
    rotation = np.zeros((3 * count, 3), np.float32)
    for axis in range(3):
        rotation[axis * count : (axis + 1) * count, axis] = swing
    # A short recording is repeated: only the head matters here.
    place = np.arange(3 * count) % take.frame_count
    return replace(
        take,
        weights=take.weights[place],
        offset_weights=take.offset_weights[place],
        head_rotation=rotation,
        head_translation=np.zeros_like(rotation),
        meta={},
    )


def video_figures(video: Video, phones: Sequence[Phone] | None = None) -> VideoFigures:
    """Track a rendered Take and compare it with its mesh and its photo.

    Raises VividKeysError(no_face) if the tracker does not even find a face in the photo.
    """
    stills = [video.photo] * _STILLS
    track = look_again([*stills, *video.frames], video.fps, video.name)
    still, landmarks, seen = (
        track.landmarks[_STILLS - 1], track.landmarks[_STILLS:], track.seen[_STILLS:]
    )  # fmt: skip
    shown, meant = motion_of(landmarks), motion_of(video.driven)
    usual = max(float(np.percentile(meant.gap, 80)), 1e-9)
    photo_sharpness, photo_energy = face_sharpness([video.photo], video.landmarks[None])
    sharpness, energy = face_sharpness(video.frames, landmarks)
    still_shape = motion_of(still[None]).shape
    return VideoFigures(
        name=video.name,
        frames=len(video.frames),
        aperture=following(shown.gap[seen], meant.gap[seen]),
        aperture_gain=gain(shown.gap[seen], meant.gap[seen]),
        closures=closures(shown.gap, meant.gap, video.fps, phones),
        pose=axis_figures(shown.angles[seen], meant.angles[seen]),
        away=100.0 * _apart_in_picture(landmarks[seen], video.driven[seen]),
        found=float(seen.mean()),
        bone=bone_distance(shown.shape, still_shape),
        bone_sway=float(shown.apart[seen].mean()),
        identity=_identity(landmarks[seen], still),
        sharpness=sharpness / photo_sharpness,
        energy=energy / photo_energy,
        background=background_flicker(video.frames, landmarks),
        skin=skin_flicker(video.frames, video.driven, load_template().rigidity),
        worst=_worst(np.abs(shown.gap - meant.gap) / usual),
    )


def axis_figures(
    shown: Float[np.ndarray, "T 3"], meant: Float[np.ndarray, "T 3"]
) -> tuple[AxisFigures, ...]:
    """The head's angles in the video against those of the mesh, degrees."""
    rows = []
    for axis, name in enumerate(AXES):
        one, other = shown[:, axis], meant[:, axis]
        away = one - other
        rows.append(
            AxisFigures(
                name,
                following(one, other).correlation,
                float(np.abs(away - np.median(away)).mean()),
                gain(one, other),
            )
        )
    return tuple(rows)


def _apart_in_picture(
    tracked: Float64[np.ndarray, "T _ 3"], driven: Float64[np.ndarray, "T _ 3"]
) -> float:
    """Distance of bone in the picture, relative to that between the outer eye corners."""
    bone = load_template().rigidity[:LANDMARK_COUNT]
    away = (tracked[:, :LANDMARK_COUNT] - driven[:, :LANDMARK_COUNT])[..., :2]
    away = np.linalg.norm(away - np.median(away, axis=0), axis=2) @ (bone / bone.sum())
    return float(away.mean() / np.median([face_width(face) for face in driven]))


def _identity(
    landmarks: Float64[np.ndarray, "T 478 3"], still: Float64[np.ndarray, "478 3"]
) -> float:
    """Mean distance of faces from the photo's, see `identity_coordinates`."""
    chosen = np.unique(np.linspace(0, len(landmarks) - 1, _IDENTITY_FRAMES).round().astype(int))
    shapes = [fit_photo(face).vertices for face in (still, *landmarks[chosen])]
    places = identity_coordinates(np.array(shapes))
    return float(np.linalg.norm(places[1:] - places[0], axis=1).mean())


def people_apart(landmarks: Sequence[Float64[np.ndarray, "478 3"]]) -> float:
    """Mean distance between different people, as a scale for `VideoFigures.identity`."""
    if len(landmarks) < 2:
        return float("nan")
    places = identity_coordinates(np.array([fit_photo(face).vertices for face in landmarks]))
    away = np.linalg.norm(places[:, None] - places[None], axis=2)
    return float(away[np.triu_indices(len(places), 1)].mean())


def _worst(away: Float64[np.ndarray, " T"], most: int = 3) -> tuple[int, ...]:
    chosen: list[int] = []
    for frame in np.argsort(-away):
        if all(abs(int(frame) - other) > 4 for other in chosen):
            chosen.append(int(frame))
        if len(chosen) == most:
            break
    return tuple(chosen)
