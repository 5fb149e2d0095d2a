# SPDX-License-Identifier: GPL-3.0-or-later
"""Make `backend/models/face_fit.safetensors`: a model of identity and of photo expressions.

    python -m backend.training.fits.photo_model NEUTRAL_DIR SMILING_DIR PORTRAITS_DIR

NEUTRAL_DIR and SMILING_DIR hold the same people at rest and smiling, matched by the start of the
file name. Their difference shows what a photo smile does and how else one person's photos vary; the
neutral ones define the face at rest. PORTRAITS_DIR holds other people, whose faces at rest are
estimated with the model so far and add variety. Every face is used together with its mirror image.
Only averages and components are written: no individual face can be recovered from them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial.transform import Rotation

from backend.face.close_mouth import close_mouth
from backend.face.draw import draw_face
from backend.face.fit_photo import fit_photo
from backend.face.from_photo import face_from_photo
from backend.face.identity import closed_template
from backend.face.landmarks import find_face
from backend.face.load_image import load_image
from backend.face.photo_model import (
    FIT_MODEL_PATH,
    TURN,
    PhotoModel,
    identity_coordinates,
    write_photo_model,
)
from backend.face.pose import fit_similarity, head_angles, image_to_axes
from backend.face.template import load_template
from shared.errors import VividKeysError
from shared.face import FaceMesh
from shared.landmarks import LANDMARK_COUNT

MODES, HABITS = 60, 35
# Total weight of the portraits in the modes, relative to the pairs: their smiles are guessed.
OTHERS_SHARE = 0.3
# Share of the unexplained residual that recurs in a person's next photo.
KEPT = 0.5
# How many times less certain depth is than the image plane, by yaw in degrees.
DEPTH_YAW, DEPTH = (0.0, 20.0, 45.0), (1.5, 2.0, 3.0)
# Degrees at which heads are drawn; pixels and metres of the pictures.
YAWS = (-45.0, -37.5, -30.0, -22.5, -15.0, 15.0, 22.5, 30.0, 37.5, 45.0)
DRAWN_SIZE, DRAWN_HEIGHT = 512, 0.34
# Only every n-th neutral photo is drawn.
DRAWN_EVERY = 3


def bony(landmarks: Float64[np.ndarray, "478 3"]) -> Float64[np.ndarray, "478 3"]:
    """Tracked landmarks aligned to the template by their bony points, robustly, metres."""
    template = load_template()
    target = np.concatenate([closed_template(), template.irises])
    points = image_to_axes(landmarks)
    weights = template.rigidity
    for _ in range(8):
        aligned = fit_similarity(points, target, weights).apply(points)
        away = np.linalg.norm(aligned - target, axis=1)
        weights = template.rigidity / (1.0 + (away / 0.002) ** 2)
    return aligned


def mirrored(faces: Float64[np.ndarray, "*batch 478 3"]) -> Float64[np.ndarray, "*batch 478 3"]:
    """The mirror images of faces or offsets."""
    return np.asarray(faces[..., load_template().mirror, :] * np.array((-1, 1, 1)))


def with_mirror(faces: Float64[np.ndarray, "N 478 3"]) -> Float64[np.ndarray, "2*N 478 3"]:
    """The faces, followed by their mirror images."""
    return np.concatenate([faces, mirrored(faces)])


def components(
    offsets: Float64[np.ndarray, "N 478 3"], count: int
) -> Float64[np.ndarray, "K 478 3"]:
    """At most `count` principal components of offsets, one standard deviation each."""
    flat = offsets.reshape(len(offsets), -1)
    _, sizes, directions = np.linalg.svd(flat, full_matrices=False)
    scaled = directions[:count] * sizes[:count, None] / np.sqrt(len(flat))
    signs = np.sign(scaled[np.arange(len(scaled)), np.abs(scaled).argmax(axis=1)])
    return np.asarray((scaled * signs[:, None]).reshape(-1, *offsets.shape[1:]))


def outside(
    offsets: Float64[np.ndarray, "N 478 3"], fields: Float64[np.ndarray, "K 478 3"]
) -> Float64[np.ndarray, "N 478 3"]:
    """The part of the offsets that is orthogonal to all `fields`."""
    flat = offsets.reshape(len(offsets), -1)
    axes, _ = np.linalg.qr(fields.reshape(len(fields), -1).T)
    return np.asarray((flat - (flat @ axes) @ axes.T).reshape(offsets.shape))


def closed(faces: Float64[np.ndarray, "N 478 3"]) -> Float64[np.ndarray, "N 478 3"]:
    """The faces with their mouths closed."""
    result = faces.copy()
    for face in result:
        face[:LANDMARK_COUNT] = close_mouth(face[:LANDMARK_COUNT])
    return result


def learned(
    neutral: Float64[np.ndarray, "N 478 3"],
    smiling: Float64[np.ndarray, "N 478 3"],
    others: Float64[np.ndarray, "M 478 3"] | None = None,
    turned: Float64[np.ndarray, "2 478 3"] | None = None,
) -> PhotoModel:
    """The model of the same people's faces at rest and smiling, aligned to the template, metres.

    `others` are more faces at rest; together they weigh OTHERS_SHARE of what the pairs weigh.
    `turned` is as in PhotoModel.
    """
    at_rest = with_mirror(closed(neutral))
    mean = at_rest.mean(axis=0)
    difference = with_mirror(smiling) - at_rest
    smile = difference.mean(axis=0)
    people = at_rest - mean
    if others is not None:
        more = with_mirror(others) - mean
        more -= more.mean(axis=0)
        weights = np.array([1.0, OTHERS_SHARE * len(people) / len(more)])
        weights *= (len(people) + len(more)) / (len(people) + OTHERS_SHARE * len(people))
        people = np.concatenate(
            [offsets * np.sqrt(w) for offsets, w in zip((people, more), weights, strict=True)]
        )
    turned = np.zeros((2, *mean.shape)) if turned is None else turned
    identity = components(people, MODES)
    habits = components(difference - smile, HABITS)
    rest = outside(difference - smile, np.concatenate([identity, habits]))
    noise = np.sqrt((rest**2).mean(axis=(0, 2)) / 2)
    return PhotoModel(
        mean=mean, modes=identity, smile=smile, habits=habits, turned=turned, noise=noise,
        depth=np.array(DEPTH), depth_yaw=np.array(DEPTH_YAW), kept=np.full(len(mean), KEPT),
    )  # fmt: skip


def drawn_turned(
    photos: list[Path],
) -> tuple[Float64[np.ndarray, " N"], Float64[np.ndarray, "N 478 3"]]:
    """Reconstructed heads drawn at YAWS and tracked: yaws (radians) and the tracker's errors.

    An error is the difference from the landmarks of the frontal view, in the head's frame, metres:
    of drawn heads the true pose is known.
    """
    angles, errors = [], []
    for photo in photos:
        head = face_from_photo(photo)
        straight = _drawn_landmarks(head, 0.0)
        for yaw in YAWS:
            turn = Rotation.from_euler("z", yaw, degrees=True)
            seen = turn.inv().apply(_drawn_landmarks(head, yaw))
            angles.append(np.radians(yaw))
            errors.append(seen - straight)
    return np.array(angles), np.array(errors)


def _drawn_landmarks(head: FaceMesh, yaw: float) -> Float64[np.ndarray, "478 3"]:
    """Tracked landmarks of a drawn head, metres, in the camera's axes."""
    picture = draw_face(head, yaw=yaw, size=DRAWN_SIZE, view_height=DRAWN_HEIGHT, shaded=False)
    return image_to_axes(find_face(picture).landmarks) * (DRAWN_HEIGHT / DRAWN_SIZE)


