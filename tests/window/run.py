# SPDX-License-Identifier: GPL-3.0-or-later
"""Start a Blender with a window, run in_window.py in it, and take a picture of the panel."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(REPOSITORY))

from installer import extension_zip, wheels  # noqa: E402

SAMPLES = REPOSITORY / "backend" / "samples"
SIZE = (1280, 800)
SECONDS = 400.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--blender", default="blender", help="the program, inside --chroot if given"
    )
    parser.add_argument("--chroot", type=Path, help="a Debian tree with Blender in it (needs root)")
    parser.add_argument("--picture", type=Path, help="where to write the screenshot, a .png")
    parser.add_argument("--video-picture", type=Path, help="another one, of the talking video")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        root = options.chroot.resolve() if options.chroot else Path("/")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=root / "tmp")))
        if options.chroot:
            stack.enter_context(mounted(root))
            display = stack.enter_context(virtual_screen())
        else:
            display = os.environ.get("DISPLAY", "")
        backend = stack.enter_context(running_backend(folder, root))
        result = run_blender(options, root, folder, display, backend)
    print(json.dumps(result, indent=1))
    return 1 if result.get("error", "no result") else 0


def run_blender(
    options: argparse.Namespace, root: Path, folder: Path, display: str, plan: dict[str, str]
) -> dict[str, object]:
    """Install the zip, open the window, wait for the result; {} when there was none."""

    def inside(path: Path) -> str:
        return "/" + str(path.relative_to(root))

    shutil.copy(Path(__file__).with_name("in_window.py"), folder)
    (folder / "plan.json").write_text(json.dumps(plan))
    environment = {
        "HOME": inside(folder),
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "DISPLAY": display,
        "BLENDER_USER_RESOURCES": inside(folder / "user"),
        "VIVIDKEYS_WINDOW": inside(folder),
        "LIBGL_ALWAYS_SOFTWARE": "1",
    }
    (folder / "user").mkdir()
    command = ["chroot", str(root)] if options.chroot else []
    command += ["env", *(f"{name}={value}" for name, value in environment.items())]
    command.append(options.blender)
    version = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"Blender (\d+)\.(\d+)", version.stdout)
    if found is None:
        raise SystemExit(f"This is no Blender: {options.blender}")
    wanted = "4.5" if (int(found[1]), int(found[2])) < (5, 1) else "5.1"
    target = next(t for t in extension_zip.targets_for_this_machine() if t.blender == wanted)
    wheels.fetch([target.wheel])
    built = extension_zip.build(target, folder / "dist")
    install = ["--command", "extension", "install-file", "-r", "user_default", "-e", inside(built)]
    subprocess.run([*command, *install], check=True, timeout=120)
    # A file as argument keeps the splash screen away.
    empty = inside(folder / "empty.blend")
    save = f"import bpy; bpy.ops.wm.save_as_mainfile(filepath={empty!r})"
    subprocess.run([*command, "-b", "--python-expr", save], check=True, timeout=120)
    (folder / "empty.blend").touch()
    with subprocess.Popen(
        [
            *command,
            "-p",
            "0",
            "0",
            *map(str, SIZE),
            empty,
            "--python",
            inside(folder / "in_window.py"),
        ]
    ) as blender:
        deadline = time.monotonic() + SECONDS
        while blender.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
            for moment, picture in (("", options.picture), ("_video", options.video_picture)):
                taken = folder / f"taken{moment}"
                if (folder / f"pose{moment}").exists() and not taken.exists():
                    if picture:
                        take_picture(display, picture, folder)
                    taken.touch()
        if blender.poll() is None:
            blender.kill()
    result = folder / "result.json"
    return json.loads(result.read_text()) if result.exists() else {}


def take_picture(display: str, picture: Path, folder: Path) -> None:
    """The whole screen as PNG: Blender's own screenshot is black under Xvfb."""
    raw = folder / "screen.xwd"
    environment = {**os.environ, "DISPLAY": display}
    subprocess.run(["xwd", "-root", "-silent", "-out", str(raw)], env=environment, check=True)
    picture.parent.mkdir(parents=True, exist_ok=True)
    # /usr/bin: a program of the same name elsewhere on the PATH may be another one.
    convert = "/usr/bin/convert" if Path("/usr/bin/convert").exists() else "convert"
    subprocess.run([convert, f"xwd:{raw}", "-strip", str(picture)], check=True)


@contextlib.contextmanager
def virtual_screen() -> Iterator[str]:
    """Xvfb on a free display number."""
    number = next(n for n in range(78, 200) if not Path(f"/tmp/.X11-unix/X{n}").exists())
    display = f":{number}"
    size = "x".join(map(str, SIZE))
    server = subprocess.Popen(
        ["Xvfb", display, "-screen", "0", f"{size}x24", "+extension", "GLX", "-nolisten", "tcp"],
        stderr=subprocess.DEVNULL,
    )
    time.sleep(1.0)
    try:
        yield display
    finally:
        server.terminate()
        server.wait(10)


@contextlib.contextmanager
def mounted(root: Path) -> Iterator[None]:
    """proc and dev inside the tree, as Blender needs them."""
    proc, dev = root / "proc", root / "dev"
    subprocess.run(["mount", "-t", "proc", "proc", str(proc)], check=True)
    try:
        subprocess.run(["mount", "--rbind", "/dev", str(dev)], check=True)
        subprocess.run(["mount", "--make-rslave", str(dev)], check=True)
        try:
            yield
        finally:
            subprocess.run(["umount", "-R", "-l", str(dev)], check=False)
    finally:
        subprocess.run(["umount", str(proc)], check=False)


@contextlib.contextmanager
def running_backend(folder: Path, root: Path) -> Iterator[dict[str, str]]:
    """The real backend on this side; Blender reaches it by its address and a key file."""
    interpreter = REPOSITORY / ".venv" / "backend" / "bin" / "python"
    data, key_file = folder / "served", folder / "window.key"
    backend = [str(interpreter), "-m", "backend"]
    add = ["keys", "add", "window", "--data", str(data), "--out", str(key_file)]
    subprocess.run([*backend, *add], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    process = subprocess.Popen(
        [*backend, "serve", "--port", "0", "--data", str(data)],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lines.extend, args=(process.stdout,), daemon=True)
    reader.start()
    try:
        deadline = time.monotonic() + 120
        address = None
        while address is None:
            address = re.search(r"tcp://[\w.:]+", "".join(list(lines)))
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("The backend did not start:\n" + "".join(lines))
            time.sleep(0.1)
        plan = {"address": address[0], "key_file": "/" + str(key_file.relative_to(root))}
        for name, file in (("photo", "portrait.jpg"), ("voice", "speech.flac")):
            shutil.copy(SAMPLES / file, folder)
            plan[name] = "//" + file  # beside the open .blend file
        yield plan
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    sys.exit(main())
