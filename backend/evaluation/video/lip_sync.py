# SPDX-License-Identifier: GPL-3.0-or-later
"""Videos of Takes, tracked again: do lips and head do what the mesh does, is it still the person?

What should be seen is measured on the driven mesh itself, after the limits that the renderer
keeps; what is seen, by the face tracker in the rendered frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backend.audio_to_mesh.animate import animate
from backend.audio_to_mesh.motion_model import MotionModel
from backend.audio_to_mesh.settings import AnimateSettings
from backend.evaluation.phones import Phone
from backend.evaluation.video.curves import Closures, Following, closures, following, gain
from backend.evaluation.video.flicker import background_flicker, skin_flicker
from backend.evaluation.video.people import Speech
from backend.evaluation.video.pictures import Pixels
from backend.evaluation.video.reenact import face_sharpness
from backend.evaluation.video.regions import face_width
from backend.evaluation.video.tracked import AXES, bone_distance, look_again, motion_of
from backend.face.fit_photo import fit_photo
from backend.face.photo_model import identity_coordinates
from backend.face.template import load_template
from shared.landmarks import LANDMARK_COUNT
from shared.take import Take

Floats = NDArray[np.float64]

FPS = 25.0
# The swing of the head that is measured: up to this, each axis in turn, and once this long.
SWING_DEGREES, SWING_SECONDS = 20.0, 3.0
# The photo is shown this often first, so that the tracker has settled on it.
_STILLS = 5
# Frames out of a video whose identity is looked at.
_IDENTITY_FRAMES = 8


@dataclass(frozen=True, eq=False)
class Video:
    """A rendered Take.

    photo    uint8 [H,W,3]; landmarks [478,3] of its face
    frames   T pictures of the photo's size
    driven   [T,468,3] what the mesh does, in the photo's pixels
    """

    name: str
    fps: float
    photo: Pixels
    landmarks: Floats
    frames: tuple[Pixels, ...]
    driven: Floats


@dataclass(frozen=True)
class AxisFigures:
    """One axis of the head: correlation with the mesh, mean error in degrees, and how many times
    as far it turns.
    """

    axis: str
    correlation: float
    error: float
    gain: float


@dataclass(frozen=True)
class VideoFigures:
    """One rendered Take.

    aperture, aperture_gain  of the lips' gap against the mesh's
    pose        per axis
    away        of bone in the picture from where the mesh has it, mean over frames once what is
                the same in all of them is taken out: percents of the outer eye corners' distance
    found       share of frames in which a face is found
    bone        millimetres between bones of photo and video, and what they sway by within it
    identity    distance from the photo's face in `identity_coordinates`, mean over frames
    sharpness   CPBD of the face, over the photo's; energy: mean squared slope, over the photo's
    background, skin  flicker in levels
    worst       frames in which the lips' gap is furthest from the mesh's
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
    """A Take of each recording by the shipped network, on the average face."""
    model = MotionModel.load()
    return [animate(speech.audio, model, AnimateSettings()) for speech in speeches]


def swinging(take: Take) -> Take:
    """The Take's beginning with the head swinging by pitch, roll and yaw in turn."""
    count = round(SWING_SECONDS * take.fps)
    swing = np.sin(2.0 * np.pi * np.arange(count) / count) * np.radians(SWING_DEGREES)
    rotation = np.zeros((3 * count, 3), np.float32)
    for axis in range(3):
        rotation[axis * count : (axis + 1) * count, axis] = swing
    # A short recording is repeated: only the head counts here.
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

    Raises VividKeysError(no_face) where not even the photo shows a face to the tracker.
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


def axis_figures(shown: Floats, meant: Floats) -> tuple[AxisFigures, ...]:
    """Angles [T,3] in degrees that were seen, against those that were meant."""
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


def _apart_in_picture(tracked: Floats, driven: Floats) -> float:
    """Distance of bone [T,>=468,3] in the picture, in distances of the outer eye corners."""
    bone = load_template().rigidity[:LANDMARK_COUNT]
    away = (tracked[:, :LANDMARK_COUNT] - driven[:, :LANDMARK_COUNT])[..., :2]
    away = np.linalg.norm(away - np.median(away, axis=0), axis=2) @ (bone / bone.sum())
    return float(away.mean() / np.median([face_width(face) for face in driven]))


def _identity(landmarks: Floats, still: Floats) -> float:
    """Mean distance of faces [T,478,3] from the photo's [478,3], see `identity_coordinates`."""
    chosen = np.unique(np.linspace(0, len(landmarks) - 1, _IDENTITY_FRAMES).round().astype(int))
    shapes = [fit_photo(face).vertices for face in (still, *landmarks[chosen])]
    places = identity_coordinates(np.array(shapes))
    return float(np.linalg.norm(places[1:] - places[0], axis=1).mean())


def people_apart(landmarks: Sequence[Floats]) -> float:
    """Mean distance between different people, as a scale for `VideoFigures.identity`."""
    if len(landmarks) < 2:
        return float("nan")
    places = identity_coordinates(np.array([fit_photo(face).vertices for face in landmarks]))
    away = np.linalg.norm(places[:, None] - places[None], axis=2)
    return float(away[np.triu_indices(len(places), 1)].mean())


def _worst(away: Floats, most: int = 3) -> tuple[int, ...]:
    chosen: list[int] = []
    for frame in np.argsort(-away):
        if all(abs(int(frame) - other) > 4 for other in chosen):
            chosen.append(int(frame))
        if len(chosen) == most:
            break
    return tuple(chosen)