def turned_fields(
    angles: Float64[np.ndarray, " N"], errors: Float64[np.ndarray, "N 478 3"]
) -> Float64[np.ndarray, "2 478 3"]:
    """The odd and the even field of the tracker's errors on heads turned by `angles` (radians).

    A shift of the whole head is not counted as an error.
    """
    errors = errors.copy()
    bone = load_template().rigidity
    errors -= np.average(errors, axis=1, weights=bone)[:, None]
    both = np.concatenate([errors, mirrored(errors)])
    turn = np.sin(np.concatenate([angles, -angles])) / TURN
    known = np.stack([turn, turn**2], axis=1)
    found, *_ = np.linalg.lstsq(known, both.reshape(len(both), -1), rcond=None)
    return np.asarray(found.reshape(2, *errors.shape[1:]))


def without_turn(
    faces: Float64[np.ndarray, "N 478 3"],
    landmarks: Float64[np.ndarray, "N 478 3"],
    turned: Float64[np.ndarray, "2 478 3"],
) -> Float64[np.ndarray, "N 478 3"]:
    """Aligned faces, corrected for the tracker's usual error at their yaw."""
    result = []
    for face, points in zip(faces, landmarks, strict=True):
        move = fit_similarity(image_to_axes(points), face, np.ones(len(face)))
        turn = np.sin(head_angles(move.rotation)[2]) / TURN
        result.append(face - turn * turned[0] - turn**2 * turned[1])
    return np.array(result)


def rank_one(
    smiling: Float64[np.ndarray, "P 478 3"],
    neutral: Float64[np.ndarray, "N 478 3"],
    model: PhotoModel,
    people: Int64[np.ndarray, " P"],
) -> float:
    """Rank-1 rate: share of smiling photos whose neutral mesh is nearest to the same person's.

    It is compared with the meshes of all `neutral` photos, of which `people` are the right ones.
    """
    known = identity_coordinates(at_rest(neutral, model), model)
    asked = identity_coordinates(at_rest(smiling, model), model)
    away = np.linalg.norm(asked[:, None] - known[None], axis=2)
    return float((away.argmin(axis=1) == people).mean())


