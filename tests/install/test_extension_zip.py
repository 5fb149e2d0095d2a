# SPDX-License-Identifier: GPL-3.0-or-later
"""The zips hold what they should and nothing else, and Blender's own validator accepts them."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest

from installer import extension_zip, wheels
from installer.extension_zip import TARGETS, Target
from installer.failure import SetupError
from installer.paths import ROOT


def cached_targets() -> list[Target]:
    return [target for target in TARGETS if wheels.is_cached(target.wheel)]


@pytest.fixture(scope="module")
def target() -> Target:
    """A target whose wheel is here: tests do not download."""
    if not cached_targets():
        pytest.skip("no wheel is cached; python install.py addon fetches them")
    return cached_targets()[0]


@pytest.fixture(scope="module")
def archive(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extension_zip.build(target, tmp_path_factory.mktemp("dist"))


def names_in(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_targets_cover_each_system_twice() -> None:
    names = [target.file_name("1.2.3") for target in TARGETS]
    assert len(set(names)) == 8
    assert "vividkeys-1.2.3-blender4.5-linux-x64.zip" in names
    assert "vividkeys-1.2.3-blender5.1-windows-arm64.zip" in names


def test_contents(archive: Path, target: Target) -> None:
    names = names_in(archive)
    assert {"__init__.py", "LICENSE", "blender_manifest.toml"} <= set(names)
    assert {"shared/__init__.py", "shared/arkit.py", "shared/take.py"} <= set(names)
    assert [name for name in names if name.startswith("wheels/")] == [
        f"wheels/{target.wheel.file_name}"
    ]
    assert all(not name.startswith(("backend/", "tests/", "installer/")) for name in names)
    for name in names:
        assert Path(name).suffix in {".py", ".toml", ".json", ".whl", ".png", ".svg", ""}, name
        assert "__pycache__" not in name and not Path(name).name.startswith("test_")


def test_the_sources_are_those_of_the_checkout(archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        assert opened.read("shared/arkit.py") == (ROOT / "shared" / "arkit.py").read_bytes()
        assert opened.read("__init__.py") == (ROOT / "blender_addon/__init__.py").read_bytes()


def test_left_out(tmp_path: Path, target: Target) -> None:
    """Tests, caches, half-written files and what a developer's tools leave behind."""
    for name in ("blender_addon", "shared"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "LICENSE", tmp_path / "LICENSE")
    before = set(extension_zip.contents(target, tmp_path))
    for name in (
        "blender_addon/tests/a.py", "blender_addon/test_x.py", "blender_addon/wheels/other.whl",
        "blender_addon/__pycache__/a.pyc", "shared/take.py.tmp", "shared/.hidden",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x", "utf-8")
    assert set(extension_zip.contents(target, tmp_path)) == before
    (tmp_path / "blender_addon" / "new.py").write_text("x", "utf-8")
    assert set(extension_zip.contents(target, tmp_path)) == before | {"new.py"}


def test_same_sources_same_bytes(archive: Path, target: Target, tmp_path: Path) -> None:
    again = extension_zip.build(target, tmp_path)
    digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in (archive, again)}
    assert len(digests) == 1
    assert list(tmp_path.iterdir()) == [again], "a temporary file was left behind"


@pytest.mark.parametrize("one", TARGETS, ids=lambda one: one.file_name("x"))
def test_manifest(one: Target) -> None:
    values = tomllib.loads(extension_zip.manifest(one))
    assert values["id"] == "vividkeys"
    assert values["version"] == extension_zip.product_version()
    assert values["license"] == ["SPDX:GPL-3.0-or-later"]
    assert values["copyright"] and values["tags"]
    assert set(values["permissions"]) == {"files", "network"}
    assert values["wheels"] == [f"./wheels/{one.wheel.file_name}"]
    assert values["platforms"] == list(one.platforms)
    if one.blender == "4.5":
        limits = (values["blender_version_min"], values["blender_version_max"])
        assert limits == ("4.5.0", "5.1.0")
        assert "-cp311-cp311-" in one.wheel.file_name
    else:
        assert values["blender_version_min"] == "5.1.0"
        assert "blender_version_max" not in values
        assert "-cp312-abi3-" in one.wheel.file_name


def test_blenders_own_validator(tmp_path: Path, extension_tool) -> None:  # type: ignore[no-untyped-def]
    if not cached_targets():
        pytest.skip("no wheel is cached; python install.py addon fetches them")

    def validate(path: Path) -> subprocess.CompletedProcess[str]:
        return extension_tool("validate", str(path))

    for one in cached_targets():
        answer = validate(extension_zip.build(one, tmp_path))
        assert answer.returncode == 0, answer.stdout + answer.stderr
    # The validator does refuse: otherwise the lines above would say nothing.
    broken = tmp_path / "broken.zip"
    shutil.copy(extension_zip.build(cached_targets()[0], tmp_path), broken)
    with zipfile.ZipFile(broken, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("blender_manifest.toml", 'id = "vividkeys"\n')
    assert validate(broken).returncode != 0


def test_a_wheel_that_was_tampered_with_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "WHEELS", tmp_path)
    wheel = TARGETS[0].wheel
    assert not wheels.is_cached(wheel)
    wheel.path.write_bytes(b"something else")
    assert not wheels.is_cached(wheel)


def test_without_network_and_cache_there_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "WHEELS", tmp_path / "wheels")
    monkeypatch.setattr(wheels, "LOGS", tmp_path / "logs")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(SetupError) as caught:
        wheels.fetch([TARGETS[0].wheel])
    assert TARGETS[0].wheel.file_name in caught.value.sentence
    assert "by hand" in caught.value.next_step
    assert list((tmp_path / "wheels").iterdir()) == []
