# SPDX-License-Identifier: GPL-3.0-or-later
"""The dials that can be applied to a finished Take; `performance.style` applies them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .dialled import Dialled
from .dials import MOODS, STYLE
from .errors import ErrorKind, VividKeysError

__all__ = ["MOODS", "RANGES", "StyleDials", "dials_from"]

# The lowest and highest value of each dial.
RANGES: dict[str, tuple[float, float]] = {dial.name: (dial.lowest, dial.highest) for dial in STYLE}


@dataclass(frozen=True)
class StyleDials(Dialled, dials=STYLE):
    """How a performance is styled. The defaults change nothing; 0 removes a motion completely.

    Raises VividKeysError(bad_request) for a value outside its range.
    """

    if TYPE_CHECKING:

        def __init__(self, **dials: float) -> None: ...
        def __getattr__(self, name: str) -> float: ...

    def __post_init__(self) -> None:
        self.check_dials()

    @property
    def neutral(self) -> bool:
        """True when these dials change nothing."""
        return not self.turned()

    def turned(self) -> dict[str, float]:
        """The dials that are not at their default, to be recorded."""
        return {
            dial.name: float(getattr(self, dial.name))
            for dial in STYLE
            if getattr(self, dial.name) != dial.default
        }


def dials_from(values: Mapping[str, Any]) -> StyleDials:
    """The dials that `turned` recorded. Raises VividKeysError(bad_request) for anything else."""
    if not set(values) <= set(RANGES) or any(type(v) not in (int, float) for v in values.values()):
        raise VividKeysError(
            ErrorKind.BAD_REQUEST, "These are not style dials.", "Set the dials again."
        )
    return StyleDials(**{name: float(value) for name, value in values.items()})
