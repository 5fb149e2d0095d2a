# SPDX-License-Identifier: GPL-3.0-or-later
"""The bundled portrait, reconstructed once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

PORTRAIT = Path(__file__).resolve().parents[3] / "backend" / "samples" / "portrait.jpg"


@pytest.fixture(scope="session")
def portrait_path() -> Path:
    return PORTRAIT


@pytest.fixture(scope="session")
def portrait_pixels() -> np.ndarray:
    from backend.face.load_image import load_image

    return load_image(PORTRAIT).pixels


@pytest.fixture(scope="session")
def portrait_face():  # type: ignore[no-untyped-def]
    from backend.face import reconstruct

    return reconstruct(PORTRAIT)
