# SPDX-License-Identifier: GPL-3.0-or-later
"""Heads other than our own: ICT-FaceKit, or any mesh with ARKit's shapes that the user adds.

Heavy modules are imported on first use, so that the backend starts quickly.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.watch import UNWATCHED, Watch
from shared.errors import ErrorKind, VividKeysError

from .folder import OWN, SUFFIX, checked_name, head_path, heads_folder, name_from

if TYPE_CHECKING:
    from backend.transfer.shape_source import ShapeSource
    from shared.face import FaceMesh

__all__ = [
    "OWN",
    "HeadInfo",
    "add_head",
    "check_head",
    "head_from_photo",
    "installed_heads",
    "remove_head",
    "shapes_of_head",
]

OWN_TITLE = "VividKeys"
OWN_LICENCE = "GPL-3.0-or-later"


@dataclass(frozen=True)
class HeadInfo:
    """An installed head; `vertices` is 0 for our own, which is built for each photo.

    `warnings` are sentences, e.g. on missing shapes.
    """

    name: str
    title: str
    licence: str
    vertices: int
    warnings: tuple[str, ...] = ()


def installed_heads() -> list[HeadInfo]:
    """Our own head first, then the user's by name; damaged files are skipped."""
    from .stored_head import head_meta

    found = [HeadInfo(OWN, OWN_TITLE, OWN_LICENCE, 0)]
    try:
        files = sorted(heads_folder().glob(f"*{SUFFIX}"))
    except OSError:
        return found
    for file in files:
        name = file.name.removesuffix(SUFFIX)
        try:
            if checked_name(name) != name or name == OWN:
                continue
            meta, count = head_meta(file)
        except VividKeysError:
            continue
        found.append(_info(name, meta, count))
    return found


def add_head(
    path: Path,
    name: str | None = None,
    watch: Watch = UNWATCHED,
    *,
    landmarks: Path | None = None,
    licence: str = "",
    identity: bool = False,
) -> HeadInfo:
    """Install a head from a mesh file or a folder of OBJ files.

    `landmarks` is an .npz with the positions of the landmarks; without it they are detected.
    `identity` lets a head without identity modes adapt mildly to the face in each photo.
    Raises VividKeysError(bad_file, bad_request, too_large).
    """
    from .add import made_head
    from .stored_head import save_head

    chosen = checked_name(name if name is not None else name_from(Path(path)))
    if chosen == OWN:
        raise _own()
    head = made_head(Path(path), watch, landmarks, licence, identity)
    target = head_path(chosen)
    save_head(head, target)
    watch.progress(1.0, "The head is installed")
    return _info(chosen, head.meta, len(head.vertices))


def remove_head(name: str) -> None:
    """Delete an installed head. Raises VividKeysError(bad_request, bad_file)."""
    if checked_name(name) == OWN:
        raise _own()
    path = _existing(name)
    try:
        path.unlink()
    except OSError as error:
        raise VividKeysError(
            ErrorKind.BAD_FILE, f"The head '{name}' cannot be removed: {error.strerror}."
        ) from error


def check_head(name: str) -> None:
    """Raise VividKeysError(bad_request) when there is no such head; '' is our own."""
    if name not in ("", OWN):
        _existing(name)


def head_from_photo(name: str, image: Path | str | bytes, watch: Watch = UNWATCHED) -> FaceMesh:
    """The head of that name, fitted to a photo; '' and 'own' are our own.

    Raises VividKeysError(bad_request, bad_file, bad_image, too_large, no_face, cancelled).
    """
    if name in ("", OWN):
        from backend.face import reconstruct

        return reconstruct(image, watch)
    from .fit_photo import fit_head
    from .stored_head import load_head

    head = load_head(_existing(name))
    return fit_head(head, checked_name(name), image, watch)


def shapes_of_head(name: str) -> ShapeSource | None:
    """The shapes of an installed head, to be transferred to characters; None for our own.

    The shapes of our own head come from the muscle table, computed for each face.

    Raises VividKeysError(bad_request, bad_file).
    """
    if name in ("", OWN):
        return None
    import numpy as np

    from backend.transfer.shape_source import ShapeSource

    from .stored_head import load_head

    head = load_head(_existing(name))
    landmarks = head.on_landmarks(head.vertices)
    return ShapeSource(name, landmarks, np.asarray(head.on_landmarks(head.shapes)))


def _info(name: str, meta: dict[str, Any], vertices: int) -> HeadInfo:
    notes = meta.get("warnings")
    return HeadInfo(
        name,
        str(meta.get("title", name)),
        str(meta.get("licence", "")),
        vertices,
        tuple(map(str, notes)) if isinstance(notes, list) else (),
    )


def _existing(name: str) -> Path:
    path = head_path(name)
    if not path.is_file():
        raise VividKeysError(
            ErrorKind.BAD_REQUEST,
            f"There is no installed head '{name[:60]}'.",
            "List the installed heads: python -m backend heads list",
        )
    return path


def _own() -> VividKeysError:
    return VividKeysError(
        ErrorKind.BAD_REQUEST,
        f"'{OWN}' is the head that VividKeys builds itself; it cannot be replaced or removed.",
        "Choose another name.",
    )
