# SPDX-License-Identifier: GPL-3.0-or-later
"""The three environments: made, filled with the pinned packages, healed, and left alone when good.

A stamp inside each environment says which requirement files it holds, at which fingerprint and on
which Python. No stamp, or another one, means work to do; everything done is safe to repeat, so a
set-up that was interrupted is healed by starting it again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from shared.whole_files import write_whole

from . import interpreters
from .exclusive import only_one
from .failure import SetupError
from .paths import ENVIRONMENTS, LOGS, REQUIREMENTS, shown
from .progress import child_environment, run_logged, say
from .requirement_files import fingerprint, parse

STAMP_NAME = "vividkeys-stamp.json"

# Runs inside an environment: which packages are damaged (files of them are missing), and which
# versions are there. An interrupted pip leaves exactly such packages behind.
_INVENTORY = """
import importlib.metadata, json, os, re
versions, damaged = {}, []
for dist in importlib.metadata.distributions():
    name = dist.metadata["Name"]
    if not name:
        damaged.append(os.path.basename(str(dist._path)))
        continue
    name = re.sub(r"[-_.]+", "-", name).lower()
    versions[name] = dist.version
    files = dist.files
    if files is None or any(
        not os.path.exists(dist.locate_file(file)) for file in files if file.suffix != ".pyc"
    ):
        damaged.append(name)
