# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that commands write a Take to: --out, and formats for other programs beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import tyro

from shared.dialled import append_fields
from shared.take import Take, save_take
from shared.take_formats import TAKE_FORMATS

_BESIDE = tuple(form for form in TAKE_FORMATS if form.option)


class TakeFileOptions:
    """Mixin for a command with --out: adds an option for each other format of a Take."""

    def __init_subclass__(cls, **others: Any) -> None:
        super().__init_subclass__(**others)
        append_fields(
            cls,
            (
                (
                    form.option,
                    Annotated[Path | None, tyro.conf.arg(help=f"Also write {form.what} here.")],
                    None,
                )
                for form in _BESIDE
            ),
        )

    def write_take(self, take: Take, out: Path) -> list[Path]:
        """Write the Take to `out` and in the other requested formats; returns all paths."""
        save_take(take, out)
        written = [out]
        for form in _BESIDE:
            path: Path | None = getattr(self, form.option)
            if path is not None:
                form.write(take, path)
                written.append(path)
        return written
