# SPDX-License-Identifier: GPL-3.0-or-later
"""What all writers of a video have in common: pixels in, a finished file out, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from backend.mesh_to_video.film.provenance import Provenance
from shared.errors import ErrorKind, VividKeysError


@dataclass(frozen=True)
class MovieForm:
    """How the frames come, and what is asked of the file.

    width, height   of the frames in pixels
    fps             exact; see `exact_rate`
    frame_count     how many are expected; only the digits in the names of pictures depend on it
    alpha           frames are [H,W,4] with straight (not premultiplied) alpha, else [H,W,3]
    fragmented      an MP4 or MOV that plays while it grows, and whatever happens to its end
    keep_partial    what was written until a failure is kept and plays, as `NAME.partial.mp4`
    """

    width: int
    height: int
    fps: Fraction
    frame_count: int = 0
    alpha: bool = False
    provenance: Provenance | None = None
    fragmented: bool = False
    keep_partial: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.height, self.width, 4 if self.alpha else 3)


class MovieWriter:
    """Takes frames one by one; memory does not grow with their number.

    The file has its name only after `close()`; what had that name before stays until then.
    As a context manager it closes when all went well and abandons otherwise.

    path           where the film or the first picture will be
    width, height  of the pictures in the file, pixels
    frames         how many were written
    warnings       sentences for the user, complete after `close()`
    partial        what `abandon()` has kept, if anything
    """

    def __init__(self, path: Path, form: MovieForm) -> None:
        self.path = path
        self.form = form
        self.width, self.height = form.width, form.height
        self.frames = 0
        self.warnings: list[str] = []
        self.partial: Path | None = None
        self._open = True

    def write(self, pixels: NDArray[np.uint8]) -> None:
        """Add one frame, uint8 [H,W,3] or, with alpha, [H,W,4].

        Raises VividKeysError(disk_full, bad_file) when the disk refuses; then abandon.
        """
        if not self._open:
            raise RuntimeError("the video is closed")
        if pixels.shape != self.form.shape or pixels.dtype != np.uint8:
            raise VividKeysError(
                ErrorKind.BAD_ARRAY,
                f"A frame is uint8 {self.form.shape}, not {pixels.dtype} {pixels.shape}.",
            )
        self._write(pixels)
        self.frames += 1

    def close(self) -> None:
        """Finish the file and give it its name. Raises VividKeysError(disk_full, bad_file)."""
        if not self._open:
            return
        if not self.frames:
            self.abandon()
            raise VividKeysError(
                ErrorKind.BAD_REQUEST, f"'{self.path.name}' would have no frame at all."
            )
        try:
            self._finish()
        except BaseException:
            self.abandon()
            raise
        self._open = False

    def abandon(self) -> None:
        """Leave nothing behind, or with `keep_partial` what plays; never raises."""
        if self._open:
            self._open = False
            self._give_up()

    def _write(self, pixels: NDArray[np.uint8]) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        raise NotImplementedError

    def _give_up(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()