def at_rest(
    landmarks: Float64[np.ndarray, "N 478 3"], model: PhotoModel
) -> Float64[np.ndarray, "N 468 3"]:
    """The neutral meshes of tracked photos, metres."""
    return np.array([fit_photo(points, model).vertices for points in landmarks])


def held_out_rank_one(
    neutral: Float64[np.ndarray, "N 478 3"],
    smiling: Float64[np.ndarray, "N 478 3"],
    others: Float64[np.ndarray, "M 478 3"],
    turned: Float64[np.ndarray, "2 478 3"],
) -> float:
    """Mean rank-1 rate of each half of the people with a model of the other half."""
    halves = np.arange(len(neutral)) % 2
    scores = []
    for half in (0, 1):
        seen, unseen = halves != half, np.flatnonzero(halves == half)
        model = full_model(neutral[seen], smiling[seen], others, turned)
        scores.append(rank_one(smiling[unseen], neutral, model, unseen))
    return float(np.mean(scores))


def full_model(
    neutral: Float64[np.ndarray, "N 478 3"],
    smiling: Float64[np.ndarray, "N 478 3"],
    others: Float64[np.ndarray, "M 478 3"],
    turned: Float64[np.ndarray, "2 478 3"],
) -> PhotoModel:
    """The model of tracked pairs and of other people."""
    first, second = (
        without_turn(np.array([bony(points) for points in photos]), photos, turned)
        for photos in (neutral, smiling)
    )
    model = learned(first, second, turned=turned)
    if not len(others):
        return model
    more = np.array([_rest_of(points, model) for points in others])
    return learned(first, second, more, turned)


def _rest_of(
    landmarks: Float64[np.ndarray, "478 3"], model: PhotoModel
) -> Float64[np.ndarray, "478 3"]:
    """A photo's face at rest with irises; half of the residual of the modes is kept."""
    fit = fit_photo(landmarks, model)
    modelled = model.mean + np.tensordot(fit.identity, model.modes, axes=1)
    modelled[:LANDMARK_COUNT] = fit.vertices
    return np.asarray(modelled)


def tracked_people(folder: Path) -> tuple[list[Path], Float64[np.ndarray, "N 478 3"]]:
    """The photos with a face, and their landmarks; the others are printed."""
    photos, faces = [], []
    for photo in sorted(folder.glob("*.jpg")):
        try:
            faces.append(find_face(load_image(photo).pixels).landmarks)
        except VividKeysError as error:
            print(f"skipped: {photo.name}: {error}")
            continue
        photos.append(photo)
    return photos, np.array(faces)


def main(arguments: list[str]) -> None:
    """Track, fit, draw turned heads, fit again, write, print the figures."""
    if len(arguments) != 3:
        raise SystemExit(__doc__)
    folders = [tracked_people(Path(folder)) for folder in arguments]
    (neutral_photos, neutral), (smiling_photos, smiling), (_, others) = folders
    first, second = ([p.name.split("_")[0] for p in ps] for ps in (neutral_photos, smiling_photos))
    both = sorted(set(first) & set(second))
    neutral = neutral[[first.index(name) for name in both]]
    smiling = smiling[[second.index(name) for name in both]]
    no_turn = np.zeros((2, *neutral[0].shape))
    # Turned heads are drawn from reconstructions, which need a first model.
    write_photo_model(full_model(neutral, smiling, others[:0], no_turn), {"stage": "first"})
    angles, errors = drawn_turned(neutral_photos[::DRAWN_EVERY])
    turned = turned_fields(angles, errors)
    print(
        f"turned heads: {len(angles)} drawn; fields {_rms(turned[0])} and {_rms(turned[1])} mm rms"
    )
    model = full_model(neutral, smiling, others, turned)
    write_photo_model(model, {"pairs": str(len(both)), "portraits": str(len(others))})
    print(f"{FIT_MODEL_PATH.name}: {len(both)} pairs, {len(others)} portraits, "
          f"{FIT_MODEL_PATH.stat().st_size / 1000:.0f} kB")  # fmt: skip
    everyone = np.arange(len(both))
    print(f"rank-1, these people: {100 * rank_one(smiling, neutral, model, everyone):.1f} %")
    held_out = held_out_rank_one(neutral, smiling, others, turned)
    print(f"rank-1, held out: {100 * held_out:.1f} %")


def _rms(offsets: Float64[np.ndarray, "*batch 3"]) -> str:
    return f"{1000 * np.sqrt((offsets**2).sum(axis=-1).mean()):.2f}"


if __name__ == "__main__":
    main(sys.argv[1:])
