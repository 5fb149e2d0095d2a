# SPDX-License-Identifier: GPL-3.0-or-later
"""The contracts of `shared/`, wherever they lie.

The built extension carries `shared/` inside it; in the checkout it lies beside `blender_addon/`.
Every module of the add-on takes the contracts from here and so never asks where they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared import (
        arkit,
        arrays,
        backend_location,
        character,
        connection,
        dials,
        errors,
        face,
        formats,
        inbox,
        limits,
        messages,
        protocol,
        requests,
        shape_names,
        take,
        take_formats,
        version,
    )
    from shared.performance import style
else:
    from importlib import import_module
    from importlib.util import find_spec

    # Asked for rather than tried, so that a mistake inside shared/ is not taken for its absence.
    _PACKAGE = "shared" if find_spec(f"{__package__}.shared") is None else f"{__package__}.shared"

    arkit = import_module(f"{_PACKAGE}.arkit")
    arrays = import_module(f"{_PACKAGE}.arrays")
    backend_location = import_module(f"{_PACKAGE}.backend_location")
    character = import_module(f"{_PACKAGE}.character")
    connection = import_module(f"{_PACKAGE}.connection")
    dials = import_module(f"{_PACKAGE}.dials")
    errors = import_module(f"{_PACKAGE}.errors")
    face = import_module(f"{_PACKAGE}.face")
    formats = import_module(f"{_PACKAGE}.formats")
    inbox = import_module(f"{_PACKAGE}.inbox")
    limits = import_module(f"{_PACKAGE}.limits")
    messages = import_module(f"{_PACKAGE}.messages")
    protocol = import_module(f"{_PACKAGE}.protocol")
    requests = import_module(f"{_PACKAGE}.requests")
    shape_names = import_module(f"{_PACKAGE}.shape_names")
    style = import_module(f"{_PACKAGE}.performance.style")
    take = import_module(f"{_PACKAGE}.take")
    take_formats = import_module(f"{_PACKAGE}.take_formats")
    version = import_module(f"{_PACKAGE}.version")

__all__ = [
    "arkit",
    "arrays",
    "backend_location",
    "character",
    "connection",
    "dials",
    "errors",
    "face",
    "formats",
    "inbox",
    "limits",
    "messages",
    "protocol",
    "requests",
    "shape_names",
    "style",
    "take",
    "take_formats",
    "version",
]
