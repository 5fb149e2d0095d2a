# SPDX-License-Identifier: GPL-3.0-or-later
"""What all video writers have in common: frames in, a finished file out, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
from jaxtyping import UInt8

from backend.mesh_to_video.film.provenance import Provenance
from shared.errors import ErrorKind, VividKeysError


@dataclass(frozen=True)
class MovieForm:
    """The format of the frames, and what the file should be.

    width, height   of the frames in pixels
    fps             frames per second, exact; see `exact_rate`
    frame_count     frames expected; it only sets the number of digits in the names of pictures
    alpha           frames are RGBA with straight (not premultiplied) alpha, otherwise RGB
    fragmented      an MP4 or MOV that can be played while it is written, or if it is truncated
    keep_partial    after a failure, keep what was written as a playable `NAME.partial.mp4`
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

    The file gets its name in `close()`; an earlier file of that name stays until then.
    As a context manager it closes after success and abandons after an error.

    path           of the film or its first picture
    width, height  of the pictures in the file, pixels
    frames         number written so far
    warnings       sentences for the user, complete after `close()`
    partial        what `abandon()` kept, if anything
    """

    def __init__(self, path: Path, form: MovieForm) -> None:
        self.path = path
        self.form = form
        self.width, self.height = form.width, form.height
        self.frames = 0
        self.warnings: list[str] = []
        self.partial: Path | None = None
        self._open = True

    def write(self, pixels: UInt8[np.ndarray, "H W C"]) -> None:
        """Add one frame, RGB or, with alpha, RGBA.

        Raises VividKeysError(bad_array) for a frame of another shape or type, and
        VividKeysError(disk_full, bad_file) when the disk refuses; abandon the video then.
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
            raise VividKeysError(ErrorKind.BAD_REQUEST, f"'{self.path.name}' would have no frames.")
        try:
            self._finish()
        except BaseException:
            self.abandon()
            raise
        self._open = False

    def abandon(self) -> None:
        """Leave nothing behind, or with `keep_partial` the playable part; never raises."""
        if self._open:
            self._open = False
            self._give_up()

    def _write(self, pixels: UInt8[np.ndarray, "H W C"]) -> None:
        raise NotImplementedError

    def _finish(self) -> None:
        raise NotImplementedError

    def _give_up(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> MovieWriter:
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
