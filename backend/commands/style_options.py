# SPDX-License-Identifier: GPL-3.0-or-later
"""The dials as command-line options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from shared.dialled import Dialled
from shared.dials import Applied, Dial, applied


class DialOptions(Dialled):
    """Mixin for a command that has dials among its own options."""

    @classmethod
    def field_type(cls, dial: Dial) -> Any:
        return Annotated[float, tyro.conf.arg(help=dial.option_help)]


@dataclass(frozen=True)
class StyleOptions(DialOptions, dials=applied(Applied.CURVES)):
    """The style of the performance; no mood or amplitude opens lips that are closed."""
