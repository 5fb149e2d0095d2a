# SPDX-License-Identifier: GPL-3.0-or-later
"""Load any sound or film file, as a path or as bytes, as one channel of float32 at 16 kHz.

The file is decoded, mixed and resampled in blocks, so that an hour of stereo needs little more
memory than its result (230 MB). An unusable file raises a `VividKeysError` with a sentence and a
next step; a partly usable one is used, and `Audio.warnings` says so.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from jaxtyping import Float32
from numpy.typing import NDArray

from backend.audio.channel_mix import ChannelStatistics, mix_weights, plain_mix
from backend.audio.decode import (
    CannotDecodeError,
    FfmpegStream,
    NoSoundTrackError,
    SoundfileStream,
    SoundStream,
)
from backend.audio.truncation import lacks_its_index, looks_broken_off
from backend.media.containers import OpenFile
from shared.errors import ErrorKind, VividKeysError

SAMPLE_RATE = 16_000
SHORTEST_SECONDS = 0.1
LONGEST_SECONDS = 2 * 3600.0

# Telephone speech has 8 kHz; below 2 kHz no speech is left. Studio equipment goes up to 768 kHz.
_LOWEST_RATE, _HIGHEST_RATE = 2_000, 1_000_000
# A sample beyond this cannot come from a recording: 16- and 24-bit integers stored as floats
# reach 8.4 million and are scaled back; larger values are treated like NaN.
_LARGEST_VALUE = 1e7
_MOST_UNUSABLE_SHARE = 0.01
_FORMATS = "WAV, FLAC, Ogg, Opus, MP3, AAC, M4A or AIFF file, or a film such as MP4, MOV or MKV"

_Opener = Callable[[OpenFile], SoundStream]


@dataclass(frozen=True, eq=False)
class Audio:
    """A voice, ready for the network.

    samples   one channel at `sample_rate` (always 16 kHz), finite, full scale = 1
    sha256    hexadecimal digest of the source's bytes as they were given
    duration  seconds
    warnings  sentences for the user about what had to be repaired
    """

    samples: Float32[np.ndarray, " S"]
    sample_rate: int = SAMPLE_RATE
    sha256: str = ""
    duration: float = 0.0
    name: str = ""
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.duration == 0.0:
            object.__setattr__(self, "duration", len(self.samples) / self.sample_rate)


def load_audio(source: Path | bytes, *, name: str = "") -> Audio:
    """Decode `source` (a path, or the bytes of a file) to mono float32 at 16 kHz.

    `name` is used for the sound in error sentences; a path has its own. Channels that carry sound
    are averaged (a dead one is ignored, one of opposite polarity is inverted).

    Raises `VividKeysError`: bad_audio for a source that is missing, unreadable, empty, not
    sound, without a sound track, shorter than 0.1 s or mostly NaN; too_large beyond 2 h.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        label = _quoted(name) if name else "The sound"
        data = bytes(source)
        if not data:
            raise _empty(label)
        return _load(io.BytesIO(data), label, name)
    path = Path(source)
    label = _quoted(name or path.name)
    try:
        if path.is_dir():
            raise _bad(f"{label} is a folder, not a sound file.", "Choose a file inside it.")
        if not path.exists():
            raise _bad(f"There is no file {label}.", "Check the path, or choose the file again.")
        if not path.is_file():
            raise _bad(f"{label} is not an ordinary file.", f"Choose a {_FORMATS}.")
        if path.stat().st_size == 0:
            raise _empty(label)
        with path.open("rb") as file:
            return _load(file, label, name or path.name)
    except PermissionError as error:
        raise _bad(
            f"{label} cannot be read: permission denied.",
            "Change the file's permissions, or copy it to a folder of your own.",
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _bad(
            f"{label} could not be read: {reason}.", "Check the disk or network that it is on."
        ) from error


def _load(file: OpenFile, label: str, name: str) -> Audio:
    samples, warnings = _decode(file, label)
    if len(samples) < round(SHORTEST_SECONDS * SAMPLE_RATE):
        raise _bad(
            f"{label} is shorter than {SHORTEST_SECONDS} seconds "
            f"({len(samples) / SAMPLE_RATE:.3f} s of sound).",
            "Choose a recording that holds at least a word.",
        )
    return Audio(
        samples=samples,
        sha256=_sha256(file),
        duration=len(samples) / SAMPLE_RATE,
        name=name,
        warnings=tuple(warnings),
    )


def _decode(file: OpenFile, label: str) -> tuple[NDArray[np.float32], list[str]]:
    """The whole sound [S] at 16 kHz, and warnings about it."""
    best: _Decoded | None = None
    has_no_track = False
    openers: tuple[_Opener, ...] = (SoundfileStream, FfmpegStream)
    for opener in openers:
        try:
            decoded = _decode_with(opener, file, label)
        except NoSoundTrackError:
            has_no_track = True
            continue
        except CannotDecodeError:
            continue
        if best is None or len(decoded.samples) > len(best.samples):
            best = decoded
        if not best.damaged and len(best.samples) > 0:
            break
    if best is None:
        if has_no_track:
            raise _bad(f"{label} has no sound track.", "Choose a file in which someone speaks.")
        if lacks_its_index(file):
            raise _bad(
                f"{label} is cut off: the index that belongs at its end is missing.",
                "Copy or record it again; the recording was probably interrupted.",
            )
        raise _bad(
            f"{label} is not a sound file that can be read, or its beginning is damaged.",
            f"Choose a {_FORMATS}; if it is one, export it again.",
        )
    return _checked(best, file, label)


@dataclass
class _Decoded:
    samples: NDArray[np.float32]
    damaged: bool
    unusable: int
    values: int


def _decode_with(opener: _Opener, file: OpenFile, label: str) -> _Decoded:
    """Decode with the plain mean; again only if the channels turn out to need another mix."""
    stream = opener(file)
    try:
        _check_rate(stream.rate, label)
        # The header, if it has a length, saves decoding two hours first.
        if (stream.declared_frames or 0) > _longest_frames(stream.rate):
            raise _too_long(label)
        statistics = ChannelStatistics(stream.channels) if stream.channels > 1 else None
        plain = plain_mix(stream.channels)
        decoded = _mix_and_resample(stream, plain, statistics, label)
    finally:
        stream.close()
    if statistics is None:
        return decoded
    weights = mix_weights(statistics)
    if np.allclose(weights, plain, rtol=0.0, atol=1e-6):
        return decoded
    stream = opener(file)
    try:
        return _mix_and_resample(stream, weights, None, label)
    finally:
        stream.close()


def _mix_and_resample(
    stream: SoundStream,
    weights: NDArray[np.float32],
    statistics: ChannelStatistics | None,
    label: str,
) -> _Decoded:
    resampler = (
        soxr.ResampleStream(stream.rate, SAMPLE_RATE, 1, dtype="float32", quality="HQ")
        if stream.rate != SAMPLE_RATE
        else None
    )
    longest = _longest_frames(stream.rate)
    out = bytearray()  # grows in place, where a list of blocks would need twice the memory
    unusable = values = 0
    for block in stream.blocks():
        if stream.frames > longest:
            raise _too_long(label)
        usable = np.abs(block) <= _LARGEST_VALUE  # False for NaN as well
        values += block.size
        if not usable.all():
            unusable += block.size - int(np.count_nonzero(usable))
            block = np.where(usable, block, np.float32(0.0))
        if statistics is not None:
            statistics.add(block)
        mono = block @ weights
        out += (resampler.resample_chunk(mono) if resampler else mono).tobytes()
    if resampler is not None:
        out += resampler.resample_chunk(np.zeros(0, np.float32), last=True).tobytes()
    samples = np.frombuffer(out, dtype=np.float32)
    return _Decoded(samples, stream.broken_off, unusable, values)


def _checked(
    decoded: _Decoded, file: OpenFile, label: str
) -> tuple[NDArray[np.float32], list[str]]:
    """Repair the samples where possible, refuse them otherwise."""
    samples, warnings = decoded.samples, []
    if len(samples) == 0:
        raise _bad(f"{label} contains no sound.", f"Choose a {_FORMATS}, with a voice in it.")
    if decoded.unusable:
        if decoded.unusable > _MOST_UNUSABLE_SHARE * decoded.values:
            share = decoded.unusable / decoded.values
            raise _bad(
                f"{label} is damaged: {share:.0%} of its samples are not usable numbers.",
                "Export the sound again, as 16- or 24-bit WAV for example.",
            )
        warnings.append(
            f"{label}: {decoded.unusable} samples were not usable numbers and count as silence."
        )
    if decoded.damaged or looks_broken_off(file):
        warnings.append(
            f"{label} is cut off or damaged; the {len(samples) / SAMPLE_RATE:.1f} s that "
            "could be read are used."
        )
    peak = float(max(samples.max(), -samples.min()))
    if peak > 2.0:  # a float file in integer units, or a mix far beyond full scale
        samples /= peak
        warnings.append(f"{label} reaches {peak:.3g} times full scale and was turned down.")
    offset = float(samples.mean(dtype=np.float64))
    if abs(offset) > 0.01:  # a constant is inaudible, but would count as loudness
        samples -= np.float32(offset)
    return samples, warnings


def _longest_frames(rate: int) -> int:
    """Two hours, and half a second for what codecs add at the ends."""
    return int((LONGEST_SECONDS + 0.5) * rate)


def _check_rate(rate: int, label: str) -> None:
    if not _LOWEST_RATE <= rate <= _HIGHEST_RATE:
        raise _bad(
            f"{label} claims {rate} samples per second, which cannot be speech.",
            "Export the sound again with 16,000 or 48,000 samples per second.",
        )


def _sha256(file: OpenFile) -> str:
    digest = hashlib.sha256()
    file.seek(0)
    while piece := file.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest()


def _quoted(name: str) -> str:
    return f"'{name}'"


def _bad(sentence: str, next_step: str) -> VividKeysError:
    return VividKeysError(ErrorKind.BAD_AUDIO, sentence, next_step)


def _empty(label: str) -> VividKeysError:
    return _bad(f"{label} is empty (0 bytes).", "Record or export the sound again.")


def _too_long(label: str) -> VividKeysError:
    return VividKeysError(
        ErrorKind.TOO_LARGE,
        f"{label} is longer than {LONGEST_SECONDS / 3600:.0f} hours.",
        "Cut it into parts and animate them one by one.",
    )
