# SPDX-License-Identifier: GPL-3.0-or-later
"""Environments made, stamped and healed, by the real venv and pip with a package of our own."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from installer import environments, exclusive
from installer.environments import Environment
from installer.failure import SetupError
from installer.requirement_files import Pin

HERE = (sys.version_info[0], sys.version_info[1])
FILES = ("made.txt",)


def write_wheel(folder: Path, name: str, version: str) -> Path:
    """A wheel that holds one module, as pip expects it; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = ""
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            record += f"{path},sha256={digest.decode().rstrip('=')},{len(text)}\n"
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return wheel


def pin(folder: Path, name: str, version: str) -> str:
    """The pin of a wheel in the folder, with its digest, or with another where there is none."""
    wheel = folder / "wheels" / f"{name}-{version}-py3-none-any.whl"
    digest = hashlib.sha256(wheel.read_bytes() if wheel.exists() else b"").hexdigest()
    return Pin(name, version, "", (digest,)).text + "\n"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with requirements, wheels and one filled environment."""
    folder = tmp_path_factory.mktemp("setup")
    for version in ("1.0", "2.0"):
        write_wheel(folder / "wheels", "madeup", version)
    (folder / "requirements").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        prepare(patch, folder)
        environments.ensure(environment(folder), FILES)
    return folder


def environment(folder: Path) -> Environment:
    return Environment("small", HERE, "tiny", "madeup", folder / ".venv")


def prepare(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Leads the set-up to this folder, and pip to the wheels in it and nowhere else."""
    (folder / "requirements" / "made.txt").write_text(pin(folder, "madeup", "1.0"), "utf-8")
    patch.setattr(environments, "REQUIREMENTS", folder / "requirements")
    patch.setattr(environments, "LOGS", folder / "logs")
    patch.setattr(exclusive, "CACHE", folder / "cache")
    patch.setenv("PIP_NO_INDEX", "1")
    patch.setenv("PIP_FIND_LINKS", str(folder / "wheels"))
    patch.setattr(
        environments, "wanted_stamp",
        lambda files, version: {
            "python": version,
            **{n: environments.fingerprint(folder / "requirements" / n) for n in files},
        },
    )  # fmt: skip


