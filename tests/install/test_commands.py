# SPDX-License-Identifier: GPL-3.0-or-later
"""install.py as a person starts it: help, mistakes, the doctor in an empty checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from installer import doctor, progress, system_libraries
from installer.command_line import COMMANDS
from installer.doctor import Finding, State
from installer.failure import SetupError
from installer.paths import ROOT
from tests.patience import PATIENCE


def install(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(folder / "install.py"), *arguments],
        capture_output=True, text=True, timeout=PATIENCE, cwd=folder, stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )  # fmt: skip


@pytest.fixture(scope="module")
def empty_checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set-up's own files and nothing else: no environments, no weights, no zips."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("installer", "requirements"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("install.py", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "shared").mkdir()
    for name in ("version.py", "backend_location.py", "whole_files.py"):
        shutil.copy(ROOT / "shared" / name, folder / "shared")
    return folder


def test_doctor_in_an_empty_checkout(empty_checkout: Path) -> None:
    answer = install(empty_checkout, "doctor")
    assert answer.returncode == 1, answer.stderr
    lines = answer.stdout.splitlines()
    for what in ("Backend", "Blender 4.5 as a module", "Weights, voice to motion"):
        line = next(line for line in lines if line.startswith(what))
        assert "MISSING" in line
    assert "MISSING" not in next(line for line in lines if line.startswith("Blender 5.2"))
    assert "install.py backend    (Backend)" in answer.stdout
    assert "install.py addon    (Extension zips)" in answer.stdout
    assert not (empty_checkout / ".venv").exists(), "the doctor must not change anything"


def test_demo_without_its_inputs_stops_before_the_set_up(empty_checkout: Path) -> None:
    answer = install(empty_checkout, "demo", "--audio", "nowhere.wav")
    assert answer.returncode == 1
    assert "There is no voice at nowhere.wav." in answer.stderr
    assert "--audio" in answer.stderr and "Traceback" not in answer.stderr
    assert not (empty_checkout / ".venv").exists()


def test_unknown_command(empty_checkout: Path) -> None:
    answer = install(empty_checkout, "dmeo")
    assert answer.returncode == 2
    assert "no command 'dmeo'" in answer.stderr and "Did you mean demo?" in answer.stderr
    assert all(name in answer.stderr for name in COMMANDS)


def test_help_names_every_command(empty_checkout: Path) -> None:
    answer = install(empty_checkout, "--help")
    assert answer.returncode == 0
    assert all(name in answer.stdout for name in COMMANDS)
    assert install(empty_checkout, "demo", "--help").stdout.count("--") >= 4


def test_unknown_option(empty_checkout: Path) -> None:
    answer = install(empty_checkout, "demo", "--audoi", "x")
    assert answer.returncode == 2
    assert "--audoi" in answer.stderr and "Traceback" not in answer.stderr


def test_an_old_python_says_so() -> None:
    """install.py is run as an old Python would see it: by its version, before any import."""
    source = (ROOT / "install.py").read_text("utf-8")
    program = f"import sys; sys.version_info = (2, 7, 18); exec(compile({source!r}, 'i', 'exec'))"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE
    )
    assert answer.returncode == 1
    assert "Python 2.7" in answer.stderr and "install Python 3.11" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_doctors_table_groups_what_one_command_mends() -> None:
    text = doctor.table(
        [
            Finding("A", State.OK, "fine"),
            Finding("B", State.MISSING, "gone", "mend it"),
            Finding("C", State.MISSING, "gone too", "mend it"),
            Finding("D", State.OPTIONAL, "not found", "add it"),
        ]
    )
    assert "mend it    (B, C)" in text
    assert text.index("To mend") < text.index("mend it") < text.index("If you want")
    assert "A  ok" in text


def test_missing_system_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux has them")
    absent = system_libraries.Library("NoSuch", "libNoSuch.so.9", "libnosuch9", "nosuch", "nosuch")
    here = system_libraries.Library("c", "libc.so.6", "libc6", "glibc", "glibc")
    monkeypatch.setattr(system_libraries, "LIBRARIES", (absent, here))
    assert absent in system_libraries.missing()
    assert here not in system_libraries.missing()
    assert "nosuch" in system_libraries.command_text([absent])
    monkeypatch.setattr(system_libraries, "_rights", lambda: None)
    with pytest.raises(SetupError) as caught:
        system_libraries.ensure()
    assert "libNoSuch.so.9" in caught.value.sentence
    assert "start again: " in caught.value.next_step


def test_missing_system_libraries_are_installed_with_the_rights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write_program
) -> None:  # type: ignore[no-untyped-def]
    """Through a made-up apt-get: what it is asked, that a stale source does not stop us."""
    asked = tmp_path / "asked"
    write_program(
        tmp_path / "bin", "apt-get",
        f"import sys; open({str(asked)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n');"
        "sys.exit(100 if sys.argv[1] == 'update' else 0)",
    )  # fmt: skip
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(system_libraries, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(system_libraries, "_rights", lambda: [])
    absent = [library for library in system_libraries.LIBRARIES if library.stem in ("Xi", "SM")]
    answers = [absent, []]
    monkeypatch.setattr(system_libraries, "missing", lambda: answers.pop(0))
    system_libraries.ensure()
    assert asked.read_text("utf-8").splitlines() == [
        "update",
        "install -y --no-install-recommends libsm6 libxi6",
    ]
    answers = [absent, absent]
    with pytest.raises(SetupError, match="still not found"):
        system_libraries.ensure()


def test_a_failed_program_shows_the_end_of_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = "print('\\n'.join(f'line {i}' for i in range(100))); raise SystemExit(3)"
    with pytest.raises(SetupError) as caught:
        progress.run_logged(
            [sys.executable, "-c", program], "a step", tmp_path / "log",
            lambda line: None, "It did not work.", "Try again.",
        )  # fmt: skip
    assert caught.value.sentence == "It did not work."
    assert "line 99" in caught.value.details and "line 10\n" not in caught.value.details
    assert "line 10\n" in (tmp_path / "log").read_text("utf-8")
    assert "a step: failed in" in capsys.readouterr().out


def test_a_program_that_cannot_be_started_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="did not work"):
        progress.run_logged(
            [tmp_path / "nothing"], "a step", tmp_path / "log", lambda line: None,
            "It did not work.", "",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (45.4, "45 s"), (125.0, "2 min 05 s")]
)
def test_elapsed_time(seconds: float, text: str) -> None:
    assert progress.elapsed_text(seconds) == text
