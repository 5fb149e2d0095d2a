# SPDX-License-Identifier: GPL-3.0-or-later
"""Make `backend/models/lip_offsets.safetensors`: the offset fields of driven lips.

    python -m backend.training.fits.lip_offsets

The fields are the main ways in which driven lips differ from what ARKit weights alone do. Random
faces say random strings of sounds in random styles; the principal components of the residual are
the fields. Nothing is recorded or read. Afterwards other faces say other strings, and the errors
with and without the fields are printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray
from safetensors.numpy import save_file

from backend.audio_to_mesh.lip_motion import DrivenFace
from backend.audio_to_mesh.lip_offsets import (
    OFFSET_COUNT,
    OFFSETS_PATH,
    offset_basis,
    offset_scale,
    offset_targets,
)
from backend.face.lip_contact import gaps, lip_metric, lip_region, lip_vertices
from backend.training.corpus.utterance import Phone
from backend.training.teacher.articulation import Lesson, phone_classes, phone_names, teach
from backend.training.teacher.driven_mesh import face_pool, lesson_lips
from backend.training.teacher.manner import random_style
from shared.landmarks import LANDMARK_COUNT
from shared.whole_files import written_whole

SENTENCES, CHECKED = 400, 100
# Frames in which lips meet count more: there an error shows as a slit.
_CONTACT_COUNTS = 4.0
_OTHER_SEED = 77


def random_phones(random: np.random.Generator, seconds: float = 3.0) -> tuple[Phone, ...]:
    """Syllables of random sounds, with a silence before, after and now and then between."""
    names = np.array(phone_names())
    kinds = phone_classes()
    vowels = names[(kinds >= 3) & (kinds <= 6)]
    contacts = names[(kinds == 1) | (kinds == 2)]
    others = names[kinds == 7]
    phones = [Phone(0.0, float(random.uniform(0.2, 0.5)), "sil")]

    def say(label: str, length: float) -> None:
        start = phones[-1].end
        phones.append(Phone(start, start + length, label))

    while phones[-1].end < seconds:
        for _ in range(int(random.integers(1, 3))):
            kind = contacts if random.random() < 0.3 else others
            say(str(random.choice(kind)), float(random.uniform(0.04, 0.12)))
        say(str(random.choice(vowels)), float(random.uniform(0.05, 0.2)))
        if random.random() < 0.06:
            say("sil", float(random.uniform(0.1, 0.5)))
    say("sil", float(random.uniform(0.2, 0.5)))
    return tuple(phones)


def random_lesson(random: np.random.Generator) -> Lesson:
    """A random string in a random style and loudness."""
    phones = random_phones(random)
    frames = round(phones[-1].end * 100) + 1
    knots = random.normal(60.0, 6.0, frames // 20 + 2)
    loudness = np.interp(np.arange(frames) / 20, np.arange(len(knots)), knots)
    return teach(phones, loudness.astype(np.float32), random_style(random))


def fit(
    faces: Sequence[DrivenFace], sentences: int, random: np.random.Generator
) -> Float64[np.ndarray, "K 468 3"]:
    """Fields in metres on the mean face, scaled to weights with a standard deviation of 1."""
    size = 3 * len(lip_region())
    moments = np.zeros((size, size))
    sums, squares, frames = np.zeros(size), np.zeros((size, size)), 0
    for number in range(sentences):
        face = faces[number % len(faces)]
        lesson = random_lesson(random)
        driven, linear = lesson_lips(face.lips, lesson)
        away = (driven - linear).reshape(len(driven), size) / offset_scale(face.neutral)
        counts = 1.0 + _CONTACT_COUNTS * np.maximum(lesson.seal, lesson.tuck)[:, None]
        moments += away.T @ (counts * away)
        sums, squares, frames = sums + away.sum(axis=0), squares + away.T @ away, frames + len(away)
    covariance = squares / frames - np.outer(sums, sums) / frames**2
    # Principal components in the metric: whiten by its root, decompose, transform back.
    root = np.linalg.cholesky(lip_metric()).T
    _, directions = np.linalg.eigh(root @ moments @ root.T)
    modes = np.linalg.solve(root, directions[:, ::-1][:, :OFFSET_COUNT])
    readers = root.T @ directions[:, ::-1][:, :OFFSET_COUNT]
    deviations = np.sqrt(np.einsum("ik,ij,jk->k", readers, covariance, readers))
    fields = np.zeros((OFFSET_COUNT, LANDMARK_COUNT, 3))
    scaled = modes * deviations
    signs = np.sign(scaled[np.abs(scaled).argmax(axis=0), np.arange(OFFSET_COUNT)])
    fields[:, lip_region()] = (scaled * signs).T.reshape(OFFSET_COUNT, -1, 3)
    return fields


@dataclass(frozen=True)
class OffsetFigures:
    """Errors by weights alone and with offsets, over frames with the mouth not at rest; mm.

    mean, max  error of the lip vertices: mean, and largest per frame
    gap        the largest on p, b and m
    crossing   the deepest interpenetration of the lips
    reduction  share of the error that the offsets remove
    """

    alone_mean: float
    offsets_mean: float
    alone_max: float
    offsets_max: float
    driven_gap: float
    offsets_gap: float
    alone_gap: float
    driven_crossing: float
    offsets_crossing: float
    alone_crossing: float

    @property
    def reduction_mean(self) -> float:
        return 1.0 - self.offsets_mean / self.alone_mean

    @property
    def reduction_max(self) -> float:
        return 1.0 - self.offsets_max / self.alone_max


def measure(cases: Sequence[tuple[DrivenFace, Lesson]]) -> OffsetFigures:
    """Figures over pairs of a face and what it says."""
    errors: list[list[NDArray[np.float64]]] = [[], [], [], []]
    slits: list[list[float]] = [[], [], []]
    depths: list[list[float]] = [[], [], []]
    for face, lesson in cases:
        driven, linear = lesson_lips(face.lips, lesson)
        weights = offset_targets(driven, linear, face.neutral)
        basis = offset_basis(face.neutral)[:, lip_region()]
        helped = linear + np.tensordot(weights, basis, axes=1)
        moving = lesson.rest < 0.5
        for place, made in enumerate((linear, helped)):
            away = np.linalg.norm(made - driven, axis=2)[moving][:, lip_vertices()] * 1000
            errors[2 * place].append(away.mean(axis=1))
            errors[2 * place + 1].append(away.max(axis=1))
        sealed = lesson.seal * (1 - lesson.rest) > 0.99
        for place, made in enumerate((driven, helped, linear)):
            gap, crossing = gaps(face.lips, made)
            depths[place].append(float(crossing.max()) * 1000)
            if sealed.any():
                slits[place].append(float(gap[sealed].max()) * 1000)
    means = [float(np.concatenate(part).mean()) for part in errors]
    gap_of = [max(part, default=0.0) for part in slits]
    return OffsetFigures(
        means[0], means[2], means[1], means[3], *gap_of, *(max(part) for part in depths)
    )


def main() -> None:
    """Fit, write, and evaluate on held-out faces and strings."""
    fields = fit(face_pool(), SENTENCES, np.random.default_rng(1))
    numbers = {"basis": (fields * 1000.0).astype(np.float16)}
    with written_whole(OFFSETS_PATH) as temporary:
        save_file(numbers, temporary, metadata={"unit": "millimetre"})
    random = np.random.default_rng(_OTHER_SEED)
    others = face_pool(12, _OTHER_SEED)[1:]
    cases = [(others[n % len(others)], random_lesson(random)) for n in range(CHECKED)]
    f = measure(cases)
    print(f"{OFFSETS_PATH.name}: {OFFSET_COUNT} fields, {OFFSETS_PATH.stat().st_size} bytes")
    print(f"{'lips, mm':26s} {'alone':>7s} {'offsets':>8s} {'less by':>8s}")
    rows = (
        ("error, mean", f.alone_mean, f.offsets_mean, f.reduction_mean),
        ("error, largest per frame", f.alone_max, f.offsets_max, f.reduction_max),
    )
    for name, alone, helped, less in rows:
        print(f"{name:26s} {alone:7.3f} {helped:8.3f} {100 * less:6.1f} %")
    print(f"{'gap on p b m, largest':26s} {f.alone_gap:7.3f} {f.offsets_gap:8.3f}")
    print(f"{'crossing, deepest':26s} {f.alone_crossing:7.3f} {f.offsets_crossing:8.3f}")
    print(f"the teacher's own: gap {f.driven_gap:.4f}, crossing {f.driven_crossing:.4f}")


if __name__ == "__main__":
    main()
