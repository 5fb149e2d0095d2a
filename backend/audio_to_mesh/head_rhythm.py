# SPDX-License-Identifier: GPL-3.0-or-later
"""A random process of head motion: a pose that wanders as real heads do, and nods on beats.

The head-pose codebook learns from its output and from real tracks, which have no sound.

The numbers come from 17 tracks of people who speak on camera (183 s at 30 fps, rotations only;
`python -m backend evaluate head-pose` compares with such tracks). Each axis' power spectrum
between 0.12 and 2.6 Hz follows `(1 + (f / corner)^2) ^ -fall`; the least-squares fit (log power,
tracks scaled to unit standard deviation) gave the corners and falls below. The median standard
deviations of the tracks are 2.6, 3.0 and 2.9 degrees (pitch, roll, yaw); the spreads below are
larger because a short piece of a slow process shows only part of its spread, and pauses reduce it.
Real motion comes in bursts: the standard deviation of the logarithm of its speed is 0.83, where
Gaussian noise of the same spectrum has about 0.5, and the speed decorrelates within half a second,
hence the fluctuating gain. Gain and spreads were then set so that generated tracks of the same
lengths lie in the calmer half of the tracked people. The tracks have no sound, so the link to the
voice is set by hand from the literature: beats fall on stressed syllables, one nod takes a little
under a second, and almost nothing happens above 3 Hz.

Axes are Blender's and the face looks along -Y. Angles are Euler XYZ radians: +x nods down, +y
tips the crown to the character's left, +z turns to the character's left.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64
from scipy import ndimage

from backend.audio_to_mesh.beats import GRID, impulses_on_grid, stressed_beats
from backend.audio_to_mesh.loudness import LOUDNESS_RATE, speaking

# In the order pitch, roll, yaw.
SPREAD_DEGREES = (2.9, 3.3, 3.2)
FARTHEST_DEGREES = 14.0
CORNER_HZ = (0.35, 0.42, 0.33)
FALL = (1.27, 1.77, 1.06)
BURST_SPREAD = 0.95  # of the logarithm of the gain
BURST_SECONDS = 0.7
HIGHEST_HZ = 3.0

_KERNEL_SECONDS = 8.0
# In a pause the head keeps moving, at this share of its pace.
_PACE_IN_SILENCE = 0.2

_NOD_DEGREES = 1.4
_NOD_SECONDS = 0.62
_NOD_DOWN = 0.85  # share of the nods that go down first
_NOD_TO_OTHERS = (0.25, 0.3)  # roll and yaw that go along, as random shares

SWAY_METRES = 0.0015


def rhythm_motion(
    level: Float32[np.ndarray, " T"], cells: int, seed: int
) -> Float64[np.ndarray, "cells 6"]:
    """Pose on a grid of `GRID` Hz: rotation in degrees, sway of the neck in metres.

    `level` is `loudness` at 100 Hz. Nothing in the pose is faster than 3 Hz.
    """
    wander, bursts, beats, sway = generators(seed, 0x4EAD, 4)
    process_time = np.cumsum(pace(level, cells)) / GRID
    pose = np.empty((cells, 6))
    pose[:, :3] = _wandering(process_time, wander, bursts)
    pose[:, 3:] = _wandering(process_time, sway, bursts) * (SWAY_METRES / np.array(SPREAD_DEGREES))
    pose[:, :3] = softly_limited(pose[:, :3])
    pose[:, :3] += nods(level, cells, beats)
    return slow_only(pose)


def generators(seed: int, salt: int, count: int) -> list[np.random.Generator]:
    """Independent random generators from a seed; `salt` keeps two processes independent."""
    sequence = np.random.SeedSequence([seed & (2**64 - 1), salt])
    return [np.random.Generator(np.random.PCG64(child)) for child in sequence.spawn(count)]


def softly_limited(degrees: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """Limit rare large turns smoothly, because a photo shows only one side of a head."""
    result: Float64[np.ndarray, "*shape"] = FARTHEST_DEGREES * np.tanh(degrees / FARTHEST_DEGREES)
    return result


def on_grid(values: Float64[np.ndarray, " T"], cells: int) -> Float64[np.ndarray, " cells"]:
    """Means of `values` at 100 Hz over the cells of the grid; zeros after the end."""
    step = LOUDNESS_RATE // GRID
    padded = np.zeros(cells * step)
    kept = min(len(values), len(padded))
    padded[:kept] = values[:kept]
    return np.asarray(padded.reshape(cells, step).mean(axis=1))


def pace(level: Float32[np.ndarray, " T"], cells: int) -> Float64[np.ndarray, " cells"]:
    """Speed of the wandering: 1 in speech, slow in pauses, without jumps.

    Slowing time down calms the head without pulling it back to rest, and adds no frequencies.
    """
    active = on_grid(speaking(level).astype(np.float64), cells)
    soft: Float64[np.ndarray, " cells"] = ndimage.gaussian_filter1d(
        active, 0.35 * GRID, mode="nearest"
    )
    return _PACE_IN_SILENCE + (1.0 - _PACE_IN_SILENCE) * soft


def _wandering(
    process_time: Float64[np.ndarray, " cells"],
    random: np.random.Generator,
    bursts: np.random.Generator,
) -> Float64[np.ndarray, "cells 3"]:
    """The pose in degrees at increasing `process_time` in seconds."""
    # Importing these takes most of a second, and only training uses this process.
    from scipy import signal
    from scipy.interpolate import CubicSpline

    kernels = [_kernel(corner, fall) for corner, fall in zip(CORNER_HZ, FALL, strict=True)]
    half = len(kernels[0]) // 2
    count = int(np.ceil(process_time[-1] * GRID)) + 8
    # Rows are drawn in time order: a longer clip begins like a shorter one.
    noise = random.standard_normal((count + 2 * half, 3))
    gain = bursts.standard_normal(count + 2 * half)
    correlation = np.exp(-1.0 / (BURST_SECONDS * GRID))
    gain = signal.lfilter([np.sqrt(1.0 - correlation**2)], [1.0, -correlation], gain)
    noise *= np.exp(BURST_SPREAD * gain - BURST_SPREAD**2)[:, None]
    pose = np.stack(
        [
            signal.oaconvolve(noise[:, axis], kernels[axis], mode="valid") * SPREAD_DEGREES[axis]
            for axis in range(3)
        ],
        axis=1,
    )
    spline = CubicSpline(np.arange(len(pose)) / GRID, pose)
    result: Float64[np.ndarray, "cells 3"] = spline(process_time)
    return result


def _kernel(corner: float, fall: float) -> Float64[np.ndarray, " taps"]:
    """Symmetric filter that gives white noise the fitted spectrum and unit variance."""
    length = int(_KERNEL_SECONDS * GRID) * 2
    frequency = np.fft.rfftfreq(length, 1.0 / GRID)
    amplitude = (1.0 + (frequency / corner) ** 2) ** (-fall / 2)
    amplitude *= 0.5 + 0.5 * np.cos(np.pi * np.clip((frequency - 2.0) / 0.8, 0.0, 1.0))
    kernel = np.fft.fftshift(np.fft.irfft(amplitude, length)) * np.hanning(length)
    return np.asarray(np.append(kernel, 0.0) / np.sqrt(np.sum(kernel**2)))


def slow_only(pose: Float64[np.ndarray, "cells N"]) -> Float64[np.ndarray, "cells N"]:
    """Low-pass filter on the grid: flat to about 2 Hz, closed at 3 Hz; zeros outside."""
    from scipy import signal

    kernel = signal.firwin(61, 2.3, window=("kaiser", 6.0), fs=GRID)
    result: Float64[np.ndarray, "cells N"] = signal.oaconvolve(
        pose, kernel[:, None], mode="same", axes=0
    )
    return result


def nods(
    level: Float32[np.ndarray, " T"], cells: int, random: np.random.Generator
) -> Float64[np.ndarray, "cells 3"]:
    """Nods in degrees: a short dip on stressed syllables, with slight counter-motion."""
    from scipy import signal

    times, heights = stressed_beats(level)
    size = _NOD_DEGREES * heights * np.exp(random.normal(-0.15, 0.5, len(times)))
    sign = np.where(random.random(len(times)) < _NOD_DOWN, 1.0, -1.0)
    others = random.normal(0.0, _NOD_TO_OTHERS, (len(times), 2)) * size[:, None]
    amounts = np.column_stack([size * sign, others])
    impulses = impulses_on_grid(times, amounts, cells)
    width = round(_NOD_SECONDS * GRID)
    dip = np.hanning(width + 2)[1:-1]
    swing = np.hanning(2 * width + 2)[1:-1]
    pulse = -0.35 * swing
    pulse[width // 2 : width // 2 + width] += dip
    result: Float64[np.ndarray, "cells 3"] = signal.oaconvolve(
        impulses, pulse[:, None], mode="same", axes=0
    )
    return result