@pytest.fixture
def small(base: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    prepare(monkeypatch, base)
    return environment(base)


def test_filled_and_stamped(small: Environment) -> None:
    assert environments.is_ready(small, FILES)
    assert environments.take_inventory(small).versions["madeup"] == "1.0"
    stamp = json.loads(small.stamp.read_text("utf-8"))
    assert stamp["python"] == ".".join(str(part) for part in sys.version_info[:3])
    assert set(stamp) == {"python", "made.txt"}


def test_nothing_is_run_when_nothing_changed(small: Environment) -> None:
    environments.ensure(small, FILES)
    before = small.log.stat().st_size
    environments.ensure(small, FILES)
    assert small.log.stat().st_size == before


def test_an_environment_made_by_hand_is_adopted(small: Environment) -> None:
    small.stamp.unlink()
    marker = small.folder / "made-by-hand"
    marker.write_text("", "utf-8")
    assert not environments.is_ready(small, FILES)
    environments.ensure(small, FILES)
    assert environments.is_ready(small, FILES)
    assert marker.exists(), "the environment was made anew instead of being adopted"


def test_a_package_that_lost_files_is_repaired(small: Environment) -> None:
    environments.ensure(small, FILES)
    module = next(small.folder.rglob("madeup.py"))
    module.unlink()
    small.stamp.unlink()
    assert environments.take_inventory(small).damaged == ["madeup"]
    environments.ensure(small, FILES)
    assert module.read_text("utf-8") == "version = '1.0'\n"


def test_a_package_without_its_record_is_repaired(small: Environment) -> None:
    environments.ensure(small, FILES)
    next(small.folder.rglob("madeup-1.0.dist-info/RECORD")).unlink()
    small.stamp.unlink()
    environments.ensure(small, FILES)
    inventory = environments.take_inventory(small)
    assert (inventory.damaged, inventory.versions["madeup"]) == ([], "1.0")


def test_a_changed_pin_is_followed_both_ways(small: Environment, base: Path) -> None:
    pins = environments.REQUIREMENTS / "made.txt"
    environments.ensure(small, FILES)
    pins.write_text(pin(base, "madeup", "2.0"), "utf-8")
    assert not environments.is_ready(small, FILES)
    environments.ensure(small, FILES)
    assert environments.take_inventory(small).versions["madeup"] == "2.0"
    pins.write_text(pin(base, "madeup", "1.0"), "utf-8")
    environments.ensure(small, FILES)
    assert environments.take_inventory(small).versions["madeup"] == "1.0"


def test_an_environment_whose_python_is_gone_is_made_again(small: Environment) -> None:
    environments.ensure(small, FILES)
    small.interpreter.unlink()
    assert environments.python_version(small) is None
    environments.ensure(small, FILES)
    assert environments.take_inventory(small).versions["madeup"] == "1.0"


def test_a_pin_that_cannot_be_had_is_a_sentence_and_leaves_no_stamp(
    small: Environment, base: Path
) -> None:
    environments.ensure(small, FILES)
    (environments.REQUIREMENTS / "made.txt").write_text(pin(base, "madeup", "9.9"), "utf-8")
    with pytest.raises(SetupError) as caught:
        environments.ensure(small, FILES)
    assert "lacks this version" in caught.value.next_step
    assert "madeup==9.9" in caught.value.details
    assert not environments.is_ready(small, FILES)


def test_a_file_with_another_digest_is_refused(small: Environment, base: Path) -> None:
    environments.ensure(small, FILES)
    made = environments.REQUIREMENTS / "made.txt"
    right = pin(base, "madeup", "2.0")
    made.write_text(re.sub("sha256:.{8}", "sha256:00000000", right), "utf-8")
    with pytest.raises(SetupError) as caught:
        environments.ensure(small, FILES)
    assert "differs from the one that was tried" in caught.value.next_step
    made.write_text("madeup==2.0\n", "utf-8")  # and so is one without
    with pytest.raises(SetupError, match="could not install"):
        environments.ensure(small, FILES)
    assert environments.take_inventory(small).versions["madeup"] == "1.0"


@pytest.mark.parametrize("cpu_build_is_found", [True, False], ids=["without-cuda", "cuda"])
def test_torch_without_cuda_is_taken_where_pip_finds_it(
    cpu_build_is_found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made-up wheels: one on an index that names its digest, the others in a plain folder."""
    for name, version in (("torch", "1.0"), ("torch", "1.0+cpu"), ("nvidia_made_up", "3.0")):
        write_wheel(tmp_path / "wheels", name, version)
    requirements = tmp_path / "requirements"
    requirements.mkdir()
    prepare(monkeypatch, tmp_path)
    for file, name, version in (
        ("torch-nodeps.txt", "torch", "1.0"),
        (environments.CPU_FILE, "torch", "1.0+cpu"),
        (environments.CUDA_FILE, "nvidia_made_up", "3.0"),
    ):
        (requirements / file).write_text(pin(tmp_path, name, version), "utf-8")
    index = tmp_path / "index.html"
    index_wheel = next((tmp_path / "wheels").glob("torch-1.0-*")).rename(
        tmp_path / "torch-1.0-py3-none-any.whl"
    )
    digest = hashlib.sha256(index_wheel.read_bytes()).hexdigest()
    link = f"{index_wheel.as_uri()}#sha256={digest}"
    index.write_text(f'<!DOCTYPE html><a href="{link}">{index_wheel.name}</a>', "utf-8")
    monkeypatch.setenv("PIP_FIND_LINKS", f"{index.as_uri()} {tmp_path / 'wheels'}")
    if not cpu_build_is_found:
        next((tmp_path / "wheels").glob("torch-1.0+cpu-*")).unlink()
    small = dataclasses.replace(environment(tmp_path), imports="torch")
    environments.ensure(small, ("torch-nodeps.txt",))
    versions = environments.take_inventory(small).versions
    assert versions["torch"] == ("1.0+cpu" if cpu_build_is_found else "1.0")
    with_cuda = sys.platform.startswith("linux") and not cpu_build_is_found
    assert ("nvidia-made-up" in versions) is with_cuda


def test_what_does_not_load_leaves_no_stamp(small: Environment) -> None:
    environments.ensure(small, FILES)
    small.stamp.unlink()
    broken = dataclasses.replace(small, imports="madeup, no_such_module")
    with pytest.raises(SetupError) as caught:
        environments.ensure(broken, FILES)
    assert "does not load" in caught.value.sentence
    assert "no_such_module" in caught.value.details
    assert not environments.is_ready(small, FILES)


def test_without_an_interpreter_the_sentence_says_what_to_install(tmp_path: Path) -> None:
    impossible = Environment("none", (3, 99), "tiny", "", tmp_path / ".venv")
    with pytest.raises(SetupError) as caught:
        environments.ensure(impossible, ())
    assert "Python 3.99 is needed" in caught.value.sentence
    assert "Install Python 3.99" in caught.value.next_step
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("Collecting numpy==2.4.6 (from -r requirements/backend.txt)", "collecting numpy"),
        (
            "  Downloading torch-2.13.0-cp311-cp311-linux.whl (190.4 MB)",
            "downloading torch-2.13.0-cp311-cp311-linux.whl (190.4 MB)",
        ),
        ("Installing collected packages: a, b", "unpacking"),
        ("Looking in links: somewhere", None),
    ],
)
def test_what_the_status_line_says(line: str, text: str | None) -> None:
    assert environments.describe_pip(line) == text


@pytest.mark.parametrize(
    ("log", "step"),
    [
        ("OSError: [Errno 28] No space left on device", "disk is full"),
        ("NewConnectionError: failed to establish", "cannot be reached"),
        ("ERROR: No matching distribution found for x", "lacks this version"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", "differs from the one"),
        ("something else", "Look at"),
    ],
)
def test_the_next_step_after_a_failed_pip(log: str, step: str, tmp_path: Path) -> None:
    assert step in environments.failure_of_pip(log, tmp_path / "log")
