# SPDX-License-Identifier: GPL-3.0-or-later
"""The search for a Python, on made-up PATHs whose programs really run."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from installer import interpreters

# A version that the Python which runs the tests is not, so that only the made-up ones can be found.
WANTED = (3, 13) if sys.version_info[:2] != (3, 13) else (3, 12)
NAME = f"python{WANTED[0]}.{WANTED[1]}"


def facts(**changes: object) -> dict[str, object]:
    return {
        "version": [*WANTED, 4],
        "implementation": "cpython",
        "bits": 64,
        "free_threaded": False,
        "executable": "/made/up/python",
        "makes_venvs": True,
        **changes,
    }


def answering(**changes: object) -> str:
    return f"print({json.dumps(json.dumps(facts(**changes)))})"


def search(*folders: Path, home: Path, **environment: str) -> interpreters.Search:
    path = os.pathsep.join(str(folder) for folder in folders)
    return interpreters.find(WANTED, {"PATH": path, **environment}, home)


def test_nothing_found_gives_one_sentence_of_advice(tmp_path: Path) -> None:
    result = search(tmp_path / "empty", home=tmp_path)
    assert result.found is None
    assert f"Python {WANTED[0]}.{WANTED[1]}" in result.advice()
    assert "\n" not in result.advice()


def test_path_is_searched_in_order(tmp_path: Path, write_program) -> None:  # type: ignore[no-untyped-def]
    write_program(tmp_path / "a", NAME, answering(executable="/first"))
    write_program(tmp_path / "b", NAME, answering(executable="/second"))
    found = search(tmp_path / "a", tmp_path / "b", home=tmp_path).found
    assert found is not None
    assert (found.path, found.version, found.source) == (Path("/first"), (*WANTED, 4), "PATH")


def test_plain_python3_of_the_right_version_will_do(tmp_path: Path, write_program) -> None:  # type: ignore[no-untyped-def]
    write_program(tmp_path / "bin", "python3", answering())
    assert search(tmp_path / "bin", home=tmp_path).found is not None


def test_other_versions_are_passed_over_silently(tmp_path: Path, write_program) -> None:  # type: ignore[no-untyped-def]
    write_program(tmp_path / "bin", "python3", answering(version=[3, 9, 1]))
    result = search(tmp_path / "bin", home=tmp_path)
    assert result.found is None
    assert result.rejected == []


def test_a_shim_that_does_not_run_is_passed_over(tmp_path: Path, write_program) -> None:  # type: ignore[no-untyped-def]
    write_program(tmp_path / "shims", NAME, "import sys; sys.exit(127)")
    write_program(tmp_path / "bin", NAME, answering(executable="/good"))
    found = search(tmp_path / "shims", tmp_path / "bin", home=tmp_path).found
    assert found is not None and found.path == Path("/good")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bits": 32}, "32 bit"),
        ({"free_threaded": True}, "free-threaded"),
        ({"implementation": "pypy"}, "pypy"),
        ({"makes_venvs": False}, "cannot make environments"),
    ],
)
def test_an_unfit_python_is_named_with_its_reason(
    tmp_path: Path, write_program, changes: dict[str, object], reason: str
) -> None:  # type: ignore[no-untyped-def]
    path = write_program(tmp_path / "bin", NAME, answering(**changes))
    result = search(tmp_path / "bin", home=tmp_path)
    assert result.found is None
    assert len(result.rejected) == 1
    assert reason in result.rejected[0] and str(path) in result.rejected[0]


def test_a_python_without_venv_leads_to_the_package_that_brings_it(
    tmp_path: Path, write_program
) -> None:  # type: ignore[no-untyped-def]
    write_program(tmp_path / "bin", NAME, answering(makes_venvs=False))
    assert f"{NAME}-venv" in search(tmp_path / "bin", home=tmp_path).advice()


def test_pyenv_newest_patch_first(tmp_path: Path, write_program) -> None:  # type: ignore[no-untyped-def]
    short = f"{WANTED[0]}.{WANTED[1]}"
    for patch in (2, 10, 9):
        folder = tmp_path / ".pyenv" / "versions" / f"{short}.{patch}" / "bin"
        write_program(folder, "python", answering(executable=f"/patch{patch}"))
    found = search(tmp_path / "empty", home=tmp_path).found
    assert found is not None
    assert (found.path, found.source) == (Path("/patch10"), "pyenv")


def test_pyenv_is_found_through_its_shims_in_another_home(tmp_path: Path, write_program) -> None:  # type: ignore[no-untyped-def]
    short = f"{WANTED[0]}.{WANTED[1]}"
    root = tmp_path / "elsewhere"
    write_program(root / "shims", NAME, "import sys; sys.exit(127)")
    write_program(root / "versions" / f"{short}.1" / "bin", "python", answering())
    found = search(root / "shims", home=tmp_path / "new-home").found
    assert found is not None and found.source == "pyenv"


def test_uv_is_asked(tmp_path: Path, write_program) -> None:  # type: ignore[no-untyped-def]
    python = write_program(tmp_path / "managed", "python", answering(executable="/by/uv"))
    write_program(tmp_path / "bin", "uv", f"print({str(python)!r})")
    found = search(tmp_path / "bin", home=tmp_path).found
    assert found is not None and (found.path, found.source) == (Path("/by/uv"), "uv")


def test_the_python_that_runs_this_is_traced_to_its_origin(tmp_path: Path) -> None:
    found = interpreters.find((sys.version_info[0], sys.version_info[1]), {"PATH": ""}, tmp_path)
    # A build without venv would be refused; the tests' own Python made an environment before.
    assert found.found is not None
    assert found.found.version == tuple(sys.version_info[:3])
    assert not (found.found.path.parent.parent / "pyvenv.cfg").exists()
