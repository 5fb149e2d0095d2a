# SPDX-License-Identifier: GPL-3.0-or-later
"""`install.py lock`: what is written, and what it refuses to write."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from installer import environments, locking
from installer.environments import BLENDER45, Environment
from installer.failure import SetupError
from installer.paths import REQUIREMENTS
from installer.requirement_files import Pin, parse


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(REQUIREMENTS, tmp_path / "requirements")
    return tmp_path / "requirements"


def digest_of(pin: Pin) -> str:
    return f"{sum(map(ord, pin.name + pin.version)):064x}"


def answered(pins: str, dependencies: bool, environment: Environment) -> str:
    """As uv answers, with one made-up digest for each pin."""
    return "".join(
        f"{pin.name}=={pin.version} \\\n    --hash=sha256:{digest_of(pin)}\n" for pin in parse(pins)
    )


def test_every_pin_gets_its_digests(folder: Path) -> None:
    assert locking.run(folder, answered) == 0
    by_hand = folder / environments.CPU_FILE
    assert by_hand.read_bytes() == (REQUIREMENTS / by_hand.name).read_bytes()
    for path in set(folder.glob("*.txt")) - {by_hand}:
        was = parse((REQUIREMENTS / path.name).read_text("utf-8"))
        now = parse(path.read_text("utf-8"))
        assert [(p.name, p.version, p.marker) for p in was] == [
            (p.name, p.version, p.marker) for p in now
        ]
        assert all(pin.digests == (digest_of(pin),) for pin in now)
    assert not list(folder.glob("*.tmp"))


def test_mediapipes_wrong_metadata_is_not_asked(folder: Path) -> None:
    asked: list[tuple[list[str], bool]] = []

    def note(pins: str, dependencies: bool, environment: Environment) -> str:
        asked.append(([pin.name for pin in parse(pins)], dependencies))
        return answered(pins, dependencies, environment)

    locking.run(folder, note)
    assert (["mediapipe"], False) in asked
    assert all(dependencies is ("mediapipe" not in names) for names, dependencies in asked)
    assert any("triton" in names and "torch" in names for names, _ in asked)


def test_what_is_needed_in_turn_has_to_be_pinned(folder: Path) -> None:
    def more(pins: str, dependencies: bool, environment: Environment) -> str:
        extra = f"tqdm==4.1 \\\n    --hash=sha256:{'0' * 64}\n" if environment is BLENDER45 else ""
        return answered(pins, dependencies, environment) + extra

    before = (folder / "blender45.txt").read_bytes()
    with pytest.raises(SetupError) as caught:
        locking.run(folder, more)
    assert "blender45.txt lacks" in caught.value.sentence
    assert "tqdm==4.1" in caught.value.sentence
    assert (folder / "blender45.txt").read_bytes() == before


def test_without_uv_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="uv") as caught:
        locking.compile_with_uv("a==1\n", True, BLENDER45)
    assert "pip install uv" in caught.value.next_step


def test_uv_is_asked_for_every_system(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    write_program,  # type: ignore[no-untyped-def]
) -> None:
    """Through a made-up uv: what it is asked, and that its complaint is shown."""
    asked = tmp_path / "asked"
    write_program(
        tmp_path / "bin", "uv",
        f"import sys; open({str(asked)!r}, 'w').write(' '.join(sys.argv[1:]))\n"
        "pins = sys.stdin.read()\n"
        "print(pins, end='')\n"
        "sys.exit('no such version' if 'bad' in pins else 0)",
    )  # fmt: skip
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert locking.compile_with_uv("a==1\n", False, BLENDER45) == "a==1\n"
    options = asked.read_text("utf-8").split()
    assert {"--universal", "--generate-hashes", "--no-deps"} <= set(options)
    assert options[options.index("--python-version") + 1] == "3.11"
    with pytest.raises(SetupError) as caught:
        locking.compile_with_uv("bad==1\n", True, BLENDER45)
    assert "no such version" in caught.value.details
    assert "--no-deps" not in asked.read_text("utf-8")
