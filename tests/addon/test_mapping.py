# SPDX-License-Identifier: GPL-3.0-or-later
"""Which shape key follows which channel: the naming conventions that characters come with."""

from __future__ import annotations

import numpy as np
import pytest

from blender_addon.mapping import (
    KeyRule,
    Mapping,
    load_mapping,
    load_presets,
    mapped_curves,
    match_keys,
    match_report,
    save_mapping,
)
from blender_addon.mapping.conventions import CONVENTIONS, Convention, key_name, keys_of_channels
from blender_addon.mapping.curves import viseme_strengths
from blender_addon.mapping.presets import viseme_names
from shared.arkit import ARKIT_NAMES, INDEX, JAW, MOUTH
from shared.errors import ErrorKind, VividKeysError


def _channel(mapping: Mapping, key: str) -> str:
    rule = next(rule for rule in mapping.rules if rule.key == key)
    assert len(rule.terms) == 1
    return rule.terms[0][0]


def _snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() else c for c in name)


def _side_suffix(name: str, joint: str) -> str:
    for side in ("Left", "Right"):
        if name.endswith(side):
            return name.removesuffix(side) + joint + side[0]
    return name


def _side_prefix(name: str) -> str:
    for side in ("Left", "Right"):
        if name.endswith(side):
            return side + "_" + name.removesuffix(side)
    return name


@pytest.mark.parametrize(
    "spell",
    [
        lambda name: name,
        str.lower,
        str.upper,
        lambda name: name[0].upper() + name[1:],
        _snake,
        lambda name: _side_suffix(name, "_"),
        lambda name: _side_suffix(name, "."),
        lambda name: _side_suffix(name, ""),
        _side_prefix,
        lambda name: "Head_blendShape1." + name,
        lambda name: "Face.M_F00_" + _side_suffix(name, "_"),
    ],
    ids=["exact", "lower", "upper", "pascal", "snake", "_L", ".L", "L", "Left_", "dotted", "rig"],
)
def test_all_52_names_are_found_in_every_spelling(spell):
    keys = [spell(name) for name in ARKIT_NAMES]
    mapping = match_keys(keys)
    assert {key: _channel(mapping, key) for key in keys} == dict(
        zip(keys, ARKIT_NAMES, strict=True)
    )


def test_halves_of_an_unsplit_channel_follow_it_together():
    mapping = match_keys(["browInnerUp_L", "browInnerUp_R", "cheekPuff_L", "jawL"])
    assert _channel(mapping, "browInnerUp_L") == _channel(mapping, "browInnerUp_R") == "browInnerUp"
    assert _channel(mapping, "cheekPuff_L") == "cheekPuff"
    assert _channel(mapping, "jawL") == "jawLeft"


@pytest.mark.parametrize(
    "key", ["Body_Fat", "Key 1", "smirk", "left", "L", "nose", "Wrinkle_Up", ""]
)
def test_other_shapes_are_left_alone(key):
    assert match_keys([key]).rules == ()


def test_a_prefixed_variant_is_not_a_second_channel():
    mapping = match_keys(["jawOpen", "Correctives_jawOpen"])
    assert mapping.key_names == ("jawOpen",)


def test_character_creator_looks_are_sided_by_the_eye_and_the_direction():
    keys = ["Eye_L_Look_L", "Eye_L_Look_R", "Eye_R_Look_L", "Eye_R_Look_R", "Mouth_Up_Upper_L"]
    mapping = match_keys(keys)
    assert [_channel(mapping, key) for key in keys] == [
        "eyeLookOutLeft",
        "eyeLookInLeft",
        "eyeLookInRight",
        "eyeLookOutRight",
        "mouthUpperUpLeft",
    ]


def test_character_creator_covers_the_mouth():
    reallusion = next(p for p in load_presets() if p.name == "reallusion")
    aliases = [alias.name for alias in reallusion.aliases]
    keys = sorted({*aliases, *(name for name, _ in reallusion.visemes)})
    report = match_report([(keys, match_keys(keys))])
    assert set(report.missing_channels) <= {"tongueOut"}
    assert report.unmatched_keys == ()


def test_the_one_key_for_both_eyes_steps_back_before_the_two():
    assert "Fcl_EYE_Close" in match_keys(["Fcl_EYE_Close"]).key_names
    mapping = match_keys(["Fcl_EYE_Close", "Fcl_EYE_Close_L", "Fcl_EYE_Close_R"])
    assert mapping.key_names == ("Fcl_EYE_Close_L", "Fcl_EYE_Close_R")


def test_visemes_only_drive_a_mesh_without_mouth_channels():
    visemes = ["viseme_aa", "viseme_PP", "viseme_U", "viseme_I", "viseme_O"]
    assert {rule.viseme for rule in match_keys([*visemes, "eyeBlinkLeft"]).rules} == {
        "oculus:aa",
        "oculus:PP",
        "oculus:U",
        "oculus:I",
        "oculus:O",
        "",
    }
    both = match_keys([*visemes, *ARKIT_NAMES])
    assert not any(rule.viseme for rule in both.rules)
    assert len(both.rules) == 52


def test_each_viseme_prototype_is_solved_as_itself():
    for preset in load_presets():
        for index, (name, terms) in enumerate(preset.prototypes):
            weights = np.zeros((1, 52), np.float32)
            for channel, weight in terms:
                weights[0, INDEX[channel]] = weight
            strengths = viseme_strengths(preset.name, weights)[0]
            assert strengths.argmax() == index, (preset.name, name)
            assert strengths[index] > 0.5, (preset.name, name, strengths)


