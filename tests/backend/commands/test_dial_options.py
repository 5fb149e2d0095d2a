# SPDX-License-Identifier: GPL-3.0-or-later
"""Every declared dial and every format of a Take is an option, and reaches what it is for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.audio_to_mesh.settings import AnimateSettings
from backend.commands.animate import Animate
from backend.commands.main import main, parse
from backend.commands.restyle import Restyle
from shared.dials import DIALS, STYLE, Applied, Dial
from shared.errors import VividKeysError
from shared.take import Take, load_take, save_take
from shared.take_formats import TAKE_FORMATS


def option(dial: Dial) -> str:
    return "--" + dial.name.replace("_", "-")


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        parse([command, "--help"])
    return " ".join(capsys.readouterr().out.replace("│", " ").split())


@pytest.mark.parametrize(("command", "dials"), [("animate", DIALS), ("restyle", STYLE)])
def test_every_dial_is_an_option_with_its_help(
    command: str, dials: tuple[Dial, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = help_of(command, capsys)
    for dial in DIALS:
        described = f"{option(dial)} FLOAT {dial.option_help} (default: {dial.default})"
        assert (described in shown) is (dial in dials), described


@pytest.mark.parametrize("dial", DIALS, ids=lambda dial: dial.name)
def test_animate_takes_the_dial(dial: Dial) -> None:
    for words, expected in (([], dial.default), ([option(dial), str(dial.highest)], dial.highest)):
        command = parse(["animate", "line.wav", "--out", "a.npz", *words])
        assert isinstance(command, Animate)
        told = {**command.dial_values(), **command.style.dial_values()}
        assert sorted(told) == sorted(each.name for each in DIALS)
        assert told[dial.name] == expected


@pytest.mark.parametrize("dial", STYLE, ids=lambda dial: dial.name)
def test_restyle_turns_the_dial(dial: Dial, small_take: Take, tmp_path: Path) -> None:
    source, out = tmp_path / "a.take.npz", tmp_path / "b.take.npz"
    save_take(small_take, source)
    words = [str(source), "--out", str(out), option(dial), str(dial.highest)]
    assert isinstance(parse(["restyle", *words]), Restyle)
    assert main(["restyle", *words]) == 0
    assert load_take(out).meta["style"] == {dial.name: dial.highest}


@pytest.mark.parametrize("dial", DIALS, ids=lambda dial: dial.name)
def test_settings_take_what_is_heard_with_the_voice_or_made_with_the_motion(dial: Dial) -> None:
    if dial.applied is Applied.CURVES:
        with pytest.raises(TypeError):
            AnimateSettings(**{dial.name: dial.highest})
        return
    assert getattr(AnimateSettings(), dial.name) == dial.default
    assert getattr(AnimateSettings(**{dial.name: dial.highest}), dial.name) == dial.highest
    with pytest.raises(VividKeysError, match=f"'{dial.name}'"):
        AnimateSettings(**{dial.name: dial.lowest - 0.01})


def test_a_take_is_written_as_everything_that_was_asked_for(
    small_take: Take, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "a.take.npz", tmp_path / "b.take.npz"
    save_take(small_take, source)
    beside = {
        form: tmp_path / f"b-{form.option}{form.suffix}" for form in TAKE_FORMATS if form.option
    }
    assert {form.option for form in beside} >= {"csv", "a2f"}
    words = [word for form, path in beside.items() for word in (f"--{form.option}", str(path))]
    assert main(["restyle", str(source), "--out", str(out), *words]) == 0
    np.testing.assert_array_equal(load_take(out).weights, small_take.weights)
    said = capsys.readouterr().out
    for form, path in beside.items():
        form.write(small_take, tmp_path / "expected")
        assert path.read_bytes() == (tmp_path / "expected").read_bytes()
        assert f"wrote {path}" in said
    for command in ("animate", "restyle"):
        shown = help_of(command, capsys)
        for form in beside:
            assert f"--{form.option} {{None}}|PATH Also write {form.what} here." in shown
