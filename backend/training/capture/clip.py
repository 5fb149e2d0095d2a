# SPDX-License-Identifier: GPL-3.0-or-later
"""One film to one Take with its figures: tracking, rest shape, weights, offsets, pose, sync."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64

from backend.audio.load import Audio
from backend.audio_to_mesh.decoder import RATE
from backend.audio_to_mesh.motion_model import MotionModel
from backend.face.arkit_basis import landmark_basis
from backend.face.template import load_template
from backend.watch import UNWATCHED, Watch
from shared.landmarks import (
    LANDMARK_COUNT,
    LIP_LANDMARKS,
)
from shared.take import NATIVE_FPS, Take, resample_take

from .measure import lip_gap, look_weights
from .neutral import ActorNeutral, neutral_from_film, neutral_from_photo
from .offsets import offset_fields, shipped_fields, weights_on
from .pose import fit_heads, head_motion_of, to_axes
from .read_video import read_pictures, read_sound, video_facts
from .solve import solve_weights
from .steady import steady
from .sync import (
    LARGEST_OFFSET,
    LEAST_CORRELATION,
    Sync,
    agreement,
    at_times,
    measure_sync,
    network_weights,
)
from .track import Track, track_face

CONSENT = (
    "This performance was tracked from a film of a person. Animate that person's face, or train "
    "on it, only with their consent."
)
# Below this share of frames with a face, the film is worth a second look.
_LITTLE_SEEN = 0.8
# Lips whose gap varies by less than this are not speaking, millimetres.
_STILL_LIPS = 0.7


@dataclass(frozen=True)
class CaptureSettings:
    """How a film is captured.

    neutral       a photo of the actor at rest, used instead of the film's calmest frames
    shift         seconds by which to move the picture later (negative: earlier)
    correct_sync  also undo the measured offset between picture and sound
    """

    neutral: Path | None = None
    shift: float = 0.0
    correct_sync: bool = False
    fps: float = NATIVE_FPS


@dataclass(frozen=True)
class Figures:
    """What is printed, and stored beside a Take. Millimetres, degrees, milliseconds."""

    frames: int
    seconds: float
    source_fps: float
    tracked: float
    """Share of the film's frames in which the face was found."""
    residual_mm: float
    """Median distance of a landmark from where the shapes put it."""
    lip_residual_mm: float
    lip_residual_with_offsets_mm: float
    offset_fields: int
    gap_low_mm: float
    """5th percentile of the measured gap between the lips, relative to rest."""
    gap_high_mm: float
    head_degrees: tuple[float, float, float]
    """Range of pitch, roll and yaw."""
    sync_ms: float | None = None
    """How far the picture lags behind the sound, as filmed."""
    sync_r: float | None = None
    loudness_r: float | None = None
    shifted_ms: float = 0.0
    network_gap_r: float | None = None
    network_rounding_r: float | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class CapturedClip:
    """A Take, with the sound and what the shipped network makes of it (at 100 Hz).

    `valid` marks the frames that can be trusted; `gap` is the measured distance between the lips,
    metres.
    """

    take: Take
    valid: Bool[np.ndarray, " T"]
    gap: Float64[np.ndarray, " T"]
    audio: Audio | None
    network: Float32[np.ndarray, "N 52"] | None
    figures: Figures


@dataclass(frozen=True, eq=False)
class _Performance:
    """Everything at the film's own frames, which are at `times` (seconds)."""

    times: Float64[np.ndarray, " T"]
    valid: Bool[np.ndarray, " T"]
    weights: Float64[np.ndarray, "T 52"]
    rotation: Float64[np.ndarray, "T 3"]
    translation: Float64[np.ndarray, "T 3"]
    offset_weights: Float64[np.ndarray, "T K"]
    offset_basis: Float64[np.ndarray, "K 468 3"]
    gap: Float64[np.ndarray, " T"]


