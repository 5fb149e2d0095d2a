# SPDX-License-Identifier: GPL-3.0-or-later
"""Every dial that is declared is known to requests, styles and documents, and by nothing else.

The command line's side is in tests/backend/commands/test_dial_options.py, Blender's in
tests/blender/test_style.py.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from shared.dialled import Dialled
from shared.dials import (
    DIALS,
    MOODS,
    SPEAKER,
    STYLE,
    STYLE_GROUPS,
    Applied,
    Dial,
    Group,
    markdown_table,
)
from shared.errors import ErrorKind, VividKeysError
from shared.performance import style
from shared.requests import AnimateRequest, as_params, from_params
from shared.style_dials import StyleDials, dials_from

REPOSITORY = Path(__file__).resolve().parents[2]
AUDIO = "0" * 64
each_dial = pytest.mark.parametrize("dial", DIALS, ids=lambda dial: dial.name)


def names(dials: tuple[Dial, ...]) -> list[str]:
    return [dial.name for dial in dials]


def test_each_dial_is_declared_once_and_makes_sense() -> None:
    assert len(set(names(DIALS))) == len(DIALS) == len({dial.label for dial in DIALS})
    for dial in DIALS:
        assert dial.lowest <= dial.default < dial.highest
        assert dial.check(dial.usual_highest or dial.highest) > dial.default
        assert dial.help[0].isupper() or dial.help[0] == "-"
        # Blender wants tooltips without a full stop, a terminal sentences with one.
        assert not dial.tooltip.endswith(".") and dial.option_help.endswith(".")
    assert sorted(names(STYLE + SPEAKER)) == sorted(names(DIALS))
    assert [dial for group in STYLE_GROUPS for dial in group] == list(STYLE)


@each_dial
def test_a_request_takes_the_dial_within_its_range_only(dial: Dial) -> None:
    plain = AnimateRequest(AUDIO)
    assert getattr(plain, dial.name) == dial.default
    assert as_params(plain)[dial.name] == dial.default
    for value in (dial.lowest, dial.highest):
        request = from_params(AnimateRequest, {"audio": AUDIO, dial.name: value})
        assert getattr(request, dial.name) == value
        assert from_params(AnimateRequest, as_params(request)) == request
    for value in (dial.lowest - 0.01, dial.highest + 0.01, float("nan"), "1", True, None):
        with pytest.raises(VividKeysError, match=f"'{dial.name}'") as caught:
            from_params(AnimateRequest, {"audio": AUDIO, dial.name: value})
        assert caught.value.kind == ErrorKind.BAD_REQUEST


def test_a_request_knows_no_dial_beside_those_declared() -> None:
    own = {"audio", "audio_name", "face_job", "seed", "fps", "stream"}
    assert {field.name for field in dataclasses.fields(AnimateRequest)} == own | set(names(DIALS))
    for name in ("DIALS", "envy"):
        with pytest.raises(VividKeysError, match=f"no parameter '{name}'"):
            from_params(AnimateRequest, {"audio": AUDIO, name: 0.5})


def test_a_request_styles_with_what_is_not_applied_to_the_motion() -> None:
    turned = {dial.name: dial.highest for dial in DIALS}
    request = from_params(AnimateRequest, {"audio": AUDIO, **turned})
    late = [dial.name for dial in DIALS if dial.applied is Applied.CURVES]
    assert list(request.style.turned()) == late


@pytest.mark.parametrize("dial", STYLE, ids=lambda dial: dial.name)
def test_a_style_notes_the_dial_and_reads_it_again(dial: Dial) -> None:
    turned = StyleDials(**{dial.name: dial.highest})
    assert turned.turned() == {dial.name: dial.highest} and not turned.neutral
    assert dials_from(json.loads(json.dumps(turned.turned()))) == turned
    assert StyleDials(**{dial.name: dial.default}).neutral
    with pytest.raises(VividKeysError, match=f"'{dial.name}'"):
        StyleDials(**{dial.name: dial.highest + 0.01})


def test_a_style_knows_no_dial_beside_those_declared() -> None:
    assert [field.name for field in dataclasses.fields(StyleDials)] == names(STYLE)
    with pytest.raises(TypeError):
        StyleDials(effort=0.5)
    with pytest.raises(VividKeysError):
        dials_from({"effort": 0.5})
    with pytest.raises(dataclasses.FrozenInstanceError):
        StyleDials().joy = 1.0


def test_notes_of_earlier_files_still_open() -> None:
    """As Actions and Takes noted them before the dials were a table; whole numbers count too."""
    noted = {"articulation": 1.2, "head_motion": 0, "blinks": 0.5, "smile": -0.25, "joy": 1}
    assert dials_from(noted).turned() == noted
    assert dials_from({}).neutral


def test_every_mood_has_muscles_and_no_muscles_lack_a_mood() -> None:
    file = Path(style.__file__).with_name("moods.json")
    assert set(json.loads(file.read_text("utf-8"))) == set(MOODS)
    assert set(style.mood_table()) == set(MOODS)
    assert [dial.name for dial in DIALS if dial.group is Group.MOOD] == list(MOODS)


@pytest.mark.parametrize("document", ["PROTOCOL.md", "GUIDE.md"])
def test_the_documents_have_the_table_of_the_dials(document: str) -> None:
    text = (REPOSITORY / "docs" / document).read_text("utf-8")
    assert markdown_table() in text, (
        f"docs/{document} has no table of the dials, or an old one. Put this there:\n\n"
        f"{markdown_table()}"
    )


def test_a_class_with_dials_keeps_its_own_fields_first() -> None:
    @dataclasses.dataclass(frozen=True)
    class Both(Dialled, dials=SPEAKER):
        own: str

    assert [field.name for field in dataclasses.fields(Both)] == ["own", *names(SPEAKER)]
    assert Both("a").dial_values() == {dial.name: dial.default for dial in SPEAKER}
    assert Both("a", 0.5).dial_values(SPEAKER[:1]) == {SPEAKER[0].name: 0.5}
