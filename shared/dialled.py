# SPDX-License-Identifier: GPL-3.0-or-later
"""Dataclasses with a field per dial, so that no dial is spelled out twice."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar

from .dials import Dial
from .errors import ErrorKind, VividKeysError


class Dialled:
    """Base of a dataclass that has dials.

        @dataclass(frozen=True)
        class StyleDials(Dialled, dials=STYLE): ...

    The dials' fields follow the class's own, with the dials' defaults, and are floats. Type
    checkers cannot see them: a class whose dials are used by name declares them under
    `if TYPE_CHECKING`.
    """

    DIALS: ClassVar[tuple[Dial, ...]] = ()

    def __init_subclass__(cls, dials: Iterable[Dial] = (), **others: Any) -> None:
        super().__init_subclass__(**others)
        cls.DIALS = tuple(dials)
        append_fields(cls, ((dial.name, cls.field_type(dial), dial.default) for dial in cls.DIALS))

    @classmethod
    def field_type(cls, dial: Dial) -> Any:
        """The annotation of a dial's field: a number and its check."""
        return Annotated[float, dial.check]

    def dial_values(self, dials: Iterable[Dial] | None = None) -> dict[str, Any]:
        """The values of these dials, or of all dials of this class, by name."""
        return {
            dial.name: getattr(self, dial.name) for dial in (self.DIALS if dials is None else dials)
        }

    def check_dials(self) -> None:
        """Raises VividKeysError(bad_request) for a value outside its range."""
        for dial in self.DIALS:
            value = getattr(self, dial.name)
            if not (math.isfinite(value) and dial.lowest <= value <= dial.highest):
                raise VividKeysError(
                    ErrorKind.BAD_REQUEST,
                    f"The dial '{dial.name}' is {value}, which is not between {dial.lowest:g} and "
                    f"{dial.highest:g}.",
                    f"Choose a value in this range; {dial.default:g} is the usual one.",
                )


def append_fields(cls: type, fields: Iterable[tuple[str, Any, Any]]) -> None:
    """Add fields (name, type, default) to a class that is about to become a dataclass."""
    annotations = dict(inspect.get_annotations(cls))
    for name, kind, default in fields:
        annotations[name] = kind
        setattr(cls, name, default)
    cls.__annotations__ = annotations