def capture_clip(
    path: Path,
    model: MotionModel,
    settings: CaptureSettings,
    watch: Watch = UNWATCHED,
) -> CapturedClip:
    """Track a film and solve for the performance.

    Raises VividKeysError(bad_file, no_face, too_large, bad_image, cancelled).
    """
    facts = video_facts(path)
    expected = max(facts.frames, 1)
    track = track_face(
        read_pictures(path),
        path.name,
        lambda count: watch.stage(
            min(0.9 * count / expected, 0.9), f"Following the face, {path.name}"
        ),
    )
    watch.stage(0.9, f"Reading the muscles, {path.name}")
    points = to_axes(track.landmarks)
    rest = (
        neutral_from_photo(settings.neutral, len(points))
        if settings.neutral is not None
        else neutral_from_film(points, track.valid)
    )
    performance, figures = _perform(track, points, rest)
    audio = read_sound(path)
    clip = _on_the_clock(performance, rest, settings, settings.shift)
    warnings = list(audio.warnings) if audio is not None else []
    if figures.tracked < _LITTLE_SEEN:
        warnings.append(f"The face was found in only {figures.tracked:.0%} of the frames.")
    if audio is None:
        warnings.append("The film has no sound, so the Take cannot be used for training.")
        return _finished(clip, path, None, None, replace(figures, warnings=tuple(warnings)))
    network = network_weights(audio, model)
    if figures.gap_high_mm - figures.gap_low_mm < _STILL_LIPS:
        # Correlation would compare the tracker's noise with the voice.
        warnings.append(
            "The lips hardly move, so the sync of picture and sound cannot be measured."
        )
        return _finished(clip, path, audio, network, replace(figures, warnings=tuple(warnings)))
    as_filmed = _on_the_clock(performance, rest, settings, 0.0)
    sync = measure_sync(*_hundred(as_filmed), audio, network)
    warnings += _sync_warnings(sync, settings)
    shift = settings.shift
    if settings.correct_sync and sync.correlation >= LEAST_CORRELATION:
        shift -= sync.offset
        clip = _on_the_clock(performance, rest, settings, shift)
    gap, valid = _hundred(clip)
    agreed = agreement(clip.take, valid, gap, network)
    figures = replace(
        figures,
        sync_ms=1000 * sync.offset,
        sync_r=sync.correlation,
        loudness_r=sync.with_loudness,
        shifted_ms=1000 * shift,
        network_gap_r=agreed.aperture,
        network_rounding_r=agreed.rounding,
        warnings=tuple(warnings),
    )
    return _finished(clip, path, audio, network, figures)


def _perform(
    track: Track, points: Float64[np.ndarray, "T 478 3"], rest: ActorNeutral
) -> tuple[_Performance, Figures]:
    fps = track.fps
    fits = fit_heads(points, rest.measured)
    rotation, translation = head_motion_of(fits, (track.width, track.height), fps)
    raw = fits.aligned[:, :LANDMARK_COUNT] - rest.measured[:LANDMARK_COUNT]
    moved = steady(raw, fps)
    looks = look_weights(fits.aligned, rest.calm if rest.calm.any() else track.valid)
    basis = landmark_basis(rest.vertices)
    weights = solve_weights(basis, moved, looks, fps)
    left_over = moved - np.tensordot(weights, basis, axes=1)
    fields = shipped_fields(rest.vertices)
    if fields is None:
        fields, field_weights = offset_fields(left_over, track.valid)
    else:
        field_weights = weights_on(fields, left_over)
    gap = lip_gap(moved)
    after = left_over - np.tensordot(field_weights, fields, axes=1)
    lips = list(LIP_LANDMARKS)
    believed = track.valid if track.valid.any() else np.ones(len(gap), np.bool_)

    def median_mm(field: Float64[np.ndarray, "T V 3"]) -> float:
        return float(1000 * np.median(np.linalg.norm(field[believed], axis=-1)))

    low, high = np.percentile(1000 * gap[believed], (5, 95))
    pitch, roll, yaw = np.degrees(np.ptp(rotation[believed], axis=0))
    figures = Figures(
        frames=len(points),
        seconds=float(track.times[-1] - track.times[0] + 1.0 / fps),
        source_fps=fps,
        tracked=float(track.seen.mean()),
        residual_mm=median_mm(left_over),
        lip_residual_mm=median_mm(left_over[:, lips]),
        lip_residual_with_offsets_mm=median_mm(after[:, lips]),
        offset_fields=len(fields),
        gap_low_mm=float(low),
        gap_high_mm=float(high),
        head_degrees=(float(pitch), float(roll), float(yaw)),
    )
    performance = _Performance(
        track.times, track.valid, weights, rotation, translation, field_weights, fields, gap
    )
    return performance, figures


