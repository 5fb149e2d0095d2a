# SPDX-License-Identifier: GPL-3.0-or-later
"""What telephones, radios and files do to a voice: real codecs, encoded and decoded in memory.

Which of them work depends on how PyAV's FFmpeg was built; missing ones are printed once. Every
codec delays the sound; the delay of each setting is measured once with noise and removed, so that
phone times stay correct.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import soxr
from jaxtyping import Float, Float32
from numpy.typing import NDArray

from backend.media.containers import open_container
from backend.training.corpus.utterance import SAMPLE_RATE

_LONGEST_DELAY = int(0.15 * SAMPLE_RATE)


@dataclass(frozen=True)
class Codec:
    """An FFmpeg encoder, its container, its sample rate (Hz) and the bit rates to draw from.

    Bit rates are in bits per second; 0 means that the codec has only one.
    """

    encoder: str
    container: str
    rate: int
    bit_rates: tuple[int, ...] = (0,)
    layout: str = "mono"


CODECS = (
    Codec("libmp3lame", "mp3", 16_000, (24_000, 32_000, 48_000, 64_000)),
    Codec("libmp3lame", "mp3", 44_100, (32_000, 48_000, 64_000)),
    Codec("aac", "adts", 16_000, (16_000, 24_000, 32_000)),
    Codec("aac", "adts", 44_100, (32_000, 64_000)),
    Codec("libopus", "ogg", 16_000, (8_000, 12_000, 16_000, 24_000)),
    Codec("libopus", "ogg", 48_000, (12_000, 24_000)),
    Codec("g722", "g722", 16_000),
    Codec("libgsm", "gsm", 8_000),
    Codec("g726", "wav", 8_000, (16_000, 24_000, 32_000)),
    Codec("libopencore_amrnb", "amr", 8_000, (4_750, 6_700, 12_200)),
    Codec("pcm_mulaw", "wav", 8_000),
    Codec("pcm_alaw", "wav", 8_000),
    Codec("vorbis", "ogg", 16_000, (32_000, 64_000), "stereo"),
)


def _round_trip(
    samples: Float32[np.ndarray, " N"], codec: Codec, bit_rate: int
) -> Float32[np.ndarray, " M"]:
    """Encode and decode sound at 16 kHz; the result has the codec's own delay and length."""
    import av

    at_rate = soxr.resample(samples, SAMPLE_RATE, codec.rate) if codec.rate != 16_000 else samples
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=codec.container) as target:
        stream: Any = target.add_stream(codec.encoder, rate=codec.rate)
        stream.layout = codec.layout
        if bit_rate:
            stream.bit_rate = bit_rate
        stream.codec_context.options = {"strict": "experimental"}
        pcm = np.clip(np.round(at_rate * 32767.0), -32768, 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = codec.rate
        frame.pts = 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            target.mux(packet)
    buffer.seek(0)
    pieces: list[NDArray[np.float32]] = []
    rate = codec.rate
    resampler = av.AudioResampler(format="flt", layout="mono")
    with open_container(buffer, codec.container) as source:
        for frame in source.decode(audio=0):
            rate = frame.sample_rate
            frame.pts = None
            pieces += [p.to_ndarray()[0] for p in resampler.resample(frame)]
    decoded = np.concatenate(pieces)
    return decoded if rate == SAMPLE_RATE else soxr.resample(decoded, rate, SAMPLE_RATE)


def delay_between(
    reference: Float[np.ndarray, " N"],
    delayed: Float[np.ndarray, " M"],
    longest: int = _LONGEST_DELAY,
) -> int:
    """By how many samples `delayed` comes after `reference`, from their cross-correlation."""
    size = len(reference) + len(delayed)
    product = np.fft.rfft(delayed, size) * np.conj(np.fft.rfft(reference, size))
    correlation = np.fft.irfft(product, size)
    lags = np.concatenate([correlation[-longest:], correlation[: longest + 1]])
    return int(np.argmax(np.abs(lags))) - longest


@cache
def _delay(codec: Codec, bit_rate: int) -> int | None:
    """The delay of a setting in samples at 16 kHz; None where it does not work."""
    import av

    random = np.random.default_rng(0)
    noise = random.normal(0.0, 0.1, SAMPLE_RATE)
    noise *= np.repeat(random.uniform(0.0, 1.0, 100), SAMPLE_RATE // 100)
    # The telephone band, which all codecs preserve.
    spectrum = np.fft.rfft(noise)
    spectrum[: len(spectrum) // 40] = 0.0
    spectrum[len(spectrum) // 3 :] = 0.0
    probe = np.fft.irfft(spectrum).astype(np.float32)
    try:
        return delay_between(probe, _round_trip(probe, codec, bit_rate))
    except (av.FFmpegError, ValueError, KeyError, OSError) as error:
        print(f"codec {codec.encoder} is not usable here: {error}", flush=True)
        return None


@cache
def usable_codecs() -> tuple[Codec, ...]:
    """The codecs that work in this installation; the others are printed, once per process."""
    return tuple(c for c in CODECS if _delay(c, c.bit_rates[0]) is not None)


def through_codec(
    samples: Float32[np.ndarray, " N"], codec: Codec, bit_rate: int
) -> Float32[np.ndarray, " N"]:
    """`samples` at 16 kHz after encoding and decoding: same length, no delay.

    Sound that cannot be encoded (too short, or the setting does not work) is returned unchanged.
    """
    delay = _delay(codec, bit_rate)
    if delay is None or len(samples) < SAMPLE_RATE // 10:
        return samples
    # Codecs drop the end of the sound that is still in their buffers.
    padded = np.pad(samples, (0, _LONGEST_DELAY)).astype(np.float32)
    decoded = _round_trip(padded, codec, bit_rate)
    shifted = decoded[delay:] if delay >= 0 else np.pad(decoded, (-delay, 0))
    shifted = shifted[: len(samples)]
    return np.pad(shifted, (0, len(samples) - len(shifted))).astype(np.float32)


def random_codec(
    samples: Float32[np.ndarray, " N"], random: np.random.Generator
) -> Float32[np.ndarray, " N"]:
    """`samples` through a random codec and bit rate of those that work here."""
    codecs = usable_codecs()
    if not codecs:
        return samples
    codec = codecs[int(random.integers(len(codecs)))]
    bit_rate = int(codec.bit_rates[int(random.integers(len(codec.bit_rates)))])
    peak = max(float(np.abs(samples).max(initial=0.0)), 1e-6)
    level = np.float32(random.uniform(0.2, 0.9) / peak)
    return through_codec(samples * level, codec, bit_rate) / level
