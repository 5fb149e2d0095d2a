# SPDX-License-Identifier: GPL-3.0-or-later
"""The readable list in pyproject.toml and the pins in requirements/ say the same."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement

from installer import environments, extension_zip, wheels
from installer.paths import REQUIREMENTS, ROOT
from installer.requirement_files import Pin, fingerprint, parse

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
    assert {path.name for path in REQUIREMENTS.glob("*.txt")} == set(LISTS)


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
    for bad in ("numpy>=2", "numpy", "-r other.txt", "numpy == 2"):
        with pytest.raises(ValueError, match="line 1"):
            parse(bad)


def test_the_fingerprint_follows_the_pins_and_nothing_else(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.txt"

    def of(text: str) -> str:
        path.write_text(text, "utf-8")
        return fingerprint(path)

    assert of("a==1\nb==2\n") == of("# note\nb==2\r\n\na==1  # why\n")
    assert of("a==1\nb==2\n") != of("a==1\nb==2.1\n")
    assert of("a==1\n") != of("a==1 ; sys_platform == 'win32'\n")
