# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests inside Blender's own Python: the BUILT zip is installed in a user folder of its own.

Run with an interpreter that has bpy (.venv/blender45 or .venv/blender52). Everything here goes
through the installed extension, never through the checkout's `blender_addon`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.patience import PATIENCE

from .scripted_backend import ScriptedBackend
from .talking_video import FRAMES

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PACKAGE = "bl_ext.user_default.vividkeys"

if importlib.util.find_spec("bpy") is None:
    # The backend's interpreter has no Blender; `install.py test` runs this folder in those that do.
    collect_ignore_glob = ["*"]


@pytest.fixture(scope="session")
def built_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension's zip for this Blender and this machine, built as for a release."""
    import bpy

    from installer import extension_zip, wheels

    wanted = "4.5" if bpy.app.version < (5, 1, 0) else "5.1"
    target = next(t for t in extension_zip.targets_for_this_machine() if t.blender == wanted)
    wheels.fetch([target.wheel])
    return extension_zip.build(target, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def user_resources() -> Iterator[Path]:
    """Blender's user folder; it has to be set before bpy is imported for the first time."""
    folder = Path(os.environ["BLENDER_USER_RESOURCES"])
    yield folder


@pytest.fixture(scope="session")
def installed(built_zip: Path, user_resources: Path) -> Iterator[str]:
    """The extension, installed from the zip and enabled; the name of its package."""
    import addon_utils
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(
        filepath=str(built_zip), repo="user_default", enable_on_install=True, overwrite=True
    )
    # The operator says FINISHED even when it refused the zip.
    assert addon_utils.check(PACKAGE) == (True, True)
    yield PACKAGE


# Limits in seconds that a busy machine could break, in whichever module of the extension.
LIMITS = ("SILENCE_SECONDS", "_WELCOME_SECONDS", "_ANSWER_SECONDS", "DISCONNECT_SECONDS")


@pytest.fixture
def patient_limits(installed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test meets such a limit by chance; one that is about it sets it for itself."""
    modules = [module for name, module in sys.modules.items() if name.startswith(installed)]
    for limit in LIMITS:
        having = [module for module in modules if hasattr(module, limit)]
        assert having, f"{limit} is gone"
        for module in having:
            monkeypatch.setattr(module, limit, PATIENCE)


@pytest.fixture
def blender(installed: str, patient_limits: None) -> Iterator[Any]:
    """bpy with an empty file; the extension stays enabled and forgets what it knew."""
    import bpy

    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    work = importlib.import_module(f"{installed}.jobs.work")
    work.close()
    yield bpy
    work.close()


@pytest.fixture
def addon(installed: str) -> Callable[[str], Any]:
    """Modules of the installed extension by their name: addon('keying'), addon('shared.take')."""

    def module(name: str) -> Any:
        return importlib.import_module(f"{installed}.{name}")

    return module


@pytest.fixture
def make_face(addon: Callable[[str], Any]) -> Callable[..., Any]:
    """A made-up face: a bent grid of 22 x 22 vertices with 52 shapes and two materials."""

    def make(seed: int = 0, meta: dict[str, Any] | None = None, fields: int = 0) -> Any:
        random = np.random.default_rng(seed)
        side = 22
        line = np.linspace(-1.0, 1.0, side, dtype=np.float32)
        flat = np.stack(np.meshgrid(line * 0.08, line * 0.1), axis=-1).reshape(-1, 2)
        vertices = np.column_stack([flat[:, 0], 5 * (flat**2).sum(axis=1), flat[:, 1]])
        index = np.arange(side * side).reshape(side, side)
        corners = np.stack(
            [index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], axis=-1
        ).reshape(-1, 4)
        triangles = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])
        return addon("shared.face").FaceMesh(
            vertices=vertices.astype(np.float32),
            triangles=triangles.astype(np.int32),
            uvs=((flat / [0.16, 0.2]) + 0.5).astype(np.float32)[triangles],
            texture=random.integers(0, 256, (32, 48, 3)).astype(np.uint8),
            materials=("skin", "teeth"),
            triangle_material=(np.arange(len(triangles)) % 5 == 0).astype(np.int32),
            shapes=random.normal(0, 0.002, (52, side * side, 3)).astype(np.float32),
            meta=meta or {},
            offset_fields=random.normal(0, 0.001, (fields, side * side, 3)).astype(np.float32),
        )

    return make


@pytest.fixture
def make_take(addon: Callable[[str], Any]) -> Callable[..., Any]:
    """A made-up Take with every channel in motion; `seconds` long at 60 fps."""

    def make(seconds: float = 2.0, seed: int = 0, offsets: int = 0, vertices: int = 468) -> Any:
        random = np.random.default_rng(seed)
        frames = round(seconds * 60) + 1
        time = np.arange(frames)[:, None] / 60.0
        phase = random.random((1, 52)) * 6.0
        weights = 0.5 + 0.5 * np.sin(2 * np.pi * time * (0.5 + random.random((1, 52))) + phase)
        return addon("shared.take").Take(
            fps=60.0,
            weights=weights.astype(np.float32),
            head_rotation=(0.2 * np.sin(time * [1.0, 1.7, 2.3] + [0, 1, 2])).astype(np.float32),
            head_translation=(0.01 * np.cos(time * [1.1, 0.7, 2.0])).astype(np.float32),
            neutral=random.normal(0, 0.05, (vertices, 3)).astype(np.float32),
            triangles=np.array([[0, 1, 2], [1, 2, 3]], np.int32),
            offset_basis=random.normal(0, 0.001, (offsets, vertices, 3)).astype(np.float32),
            offset_weights=random.normal(0, 1.0, (frames, offsets)).astype(np.float32),
            meta={"seed": seed},
        )

    return make


@pytest.fixture
def head(blender: Any, addon: Callable[[str], Any], make_face: Callable[..., Any]) -> Any:
    """A head made from `make_face`, chosen as the target."""
    made = addon("heads.scene").create_head(blender.context.scene, make_face(), "Kopf")
    addon("animation.targets").choose_targets(blender.context, [made])
    return made


@pytest.fixture
def make_plan(blender: Any, addon: Callable[[str], Any]) -> Callable[..., Any]:
    """A BakePlan for objects of the open file."""
    targets, baking = addon("animation.targets"), addon("animation.baking")

    def make(*meshes: Any, **changes: Any) -> Any:
        values: dict[str, Any] = {
            "name": "speech",
            "scene": targets.remember(blender.context.scene),
            "meshes": tuple(targets.remember(mesh) for mesh in meshes),
        }
        return baking.BakePlan(**{**values, **changes})

    return make


def keyed_values(addon: Callable[[str], Any], datablock: Any) -> dict[tuple[str, int], np.ndarray]:
    """All keys of the Action on a datablock: (data path, index) -> [n, 2] of frame and value."""
    bag = addon("versions").channelbag_of(datablock)
    found = {}
    for curve in bag.fcurves if bag is not None else ():
        flat = np.empty(len(curve.keyframe_points) * 2, np.float32)
        curve.keyframe_points.foreach_get("co", flat)
        found[(curve.data_path, curve.array_index)] = flat.reshape(-1, 2)
    return found


def shape_curve(addon: Callable[[str], Any], keys: Any, name: str) -> np.ndarray:
    """Frame and value [n, 2] of one shape key."""
    return keyed_values(addon, keys)[(f'key_blocks["{name}"].value', 0)]


def pytest_configure() -> None:
    # Before any test imports bpy.
    if "bpy" not in sys.modules:
        os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="vividkeys-blender-")


def pytest_unconfigure() -> None:
    folder = os.environ.get("BLENDER_USER_RESOURCES", "")
    if "vividkeys-blender-" in folder:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    path = tmp_path / "Satz ß.wav"
    samples = (8000 * np.sin(np.arange(16000) * 0.1)).astype("<i2")
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16000)
        sound.writeframes(samples.tobytes())
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "Anna.jpg"
    path.write_bytes(b"only the scripted backend sees this")
    return path


@pytest.fixture
def backend(blender, addon, tmp_path, make_take, make_face):
    with ScriptedBackend(addon, tmp_path) as scripted:
        scripted.results["animate"] = addon("shared.take").take_to_arrays(make_take(1.0))
        scripted.results["reconstruct"] = addon("shared.face").face_to_arrays(
            make_face(meta={"warnings": ["The photo shows 2 faces; the largest was taken."]})
        )
        addon("folders").unfinished_file().unlink(missing_ok=True)
        yield scripted


@pytest.fixture
def connected(blender, addon, backend):
    result = blender.ops.vividkeys.connect_address(
        address=backend.address, key_file=str(backend.key_file)
    )
    assert result == {"FINISHED"}
    return addon("jobs.work").state()


@pytest.fixture(scope="session")
def films(installed, tmp_path_factory):
    """Two small films, as Blender itself writes them: 'large' and 'small', bytes."""
    import bpy

    versions = importlib.import_module(f"{installed}.versions")
    made = {}
    for name, width in (("large", 96), ("small", 64)):
        bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
        scene = bpy.context.scene
        strips = versions.strips_of(scene.sequence_editor_create())
        length = "length" if "length" in strips.bl_rna.functions["new_effect"].parameters else None
        end = {"length": FRAMES} if length else {"frame_end": 1 + FRAMES}
        strips.new_effect("colour", "COLOR", channel=1, frame_start=1, **end)
        render = scene.render
        render.resolution_x, render.resolution_y, render.resolution_percentage = width, 48, 100
        render.fps, render.fps_base = 24, 1.0
        scene.frame_end = FRAMES
        if hasattr(render.image_settings, "media_type"):  # Blender 5.0 and later
            render.image_settings.media_type = "VIDEO"
        render.image_settings.file_format = "FFMPEG"
        film = render.ffmpeg
        film.format, film.codec, film.audio_codec = "MPEG4", "H264", "AAC"
        render.use_file_extension = False
        render.filepath = str(tmp_path_factory.mktemp("film") / f"{name}.mp4")
        bpy.ops.render.render(animation=True, scene=scene.name)
        made[name] = Path(render.filepath).read_bytes()
    return made


@pytest.fixture
def speaking(blender, addon, connected, backend, head, voice, photo, films):
    """A head that speaks from frame 5 on, and a backend that makes films."""
    assert blender.ops.vividkeys.animate(audio_file=str(voice), start_frame=5) == {"FINISHED"}
    blender.context.scene.vividkeys.image_file = str(photo)
    backend.submits.clear()

    def film(submit):
        return films["small" if submit.params["preview"] else "large"]

    backend.files["render"] = film
    backend.infos["render"] = {"frames": FRAMES, "warnings": ["The photo is small."]}
    return blender.context.scene
