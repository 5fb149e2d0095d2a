# SPDX-License-Identifier: GPL-3.0-or-later
"""The direction of imports: add-on -> shared <- backend, and one direction inside backend."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# A folder of the backend may import those before it in its own row, itself, and shared.
MAY_IMPORT = {
    "media": set(),
    "audio": {"media"},
    "models": set(),
    "samples": set(),
    "mesh_files": {"media"},
    "rasterize": set(),
    "face": {"rasterize", "media", "models"},
    "transfer": {"rasterize", "face", "models"},
    "heads": {"rasterize", "mesh_files", "face", "transfer", "models"},
    "audio_to_mesh": {"audio", "face", "models"},
    "mesh_to_video": {"rasterize", "media", "audio", "face", "models"},
    "server": {
        "audio", "face", "transfer", "heads", "audio_to_mesh", "mesh_to_video", "models",
    },
    "training": {
        "rasterize", "media", "audio", "mesh_files", "face", "heads", "audio_to_mesh",
        "mesh_to_video", "models",
    },
    "evaluation": {
        "rasterize", "media", "audio", "face", "transfer", "heads", "audio_to_mesh",
        "mesh_to_video", "models", "samples", "server", "training",
    },
    "commands": {
        "audio", "mesh_files", "face", "transfer", "heads", "audio_to_mesh", "mesh_to_video",
        "models", "server", "training", "evaluation",
    },
}  # fmt: skip
# Modules beside the folders: everything in the backend may import them, they only shared.
LOW_MODULES = {"watch"}
HEAVY = {"torch", "mediapipe", "scipy", "soundfile", "av", "backend"}


def imported_modules(path: Path) -> set[str]:
    """Absolute names of all that a file imports, also inside functions."""
    package = path.relative_to(REPOSITORY).with_suffix("").parts[:-1]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join([*base, *([node.module] if node.module else [])])
            found.update({start, *(f"{start}.{alias.name}" for alias in node.names)})
    return found


def files_of(folder: str) -> list[Path]:
    return sorted((REPOSITORY / folder).rglob("*.py"))


def within(name: str, root: str) -> bool:
    return name == root or name.startswith(root + ".")


def test_shared_needs_numpy_only() -> None:
    import sys

    for path in files_of("shared"):
        for name in imported_modules(path):
            root = name.split(".")[0]
            assert root in sys.stdlib_module_names | {"numpy", "shared"}, f"{path} imports {name}"


def test_shared_imports_itself_relatively() -> None:
    """The extension carries shared/ inside it, where `import shared` would not be found."""
    for path in files_of("shared"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert not within(node.module or "", "shared"), f"{path} line {node.lineno}"


def test_blender_never_loads_the_backend() -> None:
    for path in files_of("blender_addon"):
        for name in imported_modules(path):
            assert name.split(".")[0] not in HEAVY, f"{path} imports {name}"


def test_the_backend_never_loads_blender() -> None:
    for path in files_of("backend"):
        for name in imported_modules(path):
            assert name.split(".")[0] not in {"bpy", "mathutils", "blender_addon"}, (
                f"{path} imports {name}"
            )


def test_every_folder_of_the_backend_has_its_place() -> None:
    folders = {
        path.parent.relative_to(REPOSITORY / "backend").parts[0]
        for path in files_of("backend")
        if path.parent != REPOSITORY / "backend"
    }
    assert folders <= set(MAY_IMPORT)


def test_modules_beside_the_folders_import_only_shared() -> None:
    for name in LOW_MODULES:
        for imported in imported_modules(REPOSITORY / "backend" / f"{name}.py"):
            assert not within(imported, "backend"), f"backend/{name}.py imports {imported}"


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_the_backends_folders_import_in_one_direction(folder: str) -> None:
    allowed = MAY_IMPORT[folder] | {folder}
    for path in files_of(f"backend/{folder}"):
        for name in imported_modules(path):
            parts = name.split(".")
            if parts[0] == "backend" and len(parts) > 1 and parts[1] not in LOW_MODULES:
                assert parts[1] in allowed, f"{path} imports {name}"
