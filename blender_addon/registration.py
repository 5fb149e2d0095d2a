# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that Blender has to know of, in order; taken back in the reverse order."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

import bpy

from . import operators
from .interface import panels
from .jobs import work
from .settings import preferences, properties


def operator_modules() -> tuple[ModuleType, ...]:
    """The modules of the folder `operators` that have classes to register, by name."""
    names = sorted(module.name for module in iter_modules(operators.__path__))
    modules = (import_module(f"{operators.__name__}.{name}") for name in names)
    return tuple(module for module in modules if hasattr(module, "CLASSES"))


def classes() -> tuple[type[Any], ...]:
    """All classes in the order in which they are registered.

    Properties come before the operators that share them, and sub-panels after their panels; the
    operators do not refer to one another.
    """
    modules = (preferences, properties, *operator_modules(), panels)
    return tuple(registered for module in modules for registered in module.CLASSES)


def register_all() -> None:
    """For `blender_addon.register`."""
    for registered in classes():
        bpy.utils.register_class(registered)
    properties.register()


def unregister_all() -> None:
    """For `blender_addon.unregister`: also ends threads, timers and a backend of ours."""
    work.close()
    properties.unregister()
    for registered in reversed(classes()):
        bpy.utils.unregister_class(registered)
