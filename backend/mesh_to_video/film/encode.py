# SPDX-License-Identifier: GPL-3.0-or-later
"""The writer that suits a file's name.

.mp4   H.264 and AAC, plays everywhere; no alpha
.mov   ProRes 4444 and uncompressed sound, for compositing; alpha
.png   or a folder: one picture per frame; alpha, no sound
"""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Literal

from backend.mesh_to_video.film.movie_writer import MovieForm, MovieWriter
from backend.mesh_to_video.film.partial_file import PartialFile, temporary_beside
from shared.disk_errors import told_of_the_disk
from shared.errors import ErrorKind, VividKeysError

OutputKind = Literal["mp4", "mov", "png"]
SUFFIXES = ".mp4, .mov (ProRes 4444) or .png (a picture for each frame), or a folder"


def output_kind(path: Path) -> OutputKind:
    """What kind of video `path` names. Raises VividKeysError(bad_request)."""
    suffix = path.suffix.lower()
    if path.is_dir():
        if suffix in (".mp4", ".mov", ".png"):
            raise VividKeysError(
                ErrorKind.BAD_REQUEST,
                f"'{path.name}' is a folder.",
                "Choose another name for the video.",
            )
        return "png"
    if suffix in ("", ".png"):
        return "png"
    if suffix in (".mp4", ".m4v"):
        return "mp4"
    if suffix == ".mov":
        return "mov"
    raise VividKeysError(
        ErrorKind.BAD_REQUEST,
        f"A video cannot be written as '{path.suffix}'.",
        f"Let the name end in {SUFFIXES}.",
    )


def checked_output(path: Path, alpha: bool) -> OutputKind:
    """The kind of `path`, if it can hold such a video. Raises VividKeysError(bad_request)."""
    kind = output_kind(path)
    if alpha and kind == "mp4":
        raise VividKeysError(
            ErrorKind.BAD_REQUEST,
            "An .mp4 cannot hold a transparent background.",
            "Let the name end in .mov (ProRes 4444) or .png, or choose another background.",
        )
    return kind


def exact_rate(fps: float) -> Fraction:
    """The exact frame rate meant by a decimal: 29.97 is 30000/1001, 23.976 is 24000/1001.

    The allowed range is checked elsewhere; any finite positive number gives a fraction here.
    """
    whole = round(fps)
    if whole > 0 and abs(fps - whole) < 1e-6:
        return Fraction(whole)
    television = Fraction(round(fps * 1.001) * 1000, 1001)
    # People write up to three decimals.
    if television and abs(fps - float(television)) < 6e-3 and television.numerator % 6000 == 0:
        return television
    return Fraction(fps).limit_denominator(1001)


def check_writable(path: Path) -> None:
    """Check, before any work is done, that a video can be written at `path`.

    Raises VividKeysError(bad_file, disk_full, bad_request).
    """
    kind = output_kind(path)
    if kind == "png" and path.suffix.lower() != ".png":
        path = path / "0001.png"
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        with told_of_the_disk(path, "render"):
            PartialFile(temporary_beside(path)).remove()
    finally:
        for folder in made:  # folders for the video are made together with the video
            with suppress(OSError):
                folder.rmdir()


def open_writer(
    path: Path,
    form: MovieForm,
    sound: Path | bytes | None = None,
    cut_on_purpose: bool = False,
) -> MovieWriter:
    """Begin the video at `path` with the writer for its suffix.

    `sound` is any sound file, as a path or as bytes; it starts with the first frame. The writer's
    warnings say if it cannot be read, or is shorter or longer than the video; with
    `cut_on_purpose` a longer sound is no cause for a warning. Raises
    VividKeysError(bad_request, bad_file, disk_full).
    """
    kind = checked_output(path, form.alpha)
    if kind == "png":
        from backend.mesh_to_video.film.picture_writer import PictureWriter

        return PictureWriter(path, form, with_sound=sound is not None)
    from backend.mesh_to_video.film.film_writer import FilmWriter

    return FilmWriter(path, form, sound, cut_on_purpose)