def test_visemes_of_a_neutral_face_are_zero_and_never_add_up_to_more_than_one():
    assert np.allclose(viseme_strengths("oculus", np.zeros((2, 52), np.float32)), 0.0)
    weights = np.random.default_rng(3).random((40, 52), dtype=np.float32)
    strengths = viseme_strengths("oculus", weights)
    assert strengths.min() >= 0 and strengths.sum(axis=1).max() <= 1 + 1e-5


def test_curves_of_exact_keys_are_the_weights_themselves():
    weights = np.random.default_rng(1).random((30, 52), dtype=np.float32)
    curves = mapped_curves(match_keys(ARKIT_NAMES), weights)
    for name in ARKIT_NAMES:
        assert np.array_equal(curves[name], weights[:, INDEX[name]])


def test_gain_offset_and_clamp():
    weights = np.zeros((3, 52), np.float32)
    weights[:, INDEX["jawOpen"]] = [0.0, 0.25, 1.0]
    rule = KeyRule("Open", (("jawOpen", 1.0),), gain=2.0, offset=-0.2, low=0.0, high=1.5)
    curves = mapped_curves(Mapping((rule,)), weights)
    assert np.allclose(curves["Open"], [0.0, 0.3, 1.5])


def test_several_channels_add_up_in_one_key():
    weights = np.zeros((1, 52), np.float32)
    weights[0, INDEX["eyeBlinkLeft"]] = 1.0
    curves = mapped_curves(match_keys(["Fcl_EYE_Close"]), weights)
    assert np.allclose(curves["Fcl_EYE_Close"], 0.5)


def test_report_counts_channels_over_all_meshes():
    head, teeth = ["jawOpen", "eyeBlinkLeft", "Fat"], ["jawOpen"]
    report = match_report([(head, match_keys(head)), (teeth, match_keys(teeth))])
    assert report.matched_channels == ("eyeBlinkLeft", "jawOpen")
    assert report.matched_keys == 3 and report.unmatched_keys == ("Fat",)
    assert report.sentence == "2 of 52 channels drive 3 shape keys."


def test_a_saved_mapping_is_read_back_as_it_was(tmp_path):
    keys = ["jawOpen", "Fcl_EYE_Close", "viseme_aa", "viseme_PP", "viseme_U"]
    mapping = match_keys(keys)
    save_mapping({"Täst": mapping}, tmp_path / "map.json")
    again = load_mapping(tmp_path / "map.json", viseme_names())
    weights = np.random.default_rng(2).random((5, 52), dtype=np.float32)
    before, after = mapped_curves(mapping, weights), mapped_curves(again["Täst"], weights)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"vividkeys_mapping": 1}',
        '{"vividkeys_mapping": 1, "meshes": {"Head": [{"key": "a", "channels": "jawopen"}]}}',
        '{"vividkeys_mapping": 1, "meshes": {"Head": [{"key": "a"}]}}',
        '{"vividkeys_mapping": 1, "meshes": {"Head": [{"key": "a", "viseme": "oculus:XX"}]}}',
        '{"vividkeys_mapping": 1, "meshes": {"H": [{"key": "a", "channels": {"jawOpen": NaN}}]}}',
        '{"vividkeys_mapping": 1, "meshes": {"H": [{"key": "a", "channels": "jawOpen",'
        ' "clamp": [1, 0]}]}}',
        '{"vividkeys_mapping": 1, "meshes": {"H": [{"key": "a", "channels": "jawOpen"},'
        ' {"key": "a", "channels": "jawOpen"}]}}',
    ],
)
def test_a_mapping_file_that_cannot_be_used_says_why(tmp_path, text):
    path = tmp_path / "map.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(VividKeysError) as caught:
        load_mapping(path, viseme_names())
    assert caught.value.kind == ErrorKind.BAD_FILE
    assert "map.json" in caught.value.sentence and caught.value.next_step


def test_presets_name_only_mouth_channels_as_visemes():
    for preset in load_presets():
        for _, terms in preset.prototypes:
            assert {channel for channel, _ in terms} <= {*MOUTH, *JAW, "tongueOut"}


def test_a_characters_own_arkit_names_are_all_matched(shared_data):
    """Two heads made by others: ICT-FaceKit (_L, _R) and MakeHuman with TalkingHead's targets."""
    ict = np.load(shared_data / "heads" / "ict_facekit.npz", allow_pickle=False)
    keys = [str(name) for name in ict["expression_names"]]
    report = match_report([(keys, match_keys(keys))])
    assert report.unmatched_keys == () and report.missing_channels == ("tongueOut",)
    human = np.load(shared_data / "heads" / "mpfb_hm08_arkit52_viseme15.npz", allow_pickle=False)
    keys = [str(name) for name in human["names"]]
    mapping = match_keys(keys)
    assert len(mapping.rules) == 52
    visemes_only = [key for key in keys if key.startswith("viseme")]
    assert {r.key for r in match_keys(visemes_only).rules} == set(visemes_only) - {"viseme_sil"}


@pytest.mark.parametrize("convention", CONVENTIONS, ids=lambda convention: convention.name)
def test_what_we_call_keys_we_also_recognise(convention: Convention) -> None:
    names = [key_name(convention.name, channel) for channel in ARKIT_NAMES]
    assert names[0] == convention.title and len(set(names)) == 52
    own = keys_of_channels(tuple(names))
    assert own == dict(zip(ARKIT_NAMES, names, strict=True))


def test_a_key_of_several_channels_is_none_of_their_own_keys() -> None:
    names = ("Fcl_BRW_Angry", "Fcl_EYE_Close", "EyeWide_R", "Smirk")
    assert keys_of_channels(names) == {"eyeWideRight": "EyeWide_R"}


def test_an_unknown_convention_is_refused() -> None:
    with pytest.raises(ValueError, match="no convention 'x'"):
        key_name("x", "jawOpen")
