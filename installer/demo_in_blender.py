# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's part inside Blender's module: does with the extension what an animator would do.

Started by installer/demo.py as `python -m installer.demo_in_blender` in .venv/blender45. What a
person should see goes out in lines that begin with the marker SHOWN, a sentence about a failure
that is the input's in one that begins with FAILED; everything else is Blender's and goes to a log.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .demo import FAILED, REFUSED, SHOWN
from .paths import LOGS, shown

EXTENSION = "bl_ext.user_default.vividkeys"
FRAMES_PER_SECOND = 30
_EXPORTS = (
    ("TAKE", "performance.take.npz"),
    ("LIVE_LINK", "livelink.csv"),
    ("GLB", "head.glb"),
    ("FBX", "head.fbx"),
)


def show(text: str) -> None:
    """Print a line at once."""
    print(f"{SHOWN}{text}", flush=True)


@contextmanager
def stage(title: str) -> Iterator[None]:
    """Says what is done, and afterwards how long it took."""
    show(f"{title} ...")
    started = time.monotonic()
    yield
    show(f"{title}: done in {time.monotonic() - started:.1f} s")


class Teller(threading.Thread):
    """Tells how far the extension's job is, while its operator blocks; reads, changes nothing."""

    def __init__(self, work: Any) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._stopped = threading.Event()

    def run(self) -> None:
        told = ""
        while not self._stopped.wait(1.0):
            job = self._work.job
            text = f"  {job.fraction:4.0%}  {job.sentence}" if job is not None else told
            if text != told:
                show(text)
                told = text

    def stop(self) -> None:
        self._stopped.set()
        self.join()


@contextmanager
def told_progress(work: Any) -> Iterator[None]:
    """Print the progress of the job under way while the body runs."""
    teller = Teller(work)
    teller.start()
    try:
        yield
    finally:
        teller.stop()


def _operators() -> Any:
    """The extension's operators, which Blender's own types do not know."""
    import bpy

    return bpy.ops.vividkeys  # type: ignore[attr-defined]


def install_extension(archive: Path) -> None:
    """Installs the built zip as a user would, and checks that Blender accepted it."""
    import addon_utils
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(
        filepath=str(archive), repo="user_default", enable_on_install=True, overwrite=True
    )
    # The operator says FINISHED even where Blender refused the zip.
    if addon_utils.check(EXTENSION) != (True, True):
        raise RuntimeError(f"Blender did not enable the extension from {archive.name}")


def make_performance(options: argparse.Namespace, work: Any) -> Any:
    """Backend, head and keys by the extension's operators; returns the head object."""
    import bpy

    preferences = bpy.context.preferences.addons[EXTENSION].preferences
    preferences.backend_python = str(options.backend_python)
    preferences.backend_folder = str(options.checkout)
    # A machine that has just installed a gigabyte of packages reads them for the first time.
    preferences.start_seconds = 600.0
    with stage("Starting the backend"):
        _operators().connect_local()

    scene = bpy.context.scene
    scene.render.fps, scene.render.fps_base = FRAMES_PER_SECOND, 1.0
    scene.frame_start, scene.frame_end = 1, 1  # animate extends it to the performance
    scene.vividkeys.audio_file = str(options.audio)
    scene.vividkeys.image_file = str(options.image)
    with stage("Building the head from the photo"), told_progress(work):
        _operators().create_head(name="Head")
    tell_notice(work)
    head = bpy.data.objects["Head"]
    vertices, keys = len(head.data.vertices), len(head.data.shape_keys.key_blocks) - 1
    show(f"  {vertices} vertices, {keys} shape keys")
    with stage("Animating the head from the voice"), told_progress(work):
        _operators().animate()
    tell_notice(work)
    return head


def tell_notice(work: Any) -> None:
    """What the panel would say now, for instance that the photo shows two faces."""
    if work.notice is not None:
        for sentence in work.notice.sentences:
            show(f"  {sentence}")


def export_everything(folder: Path) -> None:
    """Export the performance in every format that the demo promises."""
    for kind, name in _EXPORTS:
        with stage(f"Writing {name}"):
            _operators().export(filepath=str(folder / name), format=kind)


def save_blend(path: Path) -> None:
    """Saves the scene with the sound inside, so that the one file can be given away."""
    import bpy

    for sound in bpy.data.sounds:
        if sound.packed_file is None:
            sound.pack()
    temporary = path.with_suffix(".part.blend")
    bpy.ops.wm.save_as_mainfile(filepath=str(temporary), copy=True, compress=True)
    temporary.replace(path)


def film(path: Path) -> None:
    """Write the preview film of the open scene."""
    import bpy

    from . import preview_film

    told = 0

    def progress(fraction: float) -> None:
        nonlocal told
        if int(fraction * 10) > told:
            told = int(fraction * 10)
            show(f"  {told * 10:3d} %")

    preview_film.render(bpy.context.scene, path, progress)


def run(options: argparse.Namespace) -> None:
    """The demo's part inside Blender, from installing the zip to the last file."""
    import bpy

    from . import preview_film

    with stage(f"Installing {options.zip.name} into Blender {bpy.app.version_string}"):
        install_extension(options.zip)
    work = sys.modules[f"{EXTENSION}.jobs.work"].state()
    try:
        head = make_performance(options, work)
        export_everything(options.out)
        with stage("Setting up camera and light"):
            preview_film.place_camera(bpy.context.scene, head)
            preview_film.set_look(bpy.context.scene)
        with stage("Writing head.blend"):
            save_blend(options.out / "head.blend")
        with stage("Rendering preview.mp4"):
            film(options.out / "preview.mp4")
    finally:
        if _operators().disconnect.poll():
            _operators().disconnect()
    if any(name == "shared" or name.startswith("blender_addon") for name in sys.modules):
        raise RuntimeError("the extension took code from the checkout instead of its own zip")


def main() -> int:
    """Run the demo's part; returns the exit status."""
    parser = argparse.ArgumentParser()
    for name in ("zip", "backend-python", "checkout", "audio", "image", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    options = parser.parse_args()
    # The user's own Blender settings stay out of this, and this out of them. The variable is
    # read when bpy is imported.
    with tempfile.TemporaryDirectory(prefix="vividkeys-demo-", ignore_cleanup_errors=True) as own:
        os.environ["BLENDER_USER_RESOURCES"] = own
        # Blender's folder for passing things would outlive our quick exit in the system's.
        os.environ["TMPDIR"] = os.environ["TEMP"] = own
        try:
            run(options)
        except RuntimeError as error:
            # Blender turns what an operator reports as an error into this.
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            if not lines or not lines[0].startswith("Error: "):
                raise
            sentence = lines[0].removeprefix("Error: ")
            for log in Path(own).rglob("backend.log"):  # its folder is about to vanish
                kept = shutil.copy(log, LOGS / "demo-backend.log")
                sentence = sentence.replace(str(log), shown(Path(kept)))
            print(f"{FAILED}{sentence}", flush=True)
            return REFUSED
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Blender's module sometimes crashes while Python tears it down; everything is written.
    os._exit(code)
