# SPDX-License-Identifier: GPL-3.0-or-later
"""The direction of imports: add-on -> shared <- backend, and one direction inside each of them.

A room is a folder or a file beside it. A table lists what each room may import besides itself, in
an order in which it only imports rooms above it: so there are no circles.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

MAY_IMPORT = {
    "watch": set(),
    "media": set(),
    "audio": {"media"},
    "models": set(),
    "samples": set(),
    "mesh_files": {"media"},
    "rasterize": set(),
    "face": {"watch", "rasterize", "media", "models"},
    "transfer": {"watch", "rasterize", "face", "models"},
    "heads": {"watch", "rasterize", "mesh_files", "face", "transfer", "models"},
    "audio_to_mesh": {"watch", "audio", "face", "models"},
    "mesh_to_video": {"watch", "rasterize", "media", "audio", "face", "models"},
    "server": {
        "watch", "audio", "face", "transfer", "heads", "audio_to_mesh", "mesh_to_video", "models",
    },
    "training": {
        "watch", "rasterize", "media", "audio", "mesh_files", "face", "heads", "audio_to_mesh",
        "mesh_to_video", "models",
    },
    "evaluation": {
        "watch", "rasterize", "media", "audio", "face", "transfer", "heads", "audio_to_mesh",
        "mesh_to_video", "models", "samples", "server", "training",
    },
    "commands": {
        "watch", "audio", "mesh_files", "face", "transfer", "heads", "audio_to_mesh",
        "mesh_to_video", "models", "server", "training", "evaluation",
    },
}  # fmt: skip
ROOMS_OF_TRAINING: dict[str, set[str]] = {
    "loop": set(),
    "corpus": set(),
    "teacher": {"corpus"},
    "fits": {"corpus", "teacher"},
    "head_pose": {"corpus", "loop"},
    "capture": {"corpus", "loop"},
    "motion": {"capture", "corpus", "loop", "teacher"},
    "video": {"capture", "loop"},
}
ROOMS_OF_VIDEO: dict[str, set[str]] = {
    "settings": set(),
    "film": set(),
    "frame": {"settings"},
    "networks": {"frame", "settings"},
    "frame_renderer": {"frame", "networks", "settings"},
    "on_device": {"film", "frame", "frame_renderer", "networks", "settings"},
    "check_settings": {"film", "settings"},
    "video": {"check_settings", "film", "frame", "frame_renderer", "on_device", "settings"},
}
ROOMS_OF_ADDON: dict[str, set[str]] = {
    "contracts": set(),
    "folders": set(),
    "versions": set(),
    "connection": {"contracts"},
    "mapping": {"contracts"},
    "video": {"contracts", "versions"},
    "animation": {"contracts", "mapping", "versions", "video"},
    "heads": {"animation", "contracts", "mapping", "versions"},
    "settings": {"animation", "connection", "contracts", "folders", "heads", "mapping"},
    "jobs": {
        "animation", "connection", "contracts", "folders", "heads", "mapping", "settings",
        "versions", "video",
    },
    "interface": {
        "animation", "contracts", "heads", "jobs", "settings", "versions", "video",
    },
    "operators": {
        "animation", "connection", "contracts", "folders", "heads", "interface", "jobs", "mapping",
        "settings", "video",
    },
    "registration": {"interface", "jobs", "operators", "settings"},
}  # fmt: skip
HOUSES = {
    "backend": MAY_IMPORT,
    "backend/training": ROOMS_OF_TRAINING,
    "backend/mesh_to_video": ROOMS_OF_VIDEO,
    "blender_addon": ROOMS_OF_ADDON,
}
MOST_ARROWS_OF_ADDON = 50
# What the extension's Python lacks.
HEAVY = {"torch", "mediapipe", "scipy", "soundfile", "av", "backend"}


class _WithoutTypeChecking(ast.NodeTransformer):
    """Drops what only a type checker reads."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        is_for_checkers = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return None if is_for_checkers and not node.orelse else self.generic_visit(node)


@cache
def imported_modules(path: Path, at_run_time: bool = False) -> frozenset[str]:
    """Absolute names of all that a file imports, also inside functions."""
    package = path.relative_to(REPOSITORY).with_suffix("").parts[:-1]
    found: set[str] = set()
    tree: ast.AST = ast.parse(path.read_text("utf-8"))
    for node in ast.walk(_WithoutTypeChecking().visit(tree) if at_run_time else tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join([*base, *([node.module] if node.module else [])])
            found.update({start, *(f"{start}.{alias.name}" for alias in node.names)})
    return frozenset(found)


def files_of(folder: str) -> list[Path]:
    return sorted((REPOSITORY / folder).rglob("*.py"))


def within(name: str, root: str) -> bool:
    return name == root or name.startswith(root + ".")


def test_shared_needs_numpy_only() -> None:
    import sys

    for path in files_of("shared"):
        for name in imported_modules(path, at_run_time=True):
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
        for name in imported_modules(path, at_run_time=True):
            assert name.split(".")[0] not in HEAVY | {"jaxtyping"}, f"{path} imports {name}"


def test_the_backend_never_loads_blender() -> None:
    for path in files_of("backend"):
        for name in imported_modules(path):
            assert name.split(".")[0] not in {"bpy", "mathutils", "blender_addon"}, (
                f"{path} imports {name}"
            )


def test_the_connection_never_loads_bpy() -> None:
    """It works on a thread, and its tests run without Blender."""
    for path in files_of("blender_addon/connection"):
        for name in imported_modules(path):
            assert name.split(".")[0] not in {"bpy", "mathutils", "bpy_extras"}, (
                f"{path} imports {name}"
            )


def room_of(path: Path, house: str) -> str:
    """The room of a file; '' for the file of the house itself."""
    parts = path.relative_to(REPOSITORY / house).with_suffix("").parts
    return "" if parts == ("__init__",) else parts[0]


def arrows_of(house: str) -> dict[tuple[str, str], str]:
    """Which room imports which other one, and an import that does."""
    rooms = {room_of(path, house) for path in files_of(house)} - {""}
    package = house.replace("/", ".")
    found = {}
    for path in files_of(house):
        room = room_of(path, house)
        for name in imported_modules(path):
            other = name.removeprefix(package + ".").split(".")[0]
            if name.startswith(package + ".") and other in rooms - {room}:
                found[(room, other)] = f"{path.relative_to(REPOSITORY)} imports {name}"
    return found


@pytest.mark.parametrize("house", HOUSES)
def test_rooms_import_in_one_direction(house: str) -> None:
    rooms = HOUSES[house]
    assert {room_of(path, house) for path in files_of(house)} - {"", "__main__"} <= set(rooms)
    for (room, other), example in arrows_of(house).items():
        # The file of the house itself starts everything.
        assert room in {"", "__main__"} or other in rooms[room], example


@pytest.mark.parametrize("house", HOUSES)
def test_the_tables_have_no_circles(house: str) -> None:
    rooms = HOUSES[house]
    above: set[str] = set()
    for room, allowed in rooms.items():
        assert allowed <= above, f"{room} imports a room below it: {allowed - above}"
        above.add(room)


def test_the_extensions_rooms_have_few_arrows() -> None:
    """What belongs together lies in one room, so that each room needs few others."""
    arrows = arrows_of("blender_addon")
    assert 0 < len(arrows) <= MOST_ARROWS_OF_ADDON, sorted(arrows)
