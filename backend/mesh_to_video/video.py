# SPDX-License-Identifier: GPL-3.0-or-later
"""A photo, a Take and a recording become a video file, frame by frame."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from itertools import chain, islice
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from backend.mesh_to_video.check_settings import checked_duration, checked_settings
from backend.mesh_to_video.film.encode import check_writable, exact_rate, open_writer
from backend.mesh_to_video.film.movie_writer import MovieForm, MovieWriter
from backend.mesh_to_video.film.provenance import Provenance, photo_sha256, take_sha256
from backend.mesh_to_video.film.visible_mark import VisibleMark
from backend.mesh_to_video.settings import RenderSettings
from backend.watch import UNWATCHED, Watch
from shared.errors import ErrorKind, VividKeysError
from shared.landmarks import LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS
from shared.take import Take

Frames = Iterator[UInt8[np.ndarray, "H W C"]]

PREVIEW_SIDE = 256
# Share of the progress before the first frame, and the least time between two reports, seconds.
_PREPARATION = 0.05
_BETWEEN_REPORTS = 0.1


@dataclass(frozen=True)
class FrameSource:
    """Frames that are rendered as they are taken: RGB, or RGBA with straight alpha, one size.

    `warnings` are known before the first frame; `later` collects those that arise while rendering.
    """

    frame_count: int
    frames: Frames
    warnings: tuple[str, ...] = ()
    later: list[str] = field(default_factory=list)


MakeFrames = Callable[[Path | bytes, Take, RenderSettings, Watch], FrameSource]


@dataclass(frozen=True)
class VideoReport:
    """What was written.

    path           the film, or the first picture of a sequence
    width, height  pixels
    fps            frames per second of the video
    frames         number of frames; `seconds` is their duration
    warnings       sentences for the user
    fps_measured   frames rendered and written per second of computing time
    """

    path: Path
    width: int
    height: int
    fps: float
    frames: int
    seconds: float
    warnings: tuple[str, ...]
    fps_measured: float


def preview_settings(settings: RenderSettings) -> RenderSettings:
    """The same video small and fast, for a preview."""
    side = min(settings.size, PREVIEW_SIDE) if settings.size else PREVIEW_SIDE
    return replace(settings, size=side)


def render_video(
    image: Path | str | bytes,
    take: Take,
    out: Path,
    *,
    audio: Path | str | bytes | None = None,
    settings: RenderSettings | None = None,
    duration: float | None = None,
    keep_partial: bool = False,
    fragmented: bool = False,
    watch: Watch = UNWATCHED,
    first_picture: Callable[[UInt8[np.ndarray, "H W C"]], None] | None = None,
    make_frames: MakeFrames | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> VideoReport:
    """Write `out` (.mp4, .mov, .png or a folder): the face on `image` performs `take`.

    `audio`     a sound file or its bytes; it starts with the first frame. Without it, or if it
                cannot be read, the video is silent and a warning says so
    `duration`  render only this many seconds from the start
    `keep_partial`, `fragmented`  see `MovieForm`
    `first_picture`  is called with the first frame, RGB or RGBA, as soon as it is rendered
    `clock`     seconds, for the measured speed

    The video lasts as long as the Take: longer sound is cut, shorter sound is followed by
    silence. `out` appears, or is replaced, only once the video is complete; without
    `keep_partial` a failure leaves nothing. Raises VividKeysError: bad_request for settings,
    bad_image and no_face for the photo, disk_full, bad_file, cancelled.
    """
    out = Path(out)
    settings = checked_settings(settings or RenderSettings(), out)
    duration = checked_duration(duration)
    photo = image if isinstance(image, bytes) else Path(image)
    sound = audio if isinstance(audio, bytes) or audio is None else Path(audio)
    check_writable(out)
    watch.stage(0.0, "Looking at the photo")
    provenance = Provenance(take_sha256(take), photo_sha256(photo))
    source = (make_frames or frames_of_photo)(photo, take, settings, watch)
    watch.check()
    rate = exact_rate(settings.fps)
    count = source.frame_count
    if duration is not None:
        count = max(1, min(count, math.ceil(duration * rate - 1e-6)))
    try:
        watch.progress(_PREPARATION, "Drawing the first frame")
        started = clock()
        first = next(source.frames, None)
        watch.check()
        if first is None:
            raise _too_few(0, count)
        height, width, channels = first.shape
        mark = VisibleMark(width, height) if settings.mark else None
        if first_picture is not None:
            first_picture(mark.over(first) if mark else first)
        form = MovieForm(
            width,
            height,
            rate,
            count,
            alpha=channels == 4,
            provenance=provenance,
            fragmented=fragmented,
            keep_partial=keep_partial,
        )
        writer = open_writer(out, form, sound, cut_on_purpose=count < source.frame_count)
        frames = islice(chain([first], source.frames), count)
        _write_all(writer, frames, mark, watch, clock)
        elapsed = clock() - started
    finally:
        close = getattr(source.frames, "close", None)
        if close is not None:
            close()
    if sound is None:
        writer.warnings.insert(0, "No sound was given: the video is silent.")
    watch.progress(1.0, "Done")
    return VideoReport(
        path=writer.path,
        width=writer.width,
        height=writer.height,
        fps=settings.fps,
        frames=writer.frames,
        seconds=float(writer.frames / rate),
        warnings=(
            *source.warnings,
            *source.later,
            *_different_recording(take, sound),
            *writer.warnings,
        ),
        fps_measured=writer.frames / max(elapsed, 1e-9),
    )


def _write_all(
    writer: MovieWriter,
    frames: Frames,
    mark: VisibleMark | None,
    watch: Watch,
    clock: Callable[[], float],
) -> None:
    """Write every frame; the writer is closed at the end, or abandoned after a failure."""
    count = writer.form.frame_count
    started = reported = clock()
    try:
        with writer:
            for pixels in frames:
                watch.check()
                writer.write(mark.over(pixels) if mark else pixels)
                now = clock()
                if now - reported >= _BETWEEN_REPORTS or writer.frames == count:
                    reported = now
                    share = writer.frames / count
                    watch.progress(
                        _PREPARATION + (0.99 - _PREPARATION) * share,
                        _progress_text(writer.frames, count, now - started),
                    )
            watch.check()
            if writer.frames < count:
                raise _too_few(writer.frames, count)
            watch.progress(0.99, "Finishing the file")
    except VividKeysError as error:
        if writer.partial is None:
            raise
        kept = f"What was written until then is kept as '{writer.partial.name}'."
        raise VividKeysError(
            error.kind, error.sentence, f"{error.next_step} {kept}".strip()
        ) from error


def _progress_text(done: int, count: int, seconds: float) -> str:
    per_second = done / max(seconds, 1e-6)
    left = math.ceil((count - done) / max(per_second, 1e-6))
    time_left = f"{left // 60} min {left % 60} s" if left >= 60 else f"{left} s"
    return f"Frame {done} of {count}, {per_second:.1f} frames per second, {time_left} left"


def frames_of_photo(
    image: Path | bytes, take: Take, settings: RenderSettings, watch: Watch
) -> FrameSource:
    """The frames of `take` on the photo, rendered by the whole pipeline."""
    from backend.mesh_to_video.film.frame_stream import frames_in_order
    from backend.mesh_to_video.frame.performance import take_performance
    from backend.mesh_to_video.frame.portrait import portrait_from_photo
    from backend.mesh_to_video.frame_renderer import FrameRenderer
    from backend.mesh_to_video.on_device.choice import chosen_device

    device = chosen_device(settings.device)
    portrait = portrait_from_photo(image)
    warnings = list(portrait.warnings)
    height, width = portrait.pixels.shape[:2]
    if settings.size > max(height, width):
        warnings.append(
            f"The photo is {width} by {height} pixels, smaller than the requested size "
            f"({settings.size}); the video keeps the photo's size."
        )
        settings = replace(settings, size=0)
    watch.check()
    performance = take_performance(portrait, take, settings.fps)
    warnings += performance.notes
    renderer = FrameRenderer(portrait, settings)
    warnings += renderer.warnings
    count, later = performance.frame_count, list[str]()
    if device is not None:
        from backend.mesh_to_video.on_device.renderer import DeviceRenderer
        from backend.mesh_to_video.on_device.stream import frames_in_batches

        frames = frames_in_batches(
            lambda: DeviceRenderer(portrait, settings, device=device, on_cpu=renderer),
            performance.vertices,
            count,
            on_cpu=renderer.frame,
            warn=later.append,
            watch=watch,
        )
        return FrameSource(count, frames, tuple(warnings), later)

    def make(frame: int) -> UInt8[np.ndarray, "H W C"]:
        return renderer.frame(performance.vertices(frame))

    return FrameSource(count, frames_in_order(make, count, watch), tuple(warnings))


def warm_up() -> None:
    """Load and compile everything the first video would wait for, on a synthetic face."""
    from backend.face.template import load_template
    from backend.mesh_to_video.frame.performance import tracked_performance
    from backend.mesh_to_video.frame.portrait import portrait_from_pixels
    from backend.mesh_to_video.frame_renderer import FrameRenderer

    import_module("backend.mesh_to_video.film.film_writer")
    side = 96
    face = load_template().vertices.astype(np.float64)
    # Each iris: its centre and four points around it, midway between the corners of the eye.
    ring = 0.005 * np.array([(0, 0, 0), (1, 0, 0), (0, 0, 1), (-1, 0, 0), (0, 0, -1)])
    eyes = (RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS)
    irises = [face[list(corners)].mean(axis=0) + ring for corners in eyes]
    points = np.concatenate([face, *irises])
    points = np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)
    points *= 0.5 * side / np.ptp(points[:, 1])
    points[:, :2] += side / 2 - points[:, :2].mean(axis=0)
    grey = np.full((side, side, 3), 128, np.uint8)
    portrait = portrait_from_pixels(grey, points)
    performance = tracked_performance(portrait, points[None], 25.0)
    FrameRenderer(portrait, RenderSettings()).frame(performance.vertices(0))


def _different_recording(take: Take, sound: Path | bytes | None) -> list[str]:
    """A warning when the Take was made from a different recording."""
    made_from = take.meta.get("audio_sha256")
    if sound is None or not isinstance(made_from, str):
        return []
    from backend.mesh_to_video.film.sound_track import sound_sha256

    given = sound_sha256(sound)
    if given in ("", made_from):
        return []
    return ["The Take was made from a different recording; the lips may not match this one."]


def _too_few(made: int, count: int) -> VividKeysError:
    return VividKeysError(
        ErrorKind.INTERNAL,
        f"Only {made} of {count} frames could be made.",
        "Try again; if it happens again, report it with the Take and the photo.",
    )
