# SPDX-License-Identifier: GPL-3.0-or-later
"""MediaPipe's solutions come alone, and are missed with a sentence."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backend.face.mediapipe_solutions import load_solution
from shared.errors import ErrorKind, VividKeysError

ROOT = Path(__file__).resolve().parents[3]


def test_a_photo_is_followed_without_what_draws_and_plays() -> None:
    """In a process of its own: others may have loaded more."""
    script = (
        "import sys\n"
        "from backend.face.landmarks import find_face\n"
        "from backend.face.load_image import load_image\n"
        "from backend.face.texture.photo_crop import person_mask\n"
        "from pathlib import Path\n"
        "pixels = load_image(Path('backend/samples/portrait.jpg')).pixels\n"
        "assert find_face(pixels).landmarks.shape == (478, 3)\n"
        "assert 0.2 < person_mask(pixels).mean() < 0.9\n"
        "print(sorted({'matplotlib', 'sounddevice'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_solution_that_is_not_there_is_a_sentence() -> None:
    for module, name in (("face_mesh", "Nothing"), ("no_such_solution", "FaceMesh")):
        with pytest.raises(VividKeysError) as caught:
            load_solution(module, name)
        assert caught.value.kind is ErrorKind.MISSING_DEPENDENCY and caught.value.next_step
