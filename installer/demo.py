# SPDX-License-Identifier: GPL-3.0-or-later
"""`install.py demo`: a voice and a photo in, a talking head and its files out."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from . import setup_steps
from .demo_marks import FAILED, REFUSED, SHOWN
from .environments import BACKEND, BLENDER45
from .failure import SetupError
from .paths import LOGS, ROOT, shown
from .progress import child_environment, elapsed_text, say, tail

TALKING_PHOTO = "talking_photo.mp4"
RESULTS = (
    ("performance.take.npz", "the curves, for the library and for later"),
    ("head.blend", "the head with its action and the sound, for Blender"),
    ("head.glb", "the same for engines and viewers"),
    ("head.fbx", "the same for other programs"),
    ("livelink.csv", "the curves as Live Link Face writes them"),
    ("preview.mp4", "what it looks and sounds like"),
    (TALKING_PHOTO, "the photo itself, speaking"),
)


def check_inputs(audio: Path, image: Path, out: Path) -> None:
    """Raises SetupError before anything long is started."""
    for path, what, option in ((audio, "voice", "--audio"), (image, "photo", "--image")):
        if not path.is_file():
            raise SetupError(
                f"There is no {what} at {shown(path)}.", f"Name an existing file with {option}."
            )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(
            f"The folder {shown(out)} cannot be made: {error.strerror}.", "Name another with --out."
        ) from error


def run(audio: Path, image: Path, out: Path) -> int:
    """Sets up what is missing, makes the head, lists the files; returns the exit code."""
    check_inputs(audio, image, out)
    started = time.monotonic()
    setup_steps.backend()
    setup_steps.blender45()
    zips = setup_steps.zips_for_this_machine()
    zip_for_45 = next(path for path in zips if "-blender4.5-" in path.name)
    for name, _ in RESULTS:  # an old result must not be taken for a new one
        (out / name).unlink(missing_ok=True)
    say(f"\nThe voice is {shown(audio)}, the photo {shown(image)}.")
    _run_in_blender(
        {
            "zip": zip_for_45, "backend-python": BACKEND.interpreter, "checkout": ROOT,
            "audio": audio, "image": image, "out": out,
        }
    )  # fmt: skip
    _render_photo(audio, image, out)
    absent = [name for name, _ in RESULTS if not (out / name).is_file()]
    if absent:
        raise SetupError(
            f"The demo ended without {', '.join(absent)}.", f"Look at {shown(LOGS / 'demo.log')}."
        )
    say(f"\nDone in {elapsed_text(time.monotonic() - started)}. In {shown(out)}:")
    for name, use in RESULTS:
        size = (out / name).stat().st_size / 1e6
        say(f"  {name:<21} {size:7.2f} MB  {use}")
    return 0


def _render_photo(audio: Path, image: Path, out: Path) -> None:
    """The Take once more, on the photo: a talking-head video."""
    say("Rendering the photo as a video")
    take = out / "performance.take.npz"
    command = [str(BACKEND.interpreter), "-m", "backend", "render", str(take)]
    for option, value in (("image", image), ("audio", audio), ("out", out / TALKING_PHOTO)):
        command += [f"--{option}", str(value)]
    command += ["--size", "512"]
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / "render.log"
    with log.open("w", encoding="utf-8") as record:
        finished = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=record, stderr=subprocess.STDOUT, cwd=ROOT,
            env=child_environment(PYTHONUNBUFFERED="1"),
        )  # fmt: skip
    if finished.returncode != 0:
        raise SetupError(
            f"The video could not be rendered (exit code {finished.returncode}).",
            f"The whole log: {shown(log)}", tail(log),
        )  # fmt: skip


def _run_in_blender(paths: dict[str, Path]) -> None:
    """Runs the script in Blender's module; shows its own lines, keeps Blender's in a log."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / "demo.log"
    command = [str(BLENDER45.interpreter), "-m", "installer.demo_in_blender"]
    for name, path in paths.items():
        command += [f"--{name}", str(path)]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, encoding="utf-8", errors="replace", cwd=ROOT,
        env=child_environment(PYTHONUNBUFFERED="1"),
    )  # fmt: skip
    refusal = ""
    assert process.stdout is not None
    with log.open("w", encoding="utf-8") as record:
        try:
            for line in process.stdout:
                record.write(line)
                # Blender writes its own lines without waiting for ours to end.
                _, shown_mark, text = line.rstrip("\n").partition(SHOWN)
                _, failed_mark, sentence = line.rstrip("\n").partition(FAILED)
                if failed_mark:
                    refusal = sentence
                elif shown_mark:
                    say(text)
        except KeyboardInterrupt:
            process.terminate()
            raise
        finally:
            code = process.wait()
    if code == REFUSED:
        raise SetupError(refusal, f"The whole log: {shown(log)}")
    if code != 0:
        raise SetupError(
            f"The demo stopped inside Blender (exit code {code}).",
            f"The whole log: {shown(log)}", tail(log),
        )  # fmt: skip
