# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams sound in pieces of any size to curves of lips, jaw and face at any frame rate."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32

from backend.audio_to_mesh.decoder import BEHIND, RATE, at_frame_rate, decode
from backend.audio_to_mesh.decoder_settings import DecoderSettings
from backend.audio_to_mesh.heard import Heard, silent_frames
from backend.audio_to_mesh.lip_motion import DrivenFace, mean_face
from backend.audio_to_mesh.listener import Listener
from backend.audio_to_mesh.motion_model import MotionModel
from backend.audio_to_mesh.speaker import SpeakerStyle, style_vector
from shared.arkit import ARKIT_NAMES

# Look-ahead of the network in a live performance, in frames; the decoder's is added to it.
LIVE_LOOK_AHEAD = 6


class CurveStream:
    """`push` sound to get ARKit weights and offset weights, then `finish`.

    `face` is the face that speaks, by default the mean face. `live` keeps the total look-ahead
    below a quarter of a second, at some cost in accuracy.
    """

    def __init__(
        self,
        model: MotionModel,
        fps: float,
        articulation: float = 1.0,
        speaker: SpeakerStyle | None = None,
        face: DrivenFace | None = None,
        live: bool = False,
    ) -> None:
        self._fps = fps
        speaker, face = speaker or SpeakerStyle(), face or mean_face()
        self._manner = articulation, speaker.parted, face
        self._decoder: DecoderSettings = model.decoder.live() if live else model.decoder
        style = style_vector(speaker, face.identity)
        self._listener = Listener(model, style, LIVE_LOOK_AHEAD if live else None)
        # Silence is assumed before and after a recording, whatever it contains itself.
        self._around = silent_frames(self._decoder.rest_shortest)
        self._heard = self._around
        """Network outputs at 100 Hz from frame `_heard_first` on."""
        self._heard_first = -len(self._around)
        self._decoded = np.zeros((0, 0), np.float32)
        """Decoded frames at 100 Hz from frame `_decoded_first` on."""
        self._decoded_first = 0
        self._sent = 0

    def push(
        self, samples: Float32[np.ndarray, " S"]
    ) -> tuple[Float32[np.ndarray, "T 52"], Float32[np.ndarray, "T K"]]:
        """Feed mono sound at 16 kHz; returns the frames that are certain now, possibly none."""
        self._take(self._listener.push(samples), self._decoder.ahead)
        # A frame is interpolated between two at 100 Hz and needs both.
        certain = self._decoded_first + len(self._decoded) - 1 - self._decoder.lead
        return self._send(math.floor(certain / RATE * self._fps) + 1 if certain > 0 else 0)

    def finish(
        self, frame_count: int
    ) -> tuple[Float32[np.ndarray, "T 52"], Float32[np.ndarray, "T K"]]:
        """The remaining frames, up to `frame_count` in all."""
        self._take(Heard.join([self._listener.finish(), self._around]), 0)
        return self._send(frame_count)

    def _take(self, heard: Heard, ahead: int) -> None:
        """Decode what was heard, except for the last `ahead` frames."""
        self._heard = Heard.join([self._heard, heard])
        done = self._decoded_first + len(self._decoded)
        stop = self._heard_first + len(self._heard) - ahead
        if stop <= done:
            return
        rows = decode(self._heard, self._decoder, *self._manner)
        fresh = rows[done - self._heard_first : stop - self._heard_first]
        self._decoded = np.concatenate([self._decoded, fresh]) if self._decoded.size else fresh
        first = max(stop - BEHIND, self._heard_first)
        self._heard = self._heard.slice(first - self._heard_first, len(self._heard))
        self._heard_first = first

    def _send(self, stop: int) -> tuple[Float32[np.ndarray, "T 52"], Float32[np.ndarray, "T K"]]:
        start, self._sent = self._sent, max(stop, self._sent)
        if self._sent == start:
            width = self._decoded.shape[1] - len(ARKIT_NAMES) if self._decoded.size else 0
            return np.zeros((0, len(ARKIT_NAMES)), np.float32), np.zeros((0, width), np.float32)
        first = self._decoded_first - self._decoder.lead
        rows = at_frame_rate(self._decoded, first, start, self._sent, self._fps)
        keep = max(math.floor(self._sent / self._fps * RATE) - 1 - first, 0)
        self._decoded = self._decoded[keep:]
        self._decoded_first += keep
        return rows[:, : len(ARKIT_NAMES)], rows[:, len(ARKIT_NAMES) :]
