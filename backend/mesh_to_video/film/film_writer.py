# SPDX-License-Identifier: GPL-3.0-or-later
"""MP4 (H.264, AAC) and MOV (ProRes 4444, PCM), written frame by frame with FFmpeg's libraries.

Pictures and sound both start at 0 and are interleaved as they are written, so that the muxer never
holds more than the encoder's look-ahead.
"""

from __future__ import annotations

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation
from jaxtyping import UInt8, UInt16

from backend.mesh_to_video.film.movie_writer import MovieForm, MovieWriter
from backend.mesh_to_video.film.partial_file import (
    PartialFile,
    free_name_beside,
    temporary_beside,
)
from backend.mesh_to_video.film.provenance import tags, top_boxes, xmp_box
from backend.mesh_to_video.film.sound_track import RATE, NoSoundError, SoundTrack
from shared.disk_errors import as_disk_error, told_of_the_disk

CRF = 17  # of H.264: almost indistinguishable from the rendered frames
PRESET = "veryfast"
# Most encoder threads; their number is fixed so that a machine writes the same bytes each time.
_MOST_THREADS = 8
_AAC_BITS_PER_CHANNEL = 96_000
# The most that is lost at the end of a truncated file, seconds.
_FRAGMENT_SECONDS = 1.0
# What PyAV raises, for itself and for the file; not all of its errors are OSErrors.
_FAILURES = (av.FFmpegError, OSError, ValueError)
# How chroma is subsampled; of all the filters this one reproduces the colours best.
_SCALING = Interpolation.BICUBIC | Interpolation.ACCURATE_RND


