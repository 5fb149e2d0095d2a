# SPDX-License-Identifier: GPL-3.0-or-later
"""What every test may ask for: the folder with real data, and a small made-up Take."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

# Before numpy and torch are loaded, here and in every process that a test starts: sums come out
# the same however many cores there are, and the runs inside Blender have a core of their own.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

# Packages whose annotations can be checked at run time: shapes and types of all that goes in and
# out. Left out are numba's kernels, which cannot be wrapped. VIVIDKEYS_CHECK_TYPES=all checks them
# all, a list with commas some.
CHECKABLE = (
    "backend.audio", "backend.audio_to_mesh", "backend.evaluation", "backend.face",
    "backend.heads", "backend.media", "backend.mesh_files", "backend.mesh_to_video.film",
    "backend.mesh_to_video.frame", "backend.mesh_to_video.networks",
    "backend.mesh_to_video.on_device", "backend.rasterize.fragments", "backend.rasterize.on_torch",
    "backend.transfer", "backend.watch",
)  # fmt: skip
asked = os.environ.get("VIVIDKEYS_CHECK_TYPES", "")
if asked:
    from jaxtyping import install_import_hook

    install_import_hook(
        list(CHECKABLE) if asked == "all" else asked.split(","), "beartype.beartype"
    )

if importlib.util.find_spec("hypothesis") is not None:  # Blender's environments have none
    from hypothesis import HealthCheck, settings

    # An example may take as long as it takes: how fast the machine is is not what is tested.
    settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("steady")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real recordings, faces and heads; tests that need it skip without it."""
    folder = Path(os.environ.get("VIVIDKEYS_DATA") or REPOSITORY.parent / "shared" / "data")
    if not (folder / "README.md").is_file():
        pytest.skip(f"no evaluation data in {folder} (set VIVIDKEYS_DATA to its folder)")
    return folder


@pytest.fixture
def small_take():  # type: ignore[no-untyped-def]
    """Two seconds of a Take at 60 fps on a four-vertex 'face', with two offset fields."""
    from shared.arkit import INDEX
    from shared.take import Take

    random = np.random.default_rng(7)
    frames = 121
    time = np.arange(frames) / 60
    weights = np.zeros((frames, 52), np.float32)
    weights[:, INDEX["jawOpen"]] = 0.5 - 0.5 * np.cos(2 * np.pi * time)
    weights[:, INDEX["mouthPucker"]] = 0.3 * (time % 1)
    weights[:, INDEX["eyeBlinkLeft"]] = (time > 1).astype(np.float32)
    return Take(
        fps=60.0,
        weights=weights,
        head_rotation=0.1 * np.sin(time)[:, None] * np.ones(3),
        head_translation=0.01 * random.standard_normal((frames, 3)),
        neutral=random.standard_normal((4, 3)),
        triangles=np.array([[0, 1, 2], [0, 2, 3]]),
        offset_basis=random.standard_normal((2, 4, 3)),
        offset_weights=random.standard_normal((frames, 2)),
        meta={"seed": 7, "voice": "für Ümläute"},
    )
