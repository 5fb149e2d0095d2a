# SPDX-License-Identifier: GPL-3.0-or-later
"""A PNG for each frame, for compositing: numbered from 1, in a folder or as NAME_0001.png."""

from __future__ import annotations

import io
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from backend.mesh_to_video.film.movie_writer import MovieForm, MovieWriter
from backend.mesh_to_video.film.partial_file import (
    free_name_beside,
    temporary_beside,
)
from backend.mesh_to_video.film.provenance import XMP_CHUNK, Provenance, read_provenance, xmp_packet
from backend.mesh_to_video.film.provenance import tags as tags_of
from shared.disk_errors import told_of_the_disk
from shared.errors import VividKeysError

_FEWEST_DIGITS = 4
_COMPRESSION = 3  # beyond it files hardly get smaller, and frames take twice as long
_PLACE_OF_NUMBER = re.compile(r"_?(%0?\d*d|#+)$")


class PictureWriter(MovieWriter):
    """Writes a sequence of pictures; see `MovieWriter`.

    `X.png` (also `X_%04d.png` or `X_####.png`) becomes X_0001.png, X_0002.png, ...; a name
    without a suffix is a folder with 0001.png, ... in it. They lie in a hidden folder inside it
    until all are there. Pictures of an earlier, longer video under the same names are removed,
    if they say of themselves that they are ours.
    """

    def __init__(self, path: Path, form: MovieForm, with_sound: bool = False) -> None:
        """Make the hidden folder. Raises VividKeysError(bad_file, disk_full)."""
        if path.is_dir() or path.suffix.lower() != ".png":
            self._folder, self._start = path, ""
        else:
            name = _PLACE_OF_NUMBER.sub("", path.stem) or "frame"
            self._folder, self._start = path.parent, f"{name}_"
        self._digits = max(_FEWEST_DIGITS, len(str(form.frame_count)))
        super().__init__(self.picture(1), form)
        self._asked_for = path
        self._text = _chunks(form.provenance)
        if with_sound:
            self.warnings.append(
                "Pictures hold no sound: lay the recording beside them, starting with the first."
            )
        with told_of_the_disk(path, "render"):
            self._made_folder = not self._folder.exists()
            self._folder.mkdir(parents=True, exist_ok=True)
            self._hidden = temporary_beside(self._folder / (self._start.strip("_") or "pictures"))
            self._hidden.mkdir()

    def picture(self, number: int) -> Path:
        """Where the picture with this number, from 1, will be."""
        return self._folder / self._name(number)

    def _name(self, number: int) -> str:
        return f"{self._start}{number:0{self._digits}d}.png"

    def _write(self, pixels: NDArray[np.uint8]) -> None:
        picture = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(
            picture, "png", pnginfo=self._text, compress_level=_COMPRESSION
        )
        path = self._hidden / self._name(self.frames + 1)
        with told_of_the_disk(self._asked_for, "render"), open(path, "xb") as file:
            file.write(picture.getbuffer())

    def _finish(self) -> None:
        with told_of_the_disk(self._asked_for, "render"):
            for number in range(1, self.frames + 1):
                os.replace(self._hidden / self._name(number), self.picture(number))
            self._hidden.rmdir()
        self._remove_older()

    def _give_up(self) -> None:
        try:
            if self.form.keep_partial and self.frames:
                # The one after the last may be broken off; all before it are whole.
                (self._hidden / self._name(self.frames + 1)).unlink(missing_ok=True)
                kept = free_name_beside(
                    self._folder / (self._start.strip("_") or "pictures"), "partial"
                )
                os.replace(self._hidden, kept)
                self.partial = kept
                return
        except OSError:
            pass
        shutil.rmtree(self._hidden, ignore_errors=True)
        if self._made_folder:
            with suppress(OSError):  # something else was put there
                self._folder.rmdir()

    def _remove_older(self) -> None:
        """Remove the rest of an earlier, longer video: it would play on behind this one."""
        pattern = re.compile(re.escape(self._start) + r"(\d+)\.png")
        for entry in list(os.scandir(self._folder)):
            found = pattern.fullmatch(entry.name)
            if found is None or (len(found[1]) == self._digits and int(found[1]) <= self.frames):
                continue
            try:
                if read_provenance(Path(entry.path)) is not None:
                    os.remove(entry.path)
            except (OSError, VividKeysError):
                continue


def _chunks(provenance: Provenance | None) -> PngInfo:
    info = PngInfo()
    if provenance is not None:
        info.add_text("Software", f"VividKeys {provenance.version}")
        for name, text in tags_of(provenance).items():
            info.add_text(name.capitalize(), text)
        info.add_itxt(XMP_CHUNK, xmp_packet(provenance))
    # PNG says nothing of colour by itself; viewers then differ.
    info.add(b"sRGB", b"\x00")
    return info
