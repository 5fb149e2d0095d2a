# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits in seconds that no test meets by chance, at both ends of the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from blender_addon.connection import link
from shared import limits
from tests.backend.server.real_server import be_patient
from tests.patience import PATIENCE


@pytest.fixture(scope="module", autouse=True)
def patient_limits() -> Iterator[pytest.MonkeyPatch]:
    """For a whole file; a test that is about such a limit sets it for itself."""
    with pytest.MonkeyPatch.context() as patch:
        be_patient(patch.setattr)
        patch.setattr(limits, "SILENCE_SECONDS", PATIENCE)
        patch.setattr(link, "_WELCOME_SECONDS", PATIENCE)
        yield patch
