# SPDX-License-Identifier: GPL-3.0-or-later
"""Make `backend/models/face_identity.safetensors`: the principal components of neutral faces.

    python -m backend.training.fits.identity NEUTRAL_DIR SMILING_DIR

NEUTRAL_DIR holds frontal photos of many people at rest, those that the template was made from;
SMILING_DIR photos of the same people smiling, whose mean motion is kept so that a smile is not
mistaken for a trait. Every face is tracked, made frontal and aligned to the template, its mouth
closed, its two sides averaged; the rest is described by principal components. Only these averages
are written: no individual face can be recovered from them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from safetensors.numpy import save_file

from backend.audio_to_mesh.speaker import IDENTITY_SIZE
from backend.face.identity import IDENTITY_PATH, aligned_landmarks, closed_template
from backend.face.landmarks import find_face
from backend.face.load_image import load_image
from backend.face.neutral import straightened_face
from backend.face.template import load_template
from shared.errors import VividKeysError
from shared.landmarks import LANDMARK_COUNT
from shared.whole_files import written_whole


def neutral_faces(photos: Iterable[Path]) -> Iterator[Float64[np.ndarray, "468 3"]]:
    """Landmarks of each photo, aligned to the template; photos without a face are printed."""
    for photo in photos:
        try:
            neutral = straightened_face(find_face(load_image(photo).pixels).landmarks)
        except VividKeysError as error:
            print(f"skipped: {photo.name}: {error}")
            continue
        yield aligned_landmarks(neutral)


def symmetric_modes(
    faces: Float64[np.ndarray, "N 468 3"], count: int
) -> tuple[Float64[np.ndarray, "K 468 3"], Float64[np.ndarray, " K"]]:
    """Modes (metres), of one standard deviation each, and their shares of the variance.

    `faces` are aligned to the template. Every mode is its own mirror image, and lips that meet in
    all faces meet in the modes as well.
    """
    partner = load_template().mirror[:LANDMARK_COUNT]
    symmetric = (faces + faces[:, partner] * (-1, 1, 1)) / 2
    away = (symmetric - closed_template()).reshape(len(faces), -1)
    _, sizes, directions = np.linalg.svd(away, full_matrices=False)
    deviations = sizes[:count] / np.sqrt(len(faces))
    modes = deviations[:, None] * directions[:count]
    # A component's sign is arbitrary: its largest coordinate is made positive.
    signs = np.sign(modes[np.arange(count), np.abs(modes).argmax(axis=1)])
    shares = sizes[:count] ** 2 / (sizes**2).sum()
    return (signs[:, None] * modes).reshape(count, LANDMARK_COUNT, 3), shares


def main(arguments: list[str]) -> None:
    """Track, analyse, write, print the shares."""
    if len(arguments) != 2:
        raise SystemExit(__doc__)
    faces, smiling = (
        np.stack(list(neutral_faces(sorted(Path(folder).glob("*.jpg"))))) for folder in arguments
    )
    modes, shares = symmetric_modes(faces, IDENTITY_SIZE)
    smile = smiling.mean(axis=0) - faces.mean(axis=0)
    smile = (smile + smile[load_template().mirror[:LANDMARK_COUNT]] * (-1, 1, 1)) / 2
    numbers = {
        "modes": (modes * 1000.0).astype(np.float16),
        "smile": (smile * 1000.0).astype(np.float16),
    }
    with written_whole(IDENTITY_PATH) as temporary:
        save_file(numbers, temporary, metadata={"photos": str(len(faces)), "unit": "millimetre"})
    sizes = np.linalg.norm(modes, axis=2).max(axis=1) * 1000
    print(f"{IDENTITY_PATH.name}: {len(faces)} faces")
    for number, (share, size) in enumerate(zip(shares, sizes, strict=True)):
        print(f"mode {number}: {100 * share:4.1f} % of the variance, at most {size:.1f} mm")
    print(f"together {100 * shares.sum():.1f} %")


if __name__ == "__main__":
    main(sys.argv[1:])
