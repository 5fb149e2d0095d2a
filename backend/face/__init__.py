# SPDX-License-Identifier: GPL-3.0-or-later
"""Photo to face: landmarks, neutral mesh, texture, the 52 shapes.

Image libraries are imported on the first call, so that the backend starts quickly.
"""

from __future__ import annotations

from pathlib import Path

from backend.watch import UNWATCHED, Watch
from shared.face import FaceMesh

__all__ = ["reconstruct", "template_face"]


def reconstruct(image: Path | str | bytes, watch: Watch = UNWATCHED) -> FaceMesh:
    """The face in a photo (path or bytes) as a neutral, frontal head with the 52 shapes.

    Warnings for the user go to `meta["warnings"]`. Raises VividKeysError(bad_image, too_large,
    no_face, cancelled).
    """
    from .from_photo import face_from_photo

    return face_from_photo(image, watch)


def template_face() -> FaceMesh:
    """Return the mean face in plain grey, for use without a photo."""
    from .from_photo import plain_face

    return plain_face()
