# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams sound in pieces of any size through the network; outputs come once they are certain.

Features, their reference and the network all look a bounded time ahead, so a voice that is still
being spoken gives the same result as the finished recording, in constant memory.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32

from backend.audio.log_mel import BANDS, HOP, log_mel, normalise
from backend.audio.reference import BLOCK, HISTORY, block_means, block_sums, frame_means
from backend.audio_to_mesh.heard import Heard, no_frames
from backend.audio_to_mesh.motion_model import MotionModel
from backend.audio_to_mesh.speaker import style_vector

# Samples on either side of a frame's centre that its features depend on.
_WINDOW = 256
# Long stretches go through the network in parts of this many frames.
_PART = 2400
# Live frames are computed this many at a time, each time with new sound.
LIVE_HOP = 4
_LIVE_TOGETHER = 50


class Listener:
    """The network's output, frame by frame at 100 Hz; `push` sound, then `finish`.

    `look_ahead` is how many later frames the network hears at each frame; None for as many as it
    can use, which is best. With fewer, the network runs again for every `LIVE_HOP` frames and hears
    nothing after their look-ahead, as a live performance requires.
    """

    def __init__(
        self,
        model: MotionModel,
        style: Float32[np.ndarray, " D"] | None = None,
        look_ahead: int | None = None,
    ) -> None:
        self._model = model
        self._style = style_vector() if style is None else style
        self._margin = model.context + model.context % 2
        self._ahead = look_ahead
        self._samples = np.zeros(_WINDOW, np.float32)
        """Sound from `_WINDOW` samples before frame `_featured` on."""
        self._received = 0
        self._featured = 0
        self._done = 0
        self._features = np.zeros((0, BANDS), np.float32)
        """Normalised features from frame `_first` on."""
        self._first = 0
        self._block = np.zeros((0, BANDS), np.float32)
        """Features of the unfinished block of the reference."""
        self._sums = np.zeros((0, BANDS), np.float32)
        self._levels = np.zeros(0, np.float32)
        self._mean_before: Float32[np.ndarray, " bands"] | None = None

    def push(self, samples: Float32[np.ndarray, " S"]) -> Heard:
        """Take mono sound at 16 kHz; returns the frames that are certain now, possibly none."""
        self._received += len(samples)
        self._samples = np.concatenate([self._samples, samples.astype(np.float32, copy=False)])
        # The last frame whose window is complete.
        self._take_features((len(self._samples) - 2 * _WINDOW) // HOP + 1)
        return self._listen(self._featured)

    def finish(self) -> Heard:
        """The remaining frames; silence follows the end."""
        self._samples = np.concatenate([self._samples, np.zeros(2 * _WINDOW, np.float32)])
        self._take_features(self._received // HOP + 1 - self._featured)
        return self._listen(self._featured, ended=True)

    def _take_features(self, count: int) -> None:
        """Compute the next `count` frames of features and normalise them."""
        if count <= 0:
            return
        # Frame 0 of the kept sound lies `_WINDOW` samples before the next frame.
        offset = (_WINDOW + HOP - 1) // HOP
        lead = offset * HOP - _WINDOW
        sound = np.concatenate([np.zeros(lead, np.float32), self._samples])
        features = log_mel(sound, offset, offset + count)
        self._samples = self._samples[count * HOP :]
        self._featured += count
        normal = self._normalised(features)
        self._features = np.concatenate([self._features, normal])

    def _normalised(
        self, features: Float32[np.ndarray, "T bands"]
    ) -> Float32[np.ndarray, "T bands"]:
        """Features of new frames relative to their references; keeps the history it needs."""
        held = np.concatenate([self._block, features])
        sums, levels = block_sums(held)
        known = len(self._sums)
        all_sums = np.concatenate([self._sums, sums])
        all_levels = np.concatenate([self._levels, levels])
        means = block_means(all_sums, all_levels, self._model.profile)[known:]
        before = means[0] if self._mean_before is None else self._mean_before
        reference = frame_means(before, means, len(self._block), len(held))
        self._sums, self._levels = all_sums[-HISTORY:], all_levels[-HISTORY:]
        if len(sums):
            self._mean_before = means[len(sums) - 1]
        self._block = held[len(sums) * BLOCK :]
        return normalise(features, reference)

    def _listen(self, available: int, ended: bool = False) -> Heard:
        """Run the network on all frames whose look-ahead is among the `available` ones."""
        if self._ahead is not None:
            return self._listen_live(available, self._ahead, ended)
        parts = []
        while True:
            certain = available if ended else (available - self._margin) // 2 * 2
            stop = min(certain, self._done + _PART)
            if stop <= self._done:
                break
            low = max(self._done - self._margin, 0)
            high = min(stop + self._margin, available)
            heard = self._run(self._features[None, low - self._first : high - self._first])[0]
            parts.append(heard.slice(self._done - low, stop - low))
            self._advance(stop)
        return Heard.join(parts) if parts else no_frames()

    def _listen_live(self, available: int, ahead: int, ended: bool) -> Heard:
        parts = []
        while self._done < available:
            hops = (available - ahead - self._done) // LIVE_HOP
            if hops < 1 and not ended:
                break
            # Equal windows go through the network together; the first and the last are shorter.
            alike = 1 if hops < 1 or self._done < self._margin else min(hops, _LIVE_TOGETHER)
            stop = self._done + LIVE_HOP
            low, high = max(self._done - self._margin, 0), min(stop + ahead, available)
            kept = slice(self._done - low, min(stop, available) - low)
            starts = low - self._first + LIVE_HOP * np.arange(alike)
            windows = np.stack([self._features[n : n + high - low] for n in starts])
            parts += [heard.slice(kept.start, kept.stop) for heard in self._run(windows)]
            self._advance(min(self._done + LIVE_HOP * alike, available))
        return Heard.join(parts) if parts else no_frames()

    def _run(self, windows: Float32[np.ndarray, "B T bands"]) -> list[Heard]:
        if windows.shape[1] % 2:
            # The network works on pairs of frames, and pads its edges with zeros anyway.
            windows = np.pad(windows, ((0, 0), (0, 1), (0, 0)))
        return self._model.listen(windows, self._style)

    def _advance(self, done: int) -> None:
        self._done = done
        first = max(done - self._margin, 0)
        self._features = self._features[first - self._first :]
        self._first = first


def hear(
    samples: Float32[np.ndarray, " S"],
    model: MotionModel,
    style: Float32[np.ndarray, " D"] | None = None,
) -> Heard:
    """The network's output for a whole clip: mono `samples` at 16 kHz."""
    listener = Listener(model, style)
    return Heard.join([listener.push(samples), listener.finish()])
