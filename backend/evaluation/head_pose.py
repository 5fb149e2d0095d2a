# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the generated head move like tracked heads? Spread, speed, bursts, share of slow motion.

Each figure is computed per track and printed as the median over tracks with the quartiles, so
that one lively speaker does not dominate. The generated heads follow the sample recording,
repeated to the lengths of the real tracks.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from rich.console import Console
from rich.table import Table
from scipy import signal

from backend.audio.load import SAMPLE_RATE, load_audio
from backend.audio_to_mesh.head_motion import head_motion
from backend.audio_to_mesh.head_rhythm import HIGHEST_HZ
from backend.samples import SPEECH
from backend.training.head_pose.windows import TRACK_HEADER, TRACK_RATE, read_track
from shared.errors import ErrorKind, VividKeysError

AXES = ("pitch", "roll", "yaw")
# Trackers jitter; what a head does is below this, and speeds are measured there for both.
_TRACKER_NOISE_HZ = 2.5
_NOTHING_ABOVE_HZ = 10.0
# First poses that motion has to continue from, radians.
_FIRST_POSES = ((0.0, 0.0, 0.0), (0.1, 0.0, -0.05), (-0.08, 0.04, 0.12))


@dataclass(frozen=True)
class TrackFigures:
    """Figures of one track; degrees and degrees per second."""

    spread_pitch: float
    spread_roll: float
    spread_yaw: float
    speed_median: float
    speed_95: float
    burstiness: float
    """95th percentile of the speed over its median: 2.3 for Gaussian noise, more for bursts."""
    still: float
    """Share of the time below 5 degrees per second."""
    slow_power: float
    """Share of the pose's power below 3 Hz."""
    fast_power: float
    """Share of it above 10 Hz."""


@dataclass(frozen=True)
class HeadTable:
    """For each figure the lower quartile, median and upper quartile over tracks.

    `seeds_differ` is the smallest mean angle in degrees between heads of two seeds on the same
    voice, `first_frame_error` the largest angle between a given first pose and the first frame.
    """

    tracked: dict[str, tuple[float, float, float]]
    generated: dict[str, tuple[float, float, float]]
    tracks: int
    seconds: float
    generated_tracks: int
    seeds_differ: float
    first_frame_error: float


def figures(degrees: Float64[np.ndarray, "T 3"], rate: float) -> TrackFigures:
    """Figures of a track (pitch, roll, yaw in degrees) at `rate` Hz."""
    low_pass = signal.butter(4, _TRACKER_NOISE_HZ, fs=rate, output="sos")
    calm = signal.sosfiltfilt(low_pass, degrees, axis=0)
    edge = round(rate / 3)  # where the borders affect the filter
    speed = np.linalg.norm(np.diff(calm[edge:-edge], axis=0) * rate, axis=1)
    frequency, power = signal.welch(
        degrees, rate, nperseg=min(len(degrees), round(8 * rate)), axis=0
    )
    spread = degrees.std(axis=0)
    median = float(np.median(speed))
    return TrackFigures(
        spread_pitch=float(spread[0]),
        spread_roll=float(spread[1]),
        spread_yaw=float(spread[2]),
        speed_median=median,
        speed_95=float(np.percentile(speed, 95)),
        burstiness=float(np.percentile(speed, 95)) / max(median, 1e-9),
        still=float(np.mean(speed < 5.0)),
        slow_power=float(power[frequency <= HIGHEST_HZ].sum() / max(power.sum(), 1e-12)),
        fast_power=float(power[frequency > _NOTHING_ABOVE_HZ].sum() / max(power.sum(), 1e-12)),
    )


def _quartiles(rows: Sequence[TrackFigures]) -> dict[str, tuple[float, float, float]]:
    columns = {name: [asdict(row)[name] for row in rows] for name in asdict(rows[0])}
    result = {}
    for name, values in columns.items():
        low, middle, high = np.percentile(values, [25, 50, 75])
        result[name] = (float(low), float(middle), float(high))
    return result


def evaluate_head_pose(
    tracks: Sequence[Float64[np.ndarray, "_ 3"]], *, seeds: int = 4
) -> HeadTable:
    """Compare tracks at 30 Hz with generated heads of the same lengths, `seeds` of each."""
    voice = load_audio(SPEECH).samples
    start = round(1.5 * TRACK_RATE)  # easing in from rest is not typical of heads
    generated, differences, errors = [], [], []
    for number, track in enumerate(tracks):
        frames = len(track)
        needed = int(np.ceil((frames / TRACK_RATE + 2.0) * SAMPLE_RATE))
        samples = np.tile(voice, -(-needed // len(voice)))[:needed]
        poses = []
        for seed in range(seeds):
            first = _FIRST_POSES[seed % len(_FIRST_POSES)]
            rotation, _ = head_motion(
                samples, TRACK_RATE, frames + start, 100 * number + seed, 1.0, initial=first
            )
            errors.append(float(np.abs(np.degrees(rotation[0] - np.array(first))).max()))
            moved = np.degrees(rotation[start:].astype(np.float64) - np.array(first))
            generated.append(figures(moved, TRACK_RATE))
            poses.append(moved)
        differences += [
            float(np.linalg.norm(one - other, axis=1).mean())
            for one, other in itertools.combinations(poses, 2)
        ]
    return HeadTable(
        tracked=_quartiles([figures(track, TRACK_RATE) for track in tracks]),
        generated=_quartiles(generated),
        tracks=len(tracks),
        seconds=sum(len(track) for track in tracks) / TRACK_RATE,
        generated_tracks=len(generated),
        seeds_differ=min(differences, default=float("nan")),
        first_frame_error=max(errors),
    )


_LABELS = {
    "spread_pitch": "spread of pitch, degrees",
    "spread_roll": "spread of roll, degrees",
    "spread_yaw": "spread of yaw, degrees",
    "speed_median": "speed, median, degrees/s",
    "speed_95": "speed, 95th percentile, degrees/s",
    "burstiness": "95th percentile / median of the speed",
    "still": "share of time below 5 degrees/s",
    "slow_power": "share of power below 3 Hz",
    "fast_power": "share of power above 10 Hz",
}


def run(data: Path, *, as_json: bool = False) -> int:
    """Print the comparison for a folder of track_*.csv; the exit code is 0."""
    paths = sorted(data.glob("track_*.csv"))
    if not paths:
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"There are no head tracks in '{data}'.",
            f"Give --data a folder with track_*.csv files ({TRACK_HEADER}).",
        )
    table = evaluate_head_pose([read_track(path) for path in paths])
    if as_json:
        print(json.dumps(asdict(table), indent=2))
        return 0
    view = Table(
        title=f"Head motion: {table.tracks} tracks, {table.seconds:.0f} s",
        caption="Median over tracks, quartiles in brackets.",
        caption_justify="left",
    )
    view.add_column("figure")
    view.add_column("tracked heads", justify="right")
    view.add_column(f"generated ({table.generated_tracks})", justify="right")
    for name, label in _LABELS.items():
        cells = (
            f"{middle:.3g} [{low:.3g} {high:.3g}]"
            for low, middle, high in (table.tracked[name], table.generated[name])
        )
        view.add_row(label, *cells)
    view.add_row("heads of two seeds differ by at least, degrees", "", f"{table.seeds_differ:.3g}")
    view.add_row("first frame off the given pose, degrees", "", f"{table.first_frame_error:.2g}")
    Console().print(view)
    return 0
