# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the extension's zips: the add-on, shared/ inside it, one wheel, a manifest.

Needs no Blender. The same sources give the same bytes: fixed times, sorted names.
"""

from __future__ import annotations

import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from shared.whole_files import written_whole

from . import wheels
from .failure import SetupError
from .paths import DIST, ROOT, shown

_MANIFEST_TEMPLATE = "blender_manifest.toml.in"
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold
_LEFT_OUT_FOLDERS = frozenset({"__pycache__", "tests", "wheels", ".pytest_cache", ".mypy_cache"})
_LEFT_OUT_SUFFIXES = frozenset({".pyc", ".pyo", ".tmp", ".in", ".blend1"})


@dataclass(frozen=True)
class Target:
    """One zip: the Blender versions and the platforms that it is for."""

    blender: str  # "4.5" (up to 5.0) or "5.1" (and later)
    platform_name: str  # in the file name
    system: str  # in the words of wheels.WHEELS_BY_SYSTEM
    platforms: tuple[str, ...]  # in Blender's words

    @property
    def wheel(self) -> wheels.Wheel:
        python = "cp311" if self.blender == "4.5" else "cp312-abi3"
        return wheels.WHEELS_BY_SYSTEM[python, self.system]

    @property
    def version_limits(self) -> str:
        # Blender changed its Python from 3.11 to 3.13 with 5.1; max means "below this one".
        if self.blender == "4.5":
            return 'blender_version_min = "4.5.0"\nblender_version_max = "5.1.0"'
        return 'blender_version_min = "5.1.0"'

    def file_name(self, version: str) -> str:
        return f"vividkeys-{version}-blender{self.blender}-{self.platform_name}.zip"


_SYSTEMS = (
    ("linux-x64", "linux", ("linux-x64",)),
    ("macos", "macos", ("macos-arm64", "macos-x64")),
    ("windows-x64", "windows-x64", ("windows-x64",)),
    ("windows-arm64", "windows-arm64", ("windows-arm64",)),
)
TARGETS = tuple(
    Target(blender, name, system, platforms)
    for blender in ("4.5", "5.1")
    for name, system, platforms in _SYSTEMS
)


def targets_for_this_machine() -> list[Target]:
    """The zips that this machine's own Blenders can install: at most two."""
    system = wheels.this_system()
    return [target for target in TARGETS if target.system == system]


def product_version(root: Path = ROOT) -> str:
    """The version in shared/version.py, read without importing it."""
    text = (root / "shared" / "version.py").read_text("utf-8")
    match = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if not match:
        raise SetupError("shared/version.py holds no version.", "Restore the file.")
    return match[1]


def manifest(target: Target, root: Path = ROOT) -> str:
    """The text of blender_manifest.toml for one zip."""
    template = (root / "blender_addon" / _MANIFEST_TEMPLATE).read_text("utf-8")
    platforms = ", ".join(f'"{name}"' for name in target.platforms)
    values = {
        "VERSION": f'version = "{product_version(root)}"',
        "BLENDER_VERSIONS": target.version_limits,
        "PLATFORMS": f"platforms = [{platforms}]",
        "WHEELS": f'wheels = ["./wheels/{target.wheel.file_name}"]',
    }
    for name, value in values.items():
        template = template.replace(f"@{name}@", value)
    return template


def _source_files(folder: Path) -> list[Path]:
    """The files of a package that belong into the zip, sorted by their path."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LEFT_OUT_FOLDERS]
        for name in files:
            path = Path(parent) / name
            if path.suffix not in _LEFT_OUT_SUFFIXES and not name.startswith((".", "test_")):
                found.append(path)
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def contents(target: Target, root: Path = ROOT) -> dict[str, bytes]:
    """Everything in one zip, by its name inside. The wheel has to be in the cache."""
    entries: dict[str, bytes] = {}
    addon = root / "blender_addon"
    for path in _source_files(addon):
        entries[path.relative_to(addon).as_posix()] = path.read_bytes()
    for path in _source_files(root / "shared"):
        entries[f"shared/{path.relative_to(root / 'shared').as_posix()}"] = path.read_bytes()
    entries["LICENSE"] = (root / "LICENSE").read_bytes()
    entries["blender_manifest.toml"] = manifest(target, root).encode("utf-8")
    entries[f"wheels/{target.wheel.file_name}"] = target.wheel.path.read_bytes()
    return dict(sorted(entries.items()))


def build(target: Target, folder: Path = DIST, root: Path = ROOT) -> Path:
    """Writes one zip and returns its path; the old one stays if it is the same."""
    path = folder / target.file_name(product_version(root))
    with written_whole(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, data in contents(target, root).items():
            entry = zipfile.ZipInfo(name, _FIXED_TIME)
            entry.create_system = 3  # the same on Windows
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data, compresslevel=9)
    return path


def ensure(targets: list[Target]) -> list[Path]:
    """Fetches the wheels and builds the zips. Raises SetupError without wheel or network."""
    if not (ROOT / "blender_addon" / "__init__.py").is_file():
        raise SetupError(f"{shown(ROOT / 'blender_addon')} is not complete.", "Check it out anew.")
    wheels.fetch([target.wheel for target in targets])
    return [build(target) for target in targets]
