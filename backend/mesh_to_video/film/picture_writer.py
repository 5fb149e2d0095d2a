# SPDX-License-Identifier: GPL-3.0-or-later
"""One PNG per frame, for compositing: numbered from 1, in a folder or as NAME_0001.png."""

from __future__ import annotations

import io
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
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
_COMPRESSION = 3  # higher levels take twice as long and hardly make files smaller
_PLACE_OF_NUMBER = re.compile(r"_?(%0?\d*d|#+)$")


class PictureWriter(MovieWriter):
    """Writes a sequence of pictures; see `MovieWriter`.

    `X.png` (also `X_%04d.png` or `X_####.png`) becomes X_0001.png, X_0002.png, ...; a name
    without a suffix is a folder for 0001.png, ... . Until all are written they stay in a hidden
    folder inside it. Pictures left over from an earlier, longer video of the same name are
    removed, if their metadata says that they are ours.
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
                "PNG pictures have no sound: add the recording yourself, from the first picture on."
            )
        with told_of_the_disk(path, "render"):
            self._made_folder = not self._folder.exists()
            self._folder.mkdir(parents=True, exist_ok=True)
            self._hidden = temporary_beside(self._folder / (self._start.strip("_") or "pictures"))
            self._hidden.mkdir()

    def picture(self, number: int) -> Path:
        """The path of the picture with this number, from 1."""
        return self._folder / self._name(number)

    def _name(self, number: int) -> str:
        return f"{self._start}{number:0{self._digits}d}.png"

    def _write(self, pixels: UInt8[np.ndarray, "H W C"]) -> None:
        picture = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(
            picture, "png", pnginfo=self._text, compress_level=_COMPRESSION
        )
        path = self._hidden / self._name(self.frames + 1)
        with told_of_the_disk(self._asked_for, "render"), path.open("xb") as file:
            file.write(picture.getbuffer())

    def _finish(self) -> None:
        with told_of_the_disk(self._asked_for, "render"):
            for number in range(1, self.frames + 1):
                (self._hidden / self._name(number)).replace(self.picture(number))
            self._hidden.rmdir()
        self._remove_older()

    def _give_up(self) -> None:
        try:
            if self.form.keep_partial and self.frames:
                # The picture after the last may be truncated; all before it are whole.
                (self._hidden / self._name(self.frames + 1)).unlink(missing_ok=True)
                kept = free_name_beside(
                    self._folder / (self._start.strip("_") or "pictures"), "partial"
                )
                self._hidden.replace(kept)
                self.partial = kept
                return
        except OSError:
            pass
        shutil.rmtree(self._hidden, ignore_errors=True)
        if self._made_folder:
            with suppress(OSError):  # someone put another file there
                self._folder.rmdir()

    def _remove_older(self) -> None:
        """Remove the rest of an earlier, longer video: it would play after this one."""
        pattern = re.compile(re.escape(self._start) + r"(\d+)\.png")
        for entry in list(os.scandir(self._folder)):
            found = pattern.fullmatch(entry.name)
            if found is None or (len(found[1]) == self._digits and int(found[1]) <= self.frames):
                continue
            try:
                if read_provenance(Path(entry.path)) is not None:
                    Path(entry.path).unlink()
            except (OSError, VividKeysError):
                continue


def _chunks(provenance: Provenance | None) -> PngInfo:
    info = PngInfo()
    if provenance is not None:
        info.add_text("Software", f"VividKeys {provenance.version}")
        for name, text in tags_of(provenance).items():
            info.add_text(name.capitalize(), text)
        info.add_itxt(XMP_CHUNK, xmp_packet(provenance))
    # A PNG without a colour space looks different in different viewers.
    info.add(b"sRGB", b"\x00")
    return info
