# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds a Python of a wanted version: PATH, pyenv, the py launcher, uv, the usual folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Runs inside a candidate. A venv's own interpreter is traced back to the one it was made from, so
# that no environment of ours depends on another environment.
_PROBE = """
import json, struct, sys, sysconfig
def present(name):
    try:
        __import__(name)
        return True
    except Exception:
        return False
print(json.dumps({
    "version": list(sys.version_info[:3]),
    "implementation": sys.implementation.name,
    "bits": struct.calcsize("P") * 8,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "executable": getattr(sys, "_base_executable", None) or sys.executable,
    "makes_venvs": present("venv") and present("ensurepip"),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    """One Python that can make our environments."""

    path: Path
    version: tuple[int, int, int]
    source: str

    @property
    def version_text(self) -> str:
        return ".".join(str(part) for part in self.version)


@dataclass(frozen=True)
class Unfit:
    """A Python of the wanted version that will not do; `only_lacks_venv`: with that it would."""

    reason: str
    only_lacks_venv: bool = False


@dataclass(frozen=True)
class Search:
    """What a search came to: the interpreter, or why each candidate was passed over."""

    wanted: tuple[int, int]
    found: Interpreter | None
    rejected: list[str] = field(default_factory=list)
    only_venv_is_missing: bool = False

    def advice(self) -> str:
        """One sentence that says what to install."""
        name = f"Python {self.wanted[0]}.{self.wanted[1]}"
        short = f"{self.wanted[0]}.{self.wanted[1]}"
        if self.only_venv_is_missing:
            return f"Install the missing half of {name}: apt-get install python{short}-venv"
        if os.name == "nt":
            return f"Install {name} (64 bit): py install {short}, or winget install " + (
                f"Python.Python.{short}"
            )
        if sys.platform == "darwin":
            return f"Install {name}: brew install python@{short}, or pyenv install {short}"
        return (
            f"Install {name} by your package manager (python{short} and python{short}-venv), "
            f"by pyenv install {short}, or by uv python install {short}"
        )


def _pyenv_roots(environment: Mapping[str, str], home: Path) -> list[Path]:
    roots = [home / ".pyenv", home / ".pyenv" / "pyenv-win"]
    for name in ("PYENV_ROOT", "PYENV_HOME", "PYENV"):
        if environment.get(name):
            roots.insert(0, Path(environment[name]))
    # With another HOME pyenv is still on the PATH through its shims folder.
    for folder in environment.get("PATH", "").split(os.pathsep):
        if Path(folder).name == "shims":
            roots.append(Path(folder).parent)
    return roots


def _version_key(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in folder.name.split(".") if part.isdigit())


def candidates(
    wanted: tuple[int, int], environment: Mapping[str, str], home: Path
) -> Iterator[tuple[Path, str]]:
    """Yields (path, where it was found) in the order of preference; paths may turn out useless."""
    short = f"{wanted[0]}.{wanted[1]}"
    search_path = environment.get("PATH", "")
    if sys.version_info[:2] == wanted:
        yield Path(sys.executable), "the Python that runs this"
    for name in (f"python{short}", f"python{wanted[0]}{wanted[1]}", "python3", "python"):
        for folder in search_path.split(os.pathsep):
            hit = shutil.which(name, path=folder) if folder else None
            if hit:
                yield Path(hit), "PATH"
    for root in _pyenv_roots(environment, home):
        versions = sorted(root.glob(f"versions/{short}*"), key=_version_key, reverse=True)
        for folder_path in versions:
            inside = "python.exe" if os.name == "nt" else "bin/python"
            yield folder_path / inside, "pyenv"
    launcher = shutil.which("py", path=search_path)
    if os.name == "nt" and launcher:
        yield from _asked([launcher, f"-{short}", "-c", "import sys; print(sys.executable)"], "py")
    uv = shutil.which("uv", path=search_path)
    if uv:
        yield from _asked([uv, "python", "find", "--no-python-downloads", short], "uv")
    yield from _usual_folders(short, wanted, environment)


def _usual_folders(
    short: str, wanted: tuple[int, int], environment: Mapping[str, str]
) -> Iterator[tuple[Path, str]]:
    """Where installers put Python when they leave the PATH alone."""
    if os.name == "nt":
        name = f"Python{wanted[0]}{wanted[1]}"
        for base in ("LOCALAPPDATA", "ProgramFiles"):
            if environment.get(base):
                inside = Path("Programs", "Python") if base == "LOCALAPPDATA" else Path()
                yield Path(environment[base]) / inside / name / "python.exe", base
    elif sys.platform == "darwin":
        framework = Path("/Library/Frameworks/Python.framework/Versions") / short / "bin"
        for folder in (framework, Path("/opt/homebrew/bin"), Path("/usr/local/bin")):
            yield folder / f"python{short}", str(folder)


def _asked(command: list[str], source: str) -> Iterator[tuple[Path, str]]:
    """Asks another program where its Python is."""
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return
    lines = answer.stdout.strip().splitlines()
    if answer.returncode == 0 and lines:
        yield Path(lines[-1].strip()), source


def probe(path: Path, source: str, wanted: tuple[int, int]) -> Interpreter | Unfit | None:
    """Runs the candidate; returns it, or why it does not do.

    None where it is no Python or just another version: nobody needs to hear of that.
    """
    try:
        answer = subprocess.run(
            [str(path), "-I", "-c", _PROBE],
            capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        facts = json.loads(answer.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None
    if tuple(facts["version"][:2]) != wanted:
        return None
    if facts["implementation"] != "cpython":
        return Unfit(f"{path} is {facts['implementation']}, not CPython")
    if facts["bits"] != 64:
        return Unfit(f"{path} is a 32 bit Python")
    if facts["free_threaded"]:
        return Unfit(f"{path} is a free-threaded build, for which there are no wheels")
    if not facts["makes_venvs"]:
        return Unfit(
            f"{path} cannot make environments (venv or ensurepip is missing)",
            only_lacks_venv=True,
        )
    major, minor, patch = facts["version"]
    return Interpreter(Path(facts["executable"]), (major, minor, patch), source)


def find(
    wanted: tuple[int, int],
    environment: Mapping[str, str] | None = None,
    home: Path | None = None,
) -> Search:
    """Finds a CPython of the wanted version (64 bit, with venv); never raises."""
    environment = os.environ if environment is None else environment
    home = Path.home() if home is None else home
    rejected: list[Unfit] = []
    seen: set[Path] = set()
    for path, source in candidates(wanted, environment, home):
        if path in seen or not path.exists():
            continue
        seen.add(path)
        probed = probe(path, source, wanted)
        if isinstance(probed, Interpreter):
            return _result(wanted, probed, rejected)
        if probed is not None and probed not in rejected:
            rejected.append(probed)
    return _result(wanted, None, rejected)


def _result(wanted: tuple[int, int], found: Interpreter | None, rejected: list[Unfit]) -> Search:
    lacks_venv = any(unfit.only_lacks_venv for unfit in rejected)
    return Search(wanted, found, [unfit.reason for unfit in rejected], lacks_venv)
