# SPDX-License-Identifier: GPL-3.0-or-later
"""How well faces are fitted to photos: misfit, the same person smiling, turned and half hidden."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.spatial.transform import Rotation

from backend.face.arkit_basis import landmark_basis
from backend.face.fit_photo import PhotoFit, fit_photo
from backend.face.landmarks import find_face
from backend.face.load_image import load_image
from backend.face.photo_model import identity_coordinates
from backend.face.pose import head_angles, image_to_axes
from backend.face.surface import vertex_normals
from backend.face.template import face_size, load_template
from shared.errors import VividKeysError
from shared.landmarks import LANDMARK_COUNT

NEUTRAL, SMILING = Path("faces/london/neutral"), Path("faces/london/smiling")
FOLDERS = (NEUTRAL, SMILING, Path("faces/portraits_cc0"))
YAWS = (0.0, 20.0, 30.0, 40.0)
# Noise added to turned landmarks, in units of the outer eye corners' distance: to each alone, and
# to all on the hidden side together, which a tracker only guesses.
NOISE, HIDDEN_NOISE = 0.007, 0.05
PIXELS_PER_METRE = 3000.0


@dataclass(frozen=True)
class FitFigures:
    """Fits to the photos of a folder.

    `misfit` and `misfit_95` are the mean and the 95th percentile over photos of the mean distance
    between tracked landmarks and the fitted face (with its expression, posed), as a share of the
    distance between the outer eye corners; `median_seconds` is the solver's.
    """

    folder: str
    tried: int
    fitted: int
    misfit: float
    misfit_95: float
    median_seconds: float


@dataclass(frozen=True)
class SamePerson:
    """Whether smiling people are recognised by their neutral meshes.

    `rank_one` is the share of `asked` smiling people whose mesh is nearest to that of their own
    neutral photo among `known` (Mahalanobis distance of meshes, `identity_coordinates`).
    """

    asked: int
    known: int
    rank_one: float


@dataclass(frozen=True)
class TurnedFigures:
    """Fits to faces turned by `yaw` degrees, with noise and a hidden side.

    `mesh` is the mean distance of the neutral mesh from the true one in millimetres, `pose` the
    mean error of the yaw in degrees.
    """

    yaw: float
    mesh: float
    pose: float


@dataclass(frozen=True)
class IdentityFigures:
    """All figures of `identity_figures`."""

    folders: tuple[FitFigures, ...]
    same_person: SamePerson | None
    turned: tuple[TurnedFigures, ...]


def misfit(fit: PhotoFit, landmarks: Float[np.ndarray, "478 3"]) -> float:
    """Mean distance in the picture between tracked landmarks (pixels) and the fitted face.

    It is a share of the distance between the outer eye corners.
    """
    shown = fit.vertices + np.tensordot(fit.expression, landmark_basis(fit.vertices), axes=1)
    before_camera = (shown - fit.to_head.shift) @ fit.to_head.rotation
    tracked = image_to_axes(landmarks)[:LANDMARK_COUNT] * fit.to_head.scale
    away = np.linalg.norm((before_camera - tracked)[:, [0, 2]], axis=1)
    return float(away.mean()) / face_size(fit.vertices)


def turned_landmarks(
    face: Float64[np.ndarray, "478 3"], yaw: float, random: np.random.Generator
) -> Float64[np.ndarray, "478 3"]:
    """Landmarks in pixels of a face in metres turned by `yaw` degrees.

    There is noise everywhere, and more on the side that faces away, where all points err together.
    """
    turned = face @ Rotation.from_euler("z", yaw, degrees=True).as_matrix().T
    size = face_size(face)
    facing = -vertex_normals(turned[:LANDMARK_COUNT], load_template().triangles)[:, 1]
    hidden = np.flatnonzero(facing < 0.1)
    turned = turned + random.normal(0.0, NOISE * size, turned.shape)
    turned[hidden] += random.normal(0.0, HIDDEN_NOISE * size, 3)
    in_picture = np.stack([turned[:, 0], -turned[:, 2], turned[:, 1]], axis=1)
    return np.asarray(in_picture * PIXELS_PER_METRE + (400.0, 400.0, 0.0))


def turned_figures(faces: list[PhotoFit]) -> tuple[TurnedFigures, ...]:
    """Turn fitted faces to alternate sides and fit them again, with fixed random numbers."""
    figures = []
    for yaw in YAWS:
        random = np.random.default_rng(round(yaw))
        apart, wrong = [], []
        for number, face in enumerate(faces):
            truth = np.concatenate([face.vertices, face.irises])
            turn = yaw if number % 2 else -yaw
            again = fit_photo(turned_landmarks(truth, turn, random))
            apart.append(np.linalg.norm(again.vertices - face.vertices, axis=1).mean())
            wrong.append(abs(np.degrees(head_angles(again.to_head.rotation)[2]) - turn))
        figures.append(TurnedFigures(yaw, 1000.0 * float(np.mean(apart)), float(np.mean(wrong))))
    return tuple(figures)


def same_person(neutral: dict[str, PhotoFit], smiling: dict[str, PhotoFit]) -> SamePerson | None:
    """Match smiling photos to the nearest neutral face; the keys name the person."""
    asked = sorted(set(neutral) & set(smiling))
    if len(asked) < 2:
        return None
    known = sorted(neutral)
    places = identity_coordinates(np.array([neutral[name].vertices for name in known]))
    sought = identity_coordinates(np.array([smiling[name].vertices for name in asked]))
    nearest = np.linalg.norm(sought[:, None] - places[None], axis=2).argmin(axis=1)
    right = [known[place] == name for place, name in zip(nearest, asked, strict=True)]
    return SamePerson(len(asked), len(known), float(np.mean(right)))


def fit_folder(name: str, photos: list[Path]) -> tuple[FitFigures, dict[str, PhotoFit]]:
    """Fit the photos of a folder; the faces are keyed by person (file name up to an underscore)."""
    faces: dict[str, PhotoFit] = {}
    misfits, seconds = [], []
    for photo in track(photos, name, console=Console(stderr=True), transient=True):
        try:
            landmarks = find_face(load_image(photo).pixels).landmarks
            start = time.perf_counter()
            fit = fit_photo(landmarks)
        except VividKeysError as error:
            Console(stderr=True).print(f"{photo.name}: {error.kind}: {error}")
            continue
        seconds.append(time.perf_counter() - start)
        misfits.append(misfit(fit, landmarks))
        faces[photo.stem.split("_")[0]] = fit
    figures = FitFigures(
        folder=name,
        tried=len(photos),
        fitted=len(misfits),
        misfit=float(np.mean(misfits)) if misfits else float("nan"),
        misfit_95=float(np.percentile(misfits, 95)) if misfits else float("nan"),
        median_seconds=float(np.median(seconds)) if seconds else float("nan"),
    )
    return figures, faces


def identity_figures(data: Path, most: int) -> IdentityFigures:
    """Figures of up to `most` photos of every folder in `data` (0: of all).

    All neutral photos are always read, because a person is sought among everybody.
    """
    rows: list[FitFigures] = []
    faces: dict[Path, dict[str, PhotoFit]] = {}
    for part in FOLDERS:
        photos = sorted((data / part).glob("*.jpg"))
        if part != NEUTRAL and most:
            photos = photos[:: max(1, -(-len(photos) // most))]
        if photos:
            figures, faces[part] = fit_folder(part.as_posix(), photos)
            rows.append(figures)
    neutral = faces.get(NEUTRAL, {})
    turned = turned_figures(list(neutral.values())[::5]) if neutral else ()
    return IdentityFigures(tuple(rows), same_person(neutral, faces.get(SMILING, {})), turned)


def identity_tables(figures: IdentityFigures) -> list[Table]:
    """The figures as tables."""
    title = "Fitted faces (distance of landmarks in % of the outer eye corners' distance)"
    folders = Table("photos", "tried", "fitted", "mean %", "95th %", "solver", title=title)
    for row in figures.folders:
        share = f"{row.fitted} ({100 * row.fitted / max(row.tried, 1):.1f} %)"
        folders.add_row(
            row.folder, str(row.tried), share, f"{100 * row.misfit:.2f}",
            f"{100 * row.misfit_95:.2f}", f"{1000 * row.median_seconds:.0f} ms",
        )  # fmt: skip
    tables = [folders]
    if figures.same_person is not None:
        person = figures.same_person
        table = Table("smiling", "sought among", "found first", title="The same person smiling")
        table.add_row(str(person.asked), str(person.known), f"{100 * person.rank_one:.1f} %")
        tables.append(table)
    if figures.turned:
        table = Table("turned by", "mesh off by", "yaw off by", title="Turned, far side hidden")
        for turn in figures.turned:
            table.add_row(f"{turn.yaw:.0f}°", f"{turn.mesh:.2f} mm", f"{turn.pose:.1f}°")
        tables.append(table)
    return tables