def _on_the_clock(
    seen: _Performance, rest: ActorNeutral, settings: CaptureSettings, shift: float
) -> CapturedClip:
    """Resampled to a constant frame rate from the first sample of the sound on.

    Frames before the first picture are not valid.
    """
    times = seen.times + shift
    fps = 1.0 / float(np.median(np.diff(times))) if len(times) > 1 else 25.0
    even = np.abs(times - np.round(times * fps) / fps).max() < 0.0015 and times[0] > -0.001
    # Uneven or shifted frames go straight to the Take's, so that they are interpolated only once.
    rate = round(fps, 3) if even and fps <= settings.fps else settings.fps
    count = max(math.floor(float(times[-1]) * rate + 1e-3) + 1, 1)
    grid = np.arange(count) / rate

    def even_curves(curves: Float64[np.ndarray, "P C"]) -> Float64[np.ndarray, "T C"]:
        columns = [np.interp(grid, times, column) for column in curves.T]
        return np.stack(columns, axis=1) if columns else np.zeros((count, 0))

    take = Take(
        fps=rate,
        weights=np.clip(even_curves(seen.weights), 0.0, 1.0).astype(np.float32),
        head_rotation=even_curves(seen.rotation).astype(np.float32),
        head_translation=even_curves(seen.translation).astype(np.float32),
        neutral=rest.vertices.astype(np.float32),
        triangles=load_template().triangles,
        offset_basis=seen.offset_basis.astype(np.float32),
        offset_weights=even_curves(seen.offset_weights).astype(np.float32),
    )
    take = resample_take(take, settings.fps)
    clock = np.arange(take.frame_count) / take.fps
    # A frame is as reliable as the worse of the two pictures that it lies between.
    after = np.clip(np.searchsorted(times, clock - 1e-6), 0, len(times) - 1)
    before = np.maximum(after - 1, 0)
    near = (clock >= times[0] - 1.0 / fps) & (clock <= times[-1] + 1.0 / fps)
    valid = seen.valid[before] & seen.valid[after] & near
    gap = np.interp(clock, times, seen.gap)
    nothing = Figures(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0.0, 0.0, (0.0, 0.0, 0.0))
    return CapturedClip(take, valid, gap, None, None, nothing)


def _hundred(clip: CapturedClip) -> tuple[Float64[np.ndarray, " T"], Bool[np.ndarray, " T"]]:
    """Gap (metres) and validity at 100 Hz."""
    fps = clip.take.fps
    count = max(math.floor((clip.take.frame_count - 1) / fps * RATE) + 1, 1)
    clock = np.arange(clip.take.frame_count) / fps
    gap = at_times(clock, clip.gap, RATE, count)
    nearest = np.minimum(np.round(np.arange(count) * fps / RATE), len(clip.valid) - 1)
    return gap, clip.valid[nearest.astype(np.int64)]


def _sync_warnings(sync: Sync, settings: CaptureSettings) -> list[str]:
    if sync.correlation < LEAST_CORRELATION:
        return [
            f"Lips and sound hardly correlate (r {sync.correlation:.2f}): is this the voice of the "
            "person in the picture?"
        ]
    if abs(sync.offset) > LARGEST_OFFSET and not settings.correct_sync:
        late = "late" if sync.offset > 0 else "early"
        return [
            f"The picture is {abs(1000 * sync.offset):.0f} ms {late}. If it is so throughout, "
            "run again with --correct-sync."
        ]
    return []


def _finished(
    clip: CapturedClip,
    path: Path,
    audio: Audio | None,
    network: Float32[np.ndarray, "T 52"] | None,
    figures: Figures,
) -> CapturedClip:
    meta: dict[str, Any] = {
        "source": "capture",
        "video_name": path.name,
        "source_sha256": audio.sha256 if audio is not None else "",
        "source_fps": figures.source_fps,
        "sync_ms": figures.sync_ms,
        "sync_r": figures.sync_r,
        "shifted_ms": figures.shifted_ms,
        "tracked": figures.tracked,
        "consent": CONSENT,
        "warnings": list(figures.warnings),
    }
    return CapturedClip(
        replace(clip.take, meta=meta), clip.valid, clip.gap, audio, network, figures
    )