print(json.dumps({"versions": versions, "damaged": damaged}))
"""


@dataclass(frozen=True)
class Environment:
    """One folder in .venv; `size` is said beforehand, so that nobody wonders about the wait."""

    name: str
    python: tuple[int, int]
    size: str
    imports: str = ""  # the modules that have to load, as `import` takes them
    folder_root: Path = ENVIRONMENTS

    @property
    def folder(self) -> Path:
        return self.folder_root / self.name

    @property
    def interpreter(self) -> Path:
        if os.name == "nt":
            return self.folder / "Scripts" / "python.exe"
        return self.folder / "bin" / "python"

    @property
    def stamp(self) -> Path:
        return self.folder / STAMP_NAME

    @property
    def log(self) -> Path:
        return LOGS / f"{self.name}.log"


@dataclass(frozen=True)
class Inventory:
    """What is installed: versions by normalised name, and the packages that lack files."""

    versions: dict[str, str]
    damaged: list[str]


BACKEND = Environment(
    "backend",
    (3, 11),
    "about 2 GB, 6 GB where the registry has CUDA in it",
    "torch, zmq, av, soundfile, soxr, scipy, cv2, mediapipe",
)
BLENDER45 = Environment("blender45", (3, 11), "about 1 GB", "bpy, numpy")
BLENDER52 = Environment("blender52", (3, 13), "about 1 GB", "bpy, numpy")

# File names in requirements/; see `is_alone` for those that end in -nodeps.
BACKEND_FILES = ("backend.txt", "backend-nodeps.txt")
TEST_FILES = (*BACKEND_FILES, "test.txt", "training.txt")
CPU_FILE = "backend-cpu-nodeps.txt"  # torch without CUDA, taken where pip finds it
CUDA_FILE = "backend-cuda-nodeps.txt"  # only with a torch that is made for CUDA
BLENDER45_FILES = ("blender45.txt",)
BLENDER52_FILES = ("blender52.txt",)


def is_alone(file: str) -> bool:
    """True for a file whose packages are installed without what their metadata asks for."""
    return file.endswith("-nodeps.txt")


def python_version(environment: Environment) -> str | None:
    """The version of the environment's Python, None where it does not run."""
    try:
        answer = subprocess.run(
            [str(environment.interpreter), "-I", "-c", "import sys; print(sys.version.split()[0])"],
            capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def read_stamp(environment: Environment) -> dict[str, str]:
    """The stamp: fingerprints by file name and "python"; empty where there is none."""
    try:
        stamp = json.loads(environment.stamp.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in stamp.items()} if isinstance(stamp, dict) else {}


def write_stamp(environment: Environment, stamp: dict[str, str]) -> None:
    """Replace the stamp inside an environment."""
    write_whole(environment.stamp, json.dumps(stamp, indent=1, sort_keys=True) + "\n")


def wanted_stamp(
    files: tuple[str, ...], version: str, folder: Path = REQUIREMENTS
) -> dict[str, str]:
    """What the stamp has to hold for these files."""
    return {"python": version, **{name: fingerprint(folder / name) for name in files}}


def is_ready(environment: Environment, files: tuple[str, ...]) -> bool:
    """True where the environment runs and its stamp covers the files as they are now."""
    version = python_version(environment)
    if version is None:
        return False
    stamp = read_stamp(environment)
    wanted = wanted_stamp(files, version)
    return all(stamp.get(key) == value for key, value in wanted.items())


def take_inventory(environment: Environment) -> Inventory:
    """Lists what is installed. Raises SetupError where the environment's Python does not run."""
    answer = subprocess.run(
        [str(environment.interpreter), "-I", "-c", _INVENTORY],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, env=child_environment(),
    )  # fmt: skip
    if answer.returncode != 0:
        raise SetupError(
            f"The environment {shown(environment.folder)} cannot list its packages.",
            f"Delete {shown(environment.folder)} and run the same command again.",
            answer.stderr.strip(),
        )
    facts = json.loads(answer.stdout)
    return Inventory(facts["versions"], facts["damaged"])


def problems(inventory: Inventory, files: tuple[str, ...]) -> list[str]:
    """What keeps the environment from holding the pins: one short text per package."""
    found = [f"{name} lacks files" for name in inventory.damaged]
    for file in files:
        for pin in parse((REQUIREMENTS / file).read_text("utf-8")):
            have = inventory.versions.get(pin.name)
            if pin.marker:
                continue  # for another system, perhaps; pip has judged it
            if have is None:
                found.append(f"{pin.name} is missing")
            elif have.split("+")[0] != pin.version:  # torch's version may end in +cpu
                found.append(f"{pin.name} is {have} instead of {pin.version}")
    return found


def ensure(environment: Environment, files: tuple[str, ...]) -> None:
    """Makes the environment hold these files' pins; quick where it does already.

    Raises SetupError with one sentence and a next step.
    """
    with only_one(f"environment-{environment.name}"):
        if is_ready(environment, files):
            return
        if python_version(environment) is None or not _has_pip(environment):
            _create(environment)
        _fill(environment, files)
        left = problems(take_inventory(environment), files)
        if left:
            say(f"  {shown(environment.folder)} is damaged ({left[0]}); it is made again.")
            _create(environment)
            _fill(environment, files)
            left = problems(take_inventory(environment), files)
        if left:
            raise SetupError(
                f"{shown(environment.folder)} could not be filled: {', '.join(left[:3])}.",
                f"Look at {shown(environment.log)}.",
            )
        _try_imports(environment)
        version = python_version(environment) or ""
        stamp = read_stamp(environment)
        if stamp.get("python") != version:
            stamp = {}
        write_stamp(environment, {**stamp, **wanted_stamp(files, version)})


def _has_pip(environment: Environment) -> bool:
    answer = subprocess.run(
        [str(environment.interpreter), "-I", "-m", "pip", "--version"],
        capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return answer.returncode == 0


def _create(environment: Environment) -> None:
    search = interpreters.find(environment.python)
    if search.found is None:
        name = f"Python {environment.python[0]}.{environment.python[1]}"
        raise SetupError(
            f"{name} is needed for {shown(environment.folder)} and was not found.",
            search.advice() + ", then run the same command again.",
            "\n".join(search.rejected),
        )
    if environment.folder.exists():
        # Renamed first: a removal that is interrupted leaves no half environment in the place.
        doomed = environment.folder.with_name(f"{environment.name}.old-{os.getpid()}")
        environment.folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)
    environment.folder_root.mkdir(parents=True, exist_ok=True)
    run_logged(
        [search.found.path, "-I", "-m", "venv", environment.folder],
        f"{environment.name}: new environment, Python {search.found.version_text} "
        f"({search.found.source})",
        environment.log,
        lambda _line: None,
        f"{shown(environment.folder)} could not be made.",
        search.advice() if os.name != "nt" else f"Look at {shown(environment.log)}.",
    )


def _try_imports(environment: Environment) -> None:
    """Loads the big packages once: what cannot work says so now, and the next start is quick."""
    if not environment.imports:
        return
    # Blender's module may crash when Python takes it down; the import is what counts.
    program = f"import os, {environment.imports}; os._exit(0)"
    run_logged(
        [environment.interpreter, "-I", "-c", program],
        f"{environment.name}: first start",
        environment.log,
        lambda _line: None,
        f"What was installed into {shown(environment.folder)} does not load.",
        f"Look at {shown(environment.log)}, mend the cause and run the same command again.",
    )


def describe_pip(line: str) -> str | None:
    """What the status line says for one line of pip's output."""
    match = re.match(r"\s*(Collecting|Downloading|Installing collected packages)[: ]\s*(\S+)", line)
    if not match:
        return None
    if match[1] == "Installing collected packages":
        return "unpacking"
    name = re.split(r"[=<>!;\[]", match[2].rsplit("/", 1)[-1])[0]
    size = re.search(r"\(([\d.]+ [kMG]B)\)", line)
    return f"{match[1].lower()} {name}" + (f" ({size[1]})" if size else "")


def failure_of_pip(log_text: str, log: Path) -> str:
    """The next step after a pip run that failed, read from its log."""
    if "No space left on device" in log_text or "Errno 28" in log_text:
        return "The disk is full: make room and run the same command again."
    signs = (
        "name resolution", "NewConnectionError", "Read timed out", "ConnectionResetError",
        "No address associated", "getaddrinfo failed", "Network is unreachable",
    )  # fmt: skip
    if any(sign in log_text for sign in signs):
        return "The package registry cannot be reached: check the network and run it again."
    if "DO NOT MATCH THE HASHES" in log_text:
        return (
            "A file differs from the one that was tried: look whether pip is set up with another "
            f"registry, and at {shown(log)}."
        )
    if "No matching distribution" in log_text:
        return "The registry that pip is set up with lacks this version for this system."
    return f"Look at {shown(log)}, mend the cause and run the same command again."


def _pip(environment: Environment, arguments: list[str], label: str, note: str = "") -> None:
    start = environment.log.stat().st_size if environment.log.exists() else 0
    command: list[str | Path] = [
        environment.interpreter, "-I", "-m", "pip", "install",
        "--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--require-hashes",
        *arguments,
    ]  # fmt: skip
    sentence = f"pip could not install what {shown(environment.folder)} needs."
    try:
        # A user-wide setting to install elsewhere must not lead out of the environment.
        run_logged(
            command, label, environment.log, describe_pip, sentence, "",
            environment=child_environment(PIP_USER="0"), note=note,
        )  # fmt: skip
    except SetupError as failure:
        text = environment.log.read_text("utf-8", errors="replace")[start:]
        step = failure_of_pip(text, environment.log)
        raise SetupError(sentence, step, failure.details) from failure


def _repair(environment: Environment, files: tuple[str, ...], damaged: list[str]) -> None:
    """Installs damaged packages again; those that stand alone are left to a new environment."""
    again = [
        pin
        for name in files
        if not is_alone(name)
        for pin in parse((REQUIREMENTS / name).read_text("utf-8"))
        if pin.name in damaged
    ]
    if not again:
        return
    listed = LOGS / f"{environment.name}-repair.txt"
    listed.parent.mkdir(parents=True, exist_ok=True)
    listed.write_text("".join(pin.text + "\n" for pin in again), "utf-8")
    _pip(
        environment,
        ["--force-reinstall", "--ignore-installed", "--no-deps", "-r", str(listed)],
        f"{environment.name}: repairing {len(again)} packages",
    )


def _finds_torch_without_cuda(environment: Environment) -> bool:
    """True where pip is set up to find PyTorch's builds without CUDA.

    Asked beforehand: between two files of one release pip takes the one whose digest its index
    names, and so never the smaller one that lies in a folder of wheels.
    """
    command = [str(environment.interpreter), "-I", "-m", "pip", "index", "versions", "torch"]
    answer = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=child_environment()
    )
    wanted = parse((REQUIREMENTS / CPU_FILE).read_text("utf-8"))[0].version
    return wanted in answer.stdout.replace(",", " ").split()


def _fill(environment: Environment, files: tuple[str, ...]) -> None:
    inventory = take_inventory(environment)
    if inventory.damaged:
        _repair(environment, files, inventory.damaged)
    together = [name for name in files if not is_alone(name)]
    if together:
        arguments = [part for name in together for part in ("-r", str(REQUIREMENTS / name))]
        _pip(environment, arguments, f"{environment.name}: packages", environment.size)
    alone = [name for name in files if is_alone(name)]
    if alone and "torch" not in inventory.versions and _finds_torch_without_cuda(environment):
        alone.insert(0, CPU_FILE)
    for name in alone:
        _pip(
            environment,
            ["--no-deps", "-r", str(REQUIREMENTS / name)],
            f"{environment.name}: packages without their dependencies",
        )
    torch = take_inventory(environment).versions.get("torch") if alone else None
    if torch and "+" not in torch and sys.platform.startswith("linux"):
        _pip(
            environment,
            ["--no-deps", "-r", str(REQUIREMENTS / CUDA_FILE)],
            f"{environment.name}: NVIDIA's libraries for torch",
        )