class FilmWriter(MovieWriter):
    """Writes one film; see `MovieWriter`."""

    def __init__(
        self,
        path: Path,
        form: MovieForm,
        sound: Path | bytes | None = None,
        cut_on_purpose: bool = False,
    ) -> None:
        """Begin the file. Raises VividKeysError(bad_file, disk_full)."""
        super().__init__(path, form)
        self._cut_on_purpose = cut_on_purpose
        self._is_mp4 = path.suffix.lower() != ".mov"
        self._sound: SoundTrack | None = None
        if sound is not None:
            try:
                self._sound = SoundTrack(sound)
            except NoSoundError as error:
                self.warnings.append(f"{error} The video is silent.")
        self._sound_samples = 0
        if self._is_mp4:
            self.width += self.width % 2
            self.height += self.height % 2
            if (self.width, self.height) != (form.width, form.height):
                self.warnings.append(
                    f"An .mp4 needs even sides: the last column or row is repeated, so the video "
                    f"is {self.width} by {self.height} pixels."
                )
        try:
            with told_of_the_disk(path, "render"):
                self._file = PartialFile(temporary_beside(path))
        except BaseException:
            self._close_sound()
            raise
        try:
            self._open_container()
        except BaseException:
            self._close_sound()
            self._file.remove()
            raise

    # Input

    def _write(self, pixels: UInt8[np.ndarray, "H W C"]) -> None:
        below, right = self.height - pixels.shape[0], self.width - pixels.shape[1]
        if below or right:
            pixels = np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="edge")
        if self.form.alpha:
            frame = av.VideoFrame.from_ndarray(_premultiplied(pixels), format="rgba64le")
        else:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        frame = frame.reformat(
            format=self._pixel_format,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=_SCALING,
        )
        # ProRes takes these from each frame, H.264 from the stream.
        frame.color_primaries, frame.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        frame.pts = self.frames
        frame.time_base = 1 / self.form.fps
        try:
            self._container.mux(self._pictures.encode(frame))
            self._add_sound(self.frames + 1)
        except _FAILURES as error:
            raise self._reported(error) from error

    def _add_sound(self, frames: int) -> None:
        """Write the sound up to the end of the first `frames` pictures."""
        if self._sound is None:
            return
        until = round(frames / self.form.fps * RATE)
        samples = self._sound.take(until - self._sound_samples)
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples), format="fltp", layout=self._layout
        )
        frame.sample_rate = RATE
        frame.time_base = Fraction(1, RATE)
        frame.pts = self._sound_samples
        self._sound_samples = until
        self._container.mux(self._voice.encode(frame))

    # Output

    def _finish(self) -> None:
        try:
            self._flush()
            self._container.close()
            if self._file.refusal is not None:
                raise self._file.refusal
            self._sign()
            self._file.take_place_of(self.path)
        except _FAILURES as error:
            raise self._reported(error) from error
        if self._sound is not None:
            self.warnings += self._sound.difference(self._seconds, self._cut_on_purpose)
        self._close_sound()

    def _give_up(self) -> None:
        try:
            if self.form.keep_partial and self.frames:
                self._keep_what_plays()
        except Exception:  # the first error is the one to report
            self.partial = None
        finally:
            self._drop_container()
            self._close_sound()
            self._file.remove()

    def _keep_what_plays(self) -> None:
        """End the file here, or after the last whole fragment if the disk is full."""
        if self._file.refusal is None:
            try:
                self._flush()
                self._container.close()
            except _FAILURES:
                self._file.ignore_writes()
        if self._file.refusal is None:
            self._sign()
        else:
            self._drop_container()
            end = _end_of_fragments(self._file.path)
            if not end:
                return
            self._file.cut(end)
        kept = free_name_beside(self.path, "partial")
        self._file.take_place_of(kept)
        self.partial = kept

    def _flush(self) -> None:
        self._container.mux(self._pictures.encode(None))
        if self._sound is not None:
            self._container.mux(self._voice.encode(None))

    def _sign(self) -> None:
        # The index of fragments at the end of a fragmented film has to stay the last.
        if self.form.provenance is not None and not self.form.fragmented:
            self._file.append(xmp_box(self.form.provenance))

    def _drop_container(self) -> None:
        """Close FFmpeg's side without writing any more."""
        self._file.ignore_writes()
        with suppress(*_FAILURES):
            self._container.close()

    def _close_sound(self) -> None:
        if self._sound is not None:
            self._sound.close()

    @property
    def _seconds(self) -> float:
        return float(self.frames / self.form.fps)

    def _reported(self, error: Exception) -> Exception:
        """An error of FFmpeg or the disk, as the user sees it."""
        if self._file.refusal is not None:
            return as_disk_error(self._file.refusal, self.path, "render")
        return as_disk_error(error, self.path, "render") if isinstance(error, OSError) else error

    # File format

    def _open_container(self) -> None:
        self._container = av.open(
            self._file,
            "w",
            format="mp4" if self._is_mp4 else "mov",
            options=self._container_options(),
        )
        if self.form.provenance is not None:
            self._container.metadata.update(tags(self.form.provenance))
        self._pictures = self._h264() if self._is_mp4 else self._prores()
        self._pictures.width, self._pictures.height = self.width, self.height
        self._pictures.pix_fmt = self._pixel_format
        context = self._pictures.codec_context
        context.time_base = 1 / self.form.fps
        context.color_range = ColorRange.MPEG
        context.colorspace = Colorspace.ITU709
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        if self._sound is not None:
            self._layout = "stereo" if self._sound.channels == 2 else "mono"
            codec = "aac" if self._is_mp4 else "pcm_s16le"
            voice: Any = self._container.add_stream(codec, rate=RATE, layout=self._layout)
            self._voice = voice
            if self._is_mp4:
                voice.bit_rate = _AAC_BITS_PER_CHANNEL * self._sound.channels

    @property
    def _pixel_format(self) -> str:
        if self._is_mp4:
            return "yuv420p"
        return "yuva444p10le" if self.form.alpha else "yuv444p10le"

    def _h264(self) -> Any:
        keys = max(1, round(self.form.fps * Fraction(_FRAGMENT_SECONDS)))
        stream = self._container.add_stream(
            "libx264",
            rate=self.form.fps,
            options={
                "preset": PRESET,
                "crf": str(CRF),
                # No B-frames: films start at 0, and an editor finds every frame at once.
                "bf": "0",
                "g": str(keys),
            },
        )
        stream.codec_context.thread_count = min(_MOST_THREADS, os.cpu_count() or 1)
        return stream

    def _prores(self) -> Any:
        alpha_bits = "16" if self.form.alpha else "0"
        stream = self._container.add_stream(
            "prores_ks",
            rate=self.form.fps,
            options={"profile": "4444", "vendor": "apl0", "alpha_bits": alpha_bits},
        )
        # Slices of one frame in parallel: threads that take whole frames would delay them.
        stream.codec_context.thread_type = "SLICE"
        stream.codec_context.thread_count = min(_MOST_THREADS, os.cpu_count() or 1)
        return stream

    def _container_options(self) -> dict[str, str]:
        # delay_moov: without it a fragmented film does not know the encoder's delay, and the sound
        # is 21 ms late.
        if self.form.fragmented:
            flags = "frag_keyframe+delay_moov+default_base_moof"
        elif self.form.keep_partial:
            # Fragments that become an ordinary film at the end, with its index behind the pictures.
            flags = "hybrid_fragmented+frag_keyframe+delay_moov"
        else:
            return {"movflags": "+faststart"}
        if not self._is_mp4:  # every frame of ProRes is a key frame
            flags = flags.replace("frag_keyframe+", "").replace("+frag_keyframe", "")
            return {"movflags": flags, "frag_duration": str(round(_FRAGMENT_SECONDS * 1e6))}
        return {"movflags": flags}


def _premultiplied(pixels: UInt8[np.ndarray, "H W 4"]) -> UInt16[np.ndarray, "H W 4"]:
    """Straight alpha as premultiplied 16-bit colours, the way editors write films.

    Blender, too, reads every film of more than 8 bits as premultiplied.
    """
    alpha = pixels[:, :, 3:].astype(np.float32)
    out = np.empty(pixels.shape, np.uint16)
    out[:, :, :3] = pixels[:, :, :3] * (alpha * np.float32(257.0 / 255.0)) + np.float32(0.5)
    out[:, :, 3] = pixels[:, :, 3].astype(np.uint16) * 257
    return out


def _end_of_fragments(path: Path) -> int:
    """Where the last whole fragment of an unfinished film ends, bytes; 0 when there is none."""
    end, after_head = 0, False
    for kind, start, size in top_boxes(path):
        if kind == b"mdat" and after_head:
            end = start + size
        after_head = kind == b"moof" or (after_head and kind != b"mdat")
    return end
