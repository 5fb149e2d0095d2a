# SPDX-License-Identifier: GPL-3.0-or-later
"""The readable list in pyproject.toml and the pins in requirements/ say the same."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from installer import environments, extension_zip, wheels
from installer.paths import REQUIREMENTS, ROOT
from installer.requirement_files import Pin, fingerprint, parse, with_digests

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
LISTS = {
    "backend.txt": PROJECT["dependencies"],
    "backend-nodeps.txt": PYPROJECT["tool"]["vividkeys"]["without-dependencies"],
    **{f"{name}.txt": items for name, items in PROJECT["optional-dependencies"].items()},
}


def directly_used(file: str) -> list[Pin]:
    """The pins above the line "What those need in turn"."""
    return parse((REQUIREMENTS / file).read_text("utf-8").split("# What those need")[0])


def test_every_requirements_file_has_its_list() -> None:
    # The other torch and its libraries: nothing of ours asks for them by name.
    wanted = {*LISTS, environments.CPU_FILE, environments.CUDA_FILE}
    assert {path.name for path in REQUIREMENTS.glob("*.txt")} == wanted


@pytest.mark.parametrize("path", sorted(REQUIREMENTS.glob("*.txt")), ids=lambda path: path.name)
def test_every_pin_has_the_digests_of_its_files(path: Path) -> None:
    """pip refuses a file without; `install.py lock` wrote them, and nobody moved a line since."""
    text = path.read_text("utf-8")
    pins = parse(text)
    assert pins
    for pin in pins:
        assert pin.digests, f"{pin.name}: python install.py lock"
        assert list(pin.digests) == sorted(set(pin.digests)), pin.name
    assert with_digests(text, {pin.name: pin.digests for pin in pins}) == text


def test_no_digest_stands_under_two_packages() -> None:
    """A version that was changed by hand and kept its old digests is found by pip, not here."""
    owners: dict[str, set[str]] = {}
    for path in REQUIREMENTS.glob("*.txt"):
        for pin in parse(path.read_text("utf-8")):
            for digest in pin.digests:
                owners.setdefault(digest, set()).add(f"{pin.name} {pin.version}")
    assert {digest: names for digest, names in owners.items() if len(names) > 1} == {}


def test_the_extensions_wheels_are_those_of_the_backend() -> None:
    pins = parse((REQUIREMENTS / "backend.txt").read_text("utf-8"))
    pyzmq = next(pin for pin in pins if pin.name == "pyzmq")
    assert {wheel.sha256 for wheel in wheels.WHEELS_BY_SYSTEM.values()} <= set(pyzmq.digests)


def test_torch_without_cuda_is_the_same_release() -> None:
    def torch(file: str) -> Pin:
        pins = parse((REQUIREMENTS / file).read_text("utf-8"))
        return next(pin for pin in pins if pin.name == "torch")

    of_the_index, without_cuda = torch("backend-nodeps.txt"), torch(environments.CPU_FILE)
    assert without_cuda.version == f"{of_the_index.version}+cpu"
    assert not set(without_cuda.digests) & set(of_the_index.digests)


@pytest.mark.parametrize("file", sorted(LISTS))
def test_pins_and_reasons_agree(file: str) -> None:
    wanted = {requirement.name: requirement for requirement in map(Requirement, LISTS[file])}
    pins = {pin.name: pin.version for pin in directly_used(file)}
    assert set(pins) == set(wanted)
    for name, version in pins.items():
        assert wanted[name].specifier.contains(version), f"{name} {version}: {wanted[name]}"


@pytest.mark.parametrize(
    "files",
    [environments.TEST_FILES, environments.BLENDER45_FILES, environments.BLENDER52_FILES],
)
def test_no_package_is_pinned_twice_in_one_environment(files: tuple[str, ...]) -> None:
    names = [p.name for file in files for p in parse((REQUIREMENTS / file).read_text("utf-8"))]
    assert len(names) == len(set(names))


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    for requirement in [item for items in LISTS.values() for item in items]:
        line = next(line for line in text.splitlines() if f'"{requirement}"' in line)
        if "without-dependencies" not in line:  # its reason stands above it
            assert re.search(r"#\s*\S.{3,}", line), f"no reason: {line.strip()}"


def test_one_version_of_the_product_and_of_the_wire() -> None:
    assert PROJECT["version"] == extension_zip.product_version()
    assert f"pyzmq=={wheels.PYZMQ_VERSION}" in PROJECT["dependencies"]


def test_parsing() -> None:
    text = "# why\n\nNumPy==2.4.6  # arrays\nruamel.yaml==1.0 ; sys_platform == 'win32'\n"
    assert parse(text) == [
        Pin("numpy", "2.4.6"),
        Pin("ruamel-yaml", "1.0", "sys_platform == 'win32'"),
    ]
    for bad in ("numpy>=2", "numpy", "-r other.txt", "numpy == 2", "numpy==2 --hash=md5:00"):
        with pytest.raises(ValueError, match="line 1"):
            parse(bad)


def test_parsing_digests() -> None:
    first, second = "a" * 64, "0" * 64
    text = (
        f"# why\nNumPy==2.4.6 \\\n    --hash=sha256:{first} \\\n    --hash=sha256:{second}\n"
        f'x==1 ; sys_platform == "win32" --hash=sha256:{second}\n'
    )
    pins = parse(text)
    assert pins == [
        Pin("numpy", "2.4.6", "", (first, second)),
        Pin("x", "1", 'sys_platform == "win32"', (second,)),
    ]
    assert parse("\n".join(pin.text for pin in pins)) == pins
    with pytest.raises(ValueError, match="line 3"):
        parse(f"a==1 \\\n  --hash=sha256:{first}\nb>=1 \\\n  --hash=sha256:{first}\n")


def test_writing_digests_keeps_comments() -> None:
    text = "# why\na==1\n\n# in turn\nb==2 ; os_name == 'nt'\n"
    written = with_digests(text, {"a": ["f" * 64, "e" * 64], "b": ["d" * 64]})
    assert written == (
        f"# why\na==1 \\\n    --hash=sha256:{'e' * 64} \\\n    --hash=sha256:{'f' * 64}\n"
        f"\n# in turn\nb==2 ; os_name == 'nt' \\\n    --hash=sha256:{'d' * 64}\n"
    )
    assert with_digests(written, {"a": ["f" * 64, "e" * 64], "b": ["d" * 64]}) == written


def test_the_fingerprint_follows_the_pins_and_nothing_else(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.txt"

    def of(text: str) -> str:
        path.write_text(text, "utf-8")
        return fingerprint(path)

    assert of("a==1\nb==2\n") == of("# note\nb==2\r\n\na==1  # why\n")
    assert of("a==1\nb==2\n") != of("a==1\nb==2.1\n")
    assert of("a==1\n") == of(f"a==1 \\\n    --hash=sha256:{'0' * 64}\n")
    assert of("a==1\n") != of("a==1 ; sys_platform == 'win32'\n")
