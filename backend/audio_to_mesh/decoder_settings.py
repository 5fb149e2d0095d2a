# SPDX-License-Identifier: GPL-3.0-or-later
"""The decoder's settings, and the text file that holds them beside the weights they belong to.

The shipped values, and what each of them means, are in `backend/models/motion_decoder.toml`.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from backend.audio_to_mesh.channels import CHANNELS
from backend.models import FOLDER
from shared.errors import ErrorKind, VividKeysError
from shared.whole_files import write_whole

SHIPPED_DECODER = FOLDER / "motion_decoder.toml"
PLAIN_GAINS = (1.0,) * len(CHANNELS)


@dataclass(frozen=True)
class DecoderSettings:
    """Thresholds on event probabilities, times in frames of 10 ms, and one gain per channel."""

    seal_on: float
    seal_off: float
    seal_early: int
    seal_gap: int
    seal_shortest: int
    seal_attack: int
    seal_release: int
    narrowing: float
    narrowed_at: float
    rest_on: float
    rest_off: float
    rest_early: int
    rest_shortest: int
    rest_trim: int
    rest_ramp: int
    tuck_floor: float
    tuck_power: float
    smoothing: int
    expected: float
    expected_smoothing: int
    lead: int
    gains: tuple[float, ...]

    @property
    def ahead(self) -> int:
        """How many later frames a frame depends on."""
        seal = self.seal_early + self.seal_gap + self.seal_shortest + self.seal_attack + 1
        rest = self.rest_early + self.rest_shortest + self.rest_trim + self.rest_ramp + 1
        return max(seal, rest, self.smoothing // 2, self.expected_smoothing // 2, 2)

    def live(self) -> DecoderSettings:
        """The same thresholds with less than 0.12 s of look-ahead, for a live performance."""
        return replace(
            self,
            seal_early=2,
            seal_gap=1,
            seal_attack=3,
            rest_early=0,
            rest_shortest=3,
            rest_trim=1,
            rest_ramp=4,
        )


@lru_cache(maxsize=1)
def shipped_decoder() -> DecoderSettings:
    """The shipped settings. Raises VividKeysError(bad_file)."""
    return load_decoder(SHIPPED_DECODER)


def decoder_beside(weights: Path) -> Path:
    """Path of the decoder settings that belong to a weights file."""
    return weights.with_name(f"{weights.stem}_decoder.toml")


def decoder_of(weights: Path, described: str) -> DecoderSettings:
    """The decoder settings that belong to weights; their file lies beside the weights.

    `described`, the entry `decoder` of the weights' metadata, is the name of that file. In old
    weights it holds the settings themselves as JSON; if it is empty, the shipped ones apply.
    Raises VividKeysError(bad_file), also if the weights were moved without their settings.
    """
    beside = decoder_beside(weights)
    if beside.is_file():
        return load_decoder(beside)
    if not described:
        return shipped_decoder()
    if not described.startswith("{"):
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"'{beside.name}' is not beside the motion weights '{weights.name}' it belongs to.",
            "Put the two files in the same folder.",
        )
    try:
        values = json.loads(described)
        if "gains" in values:
            values["gains"] = tuple(values["gains"])
        return replace(shipped_decoder(), **values)
    except (ValueError, TypeError) as problem:
        raise _invalid(weights, str(problem)) from problem


def load_decoder(path: Path) -> DecoderSettings:
    """Read a settings file. Raises VividKeysError(bad_file) that says what is wrong in it."""
    try:
        values = tomllib.loads(path.read_text("utf-8"))
        gains = values.pop("gains")
        _check_names(gains, CHANNELS)
        plain = {field.name: str(field.type) for field in fields(DecoderSettings)}
        del plain["gains"]
        _check_names(values, plain)
        checked = {name: _number(name, values[name], kind) for name, kind in plain.items()}
        factors = tuple(float(_number(name, gains[name], "float")) for name in CHANNELS)
    except KeyError as problem:
        raise _invalid(path, f"missing {problem}") from problem
    except (OSError, ValueError) as problem:
        raise _invalid(path, str(problem)) from problem
    return DecoderSettings(**checked, gains=factors)


def save_decoder(settings: DecoderSettings, path: Path) -> None:
    """Write settings, with the comments of the shipped file. Raises OSError."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    values |= dict(zip(CHANNELS, values.pop("gains"), strict=True))
    text = SHIPPED_DECODER.read_text("utf-8")
    for name, value in values.items():
        text = re.sub(rf"(?m)^{name} = .*$", f"{name} = {value!r}", text)
    write_whole(path, text)


def _check_names(found: Mapping[str, Any], wanted: Mapping[str, Any] | tuple[str, ...]) -> None:
    problems = [
        f"{wrong} {', '.join(sorted(names))}"
        for wrong, names in (
            ("missing", set(wanted) - set(found)),
            ("unknown", set(found) - set(wanted)),
        )
        if names
    ]
    if problems:
        raise ValueError("; ".join(problems))


def _number(name: str, value: Any, kind: str) -> Any:
    if kind == "int" and type(value) is int and value >= 0:
        return value
    if kind == "float" and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    wanted = "a whole number, 0 or more" if kind == "int" else "a finite number"
    raise ValueError(f"{name} = {value} is not {wanted}")


def _invalid(path: Path, problem: str) -> VividKeysError:
    return VividKeysError(
        ErrorKind.BAD_FILE,
        f"The decoder settings in '{path.name}' are invalid: {problem}.",
        "Correct the file, or install VividKeys again.",
    )
