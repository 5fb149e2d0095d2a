# SPDX-License-Identifier: GPL-3.0-or-later
"""Style dials in Blender: applied while keying, turned again without a backend."""

from __future__ import annotations

import wave
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from .conftest import shape_curve
from .scripted_backend import ScriptedBackend
from .test_panels import Recorder


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    path = tmp_path / "line.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16000)
        sound.writeframes(bytes(32000))
    return path


@pytest.fixture
def speech(addon, make_take):
    """A Take whose mouth opens and closes four times a second, brows and head moving."""
    from dataclasses import replace

    index = addon("shared.arkit").INDEX
    made = make_take(3.0)
    weights = np.zeros_like(made.weights)
    swing = np.sin(np.arange(len(weights)) / 60.0 * 2 * np.pi * 2.0)
    weights[:, index["jawOpen"]] = 0.5 * np.clip(swing, 0.0, 1.0)
    weights[:, index["mouthLowerDownLeft"]] = 0.3 * np.clip(swing, 0.0, 1.0)
    weights[:, index["browInnerUp"]] = 0.2 + 0.1 * swing
    return replace(made, weights=weights)


@pytest.fixture
def blinking(addon, speech):
    """The same Take with eyes, and what they were drawn from."""
    from dataclasses import replace

    note = addon("shared.performance.redrawn_eyes").EyesNote(
        7, speech.fps, 1.0, 1.0, 0, speech.frame_count, (0.9, 2.1)
    )
    weights = np.minimum(speech.weights + note.drawn(), 1.0)
    return replace(speech, weights=weights, meta={**speech.meta, "eyes": note.as_meta()})


@pytest.fixture
def animated(blender, addon, tmp_path, head, voice, speech):
    """The head, keyed by a backend that is gone afterwards; the head's motion goes onto it."""
    with ScriptedBackend(addon, tmp_path) as backend:
        backend.results["animate"] = addon("shared.take").take_to_arrays(speech)
        blender.context.scene.render.fps = 60
        operators = blender.ops.vividkeys
        operators.connect_address(address=backend.address, key_file=str(backend.key_file))
        assert operators.animate(audio_file=str(voice)) == {"FINISHED"}
        operators.disconnect()
    return head


def _keys(addon, head, name):
    return shape_curve(addon, head.data.shape_keys, name)[:, 1]


def _column(addon, take, name):
    return take.weights[:, addon("shared.arkit").INDEX[name]]


def test_neutral_dials_key_the_take_as_it_is(blender, addon, animated, speech):
    assert np.array_equal(_keys(addon, animated, "jawOpen"), _column(addon, speech, "jawOpen"))
    action = addon("animation.exporting").performance_actions([animated])[0]
    assert addon("animation.keying").action_description(action)["style"] == {}


def test_another_dial_keys_the_same_take_anew_without_a_backend(blender, addon, animated, speech):
    settings = blender.context.scene.vividkeys
    settings.joy, settings.jaw, settings.asymmetry = 0.8, 0.5, 0.3
    assert blender.ops.vividkeys.apply_take() == {"FINISHED"}
    dials = addon("shared.performance.style").StyleDials(
        joy=settings.joy, jaw=0.5, asymmetry=settings.asymmetry
    )
    expected = addon("shared.performance.style").restyle_take(speech, dials)
    for name in ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "cheekSquintLeft"):
        assert np.array_equal(_keys(addon, animated, name), _column(addon, expected, name)), name
    assert _keys(addon, animated, "mouthSmileLeft").max() > 0.3
    assert np.array_equal(
        addon("jobs.performances").performance_on(blender.context).weights, expected.weights
    )
    # Back to neutral: the dials never add up.
    for name in ("joy", "jaw", "asymmetry"):
        settings.property_unset(name)
    assert blender.ops.vividkeys.apply_take() == {"FINISHED"}
    assert np.array_equal(_keys(addon, animated, "jawOpen"), _column(addon, speech, "jawOpen"))
    assert not _keys(addon, animated, "mouthSmileLeft").any()


def test_zero_removes_a_motion(blender, addon, animated):
    settings = blender.context.scene.vividkeys
    settings.articulation = settings.expressiveness = settings.head_motion = 0.0
    assert blender.ops.vividkeys.apply_take() == {"FINISHED"}
    for name in ("jawOpen", "mouthLowerDownLeft", "browInnerUp"):
        assert not _keys(addon, animated, name).any(), name
    performance = addon("jobs.performances").performance_on(blender.context)
    assert not performance.head_rotation.any() and not performance.head_translation.any()


@pytest.mark.parametrize("mood", ["joy", "sadness", "anger", "fear", "surprise", "disgust"])
def test_closed_lips_stay_closed_on_the_head(blender, addon, animated, speech, mood):
    assert blender.ops.vividkeys.apply_take(**{mood: 1.0}) == {"FINISHED"}
    performance = addon("jobs.performances").performance_on(blender.context)
    lips = addon("shared.lips")
    closed = lips.aperture(np.ascontiguousarray(speech.weights.T)) == 0.0
    after = lips.aperture(np.ascontiguousarray(performance.weights.T))
    assert closed.sum() > 50 and after[closed].max() < 1e-4
    assert np.abs(performance.weights - speech.weights).max() > 0.2


def test_blinks_and_gaze_are_drawn_anew_without_a_backend(
    blender, addon, tmp_path, head, voice, blinking
):
    with ScriptedBackend(addon, tmp_path) as backend:
        backend.results["animate"] = addon("shared.take").take_to_arrays(blinking)
        blender.context.scene.render.fps = 60
        operators = blender.ops.vividkeys
        operators.connect_address(address=backend.address, key_file=str(backend.key_file))
        assert operators.animate(audio_file=str(voice)) == {"FINISHED"}
        operators.disconnect()
    lid, look = "eyeBlinkLeft", "eyeLookOutLeft"
    assert np.array_equal(_keys(addon, head, lid), _column(addon, blinking, lid))
    assert _keys(addon, head, lid).max() > 0.9
    assert operators.apply_take(blinks=0.0, gaze=0.0) == {"FINISHED"}
    assert not _keys(addon, head, lid).any() and not _keys(addon, head, look).any()
    assert np.array_equal(_keys(addon, head, "jawOpen"), _column(addon, blinking, "jawOpen"))
    assert operators.apply_take(blinks=3.0) == {"FINISHED"}
    onsets = [
        np.count_nonzero(np.diff(curve > 0.4) == 1)
        for curve in (_keys(addon, head, lid), _column(addon, blinking, lid))
    ]
    assert onsets[0] > onsets[1]
    expected = addon("shared.performance.style").restyle_take(
        blinking, addon("shared.performance.style").StyleDials(blinks=3.0)
    )
    performance = addon("jobs.performances").performance_on(blender.context)
    assert np.array_equal(performance.weights, expected.weights)


def test_a_mood_that_is_keyed_comes_and_goes(blender, addon, animated, speech):
    scene = blender.context.scene
    for frame, joy in ((1, 0.0), (90, 0.0), (150, 1.0)):
        scene.vividkeys.joy = joy
        scene.vividkeys.keyframe_insert("joy", frame=frame)
    assert blender.ops.vividkeys.apply_take() == {"FINISHED"}
    smile = _keys(addon, animated, "mouthSmileLeft")
    assert not smile[:60].any() and smile[160:].max() > 0.3
    performance = addon("jobs.performances").performance_on(blender.context)
    assert np.allclose(_column(addon, performance, "mouthSmileLeft"), smile, atol=1e-6)
    # What a script says counts more than the curve.
    assert blender.ops.vividkeys.apply_take(joy=0.0) == {"FINISHED"}
    assert not _keys(addon, animated, "mouthSmileLeft").any()


def test_a_script_turns_a_dial_for_one_call(blender, addon, animated):
    assert blender.ops.vividkeys.apply_take(smile=1.0) == {"FINISHED"}
    assert _keys(addon, animated, "mouthSmileLeft").max() > 0.4
    assert blender.context.scene.vividkeys.smile == 0.0


def test_a_plan_of_an_earlier_session_keeps_its_style(blender, addon, animated, make_plan):
    animate = addon("jobs.kinds.animate")
    dials = addon("shared.performance.style").StyleDials(joy=0.5, jaw=2.0)
    values = animate.plan_to_json(make_plan(animated, style=dials))
    assert animate.plan_from_json(values).style == dials
    del values["style"]
    assert animate.plan_from_json(values).style.neutral
    values["style"] = {"joy": 9}
    with pytest.raises(addon("shared.errors").VividKeysError):
        animate.plan_from_json(values)


def test_every_dial_is_a_property_that_can_be_keyed(blender, addon):
    table = addon("shared.dials")
    settings = blender.context.scene.vividkeys
    animate = blender.ops.vividkeys.animate.get_rna_type().properties
    apply_take = blender.ops.vividkeys.apply_take.get_rna_type().properties
    for dial in table.DIALS:
        for known in (settings.bl_rna.properties, animate):
            field = known[dial.name]
            assert (field.name, field.description) == (dial.label, dial.tooltip)
            assert (field.hard_min, field.hard_max) == (dial.lowest, dial.highest)
            assert field.soft_max == (dial.usual_highest or dial.highest)
            assert field.default == dial.default and field.subtype == "FACTOR"
        assert (dial.name in apply_take) is (dial in table.STYLE)
        settings.keyframe_insert(dial.name, frame=1)
        setattr(settings, dial.name, dial.highest)
        assert getattr(settings, dial.name) == dial.highest
        settings.property_unset(dial.name)
        assert getattr(settings, dial.name) == dial.default


def test_every_style_dial_is_noted_in_the_action_and_read_again(blender, addon, animated):
    settings = blender.context.scene.vividkeys
    turned = {dial.name: dial.highest for dial in addon("shared.dials").STYLE}
    for name, value in turned.items():
        setattr(settings, name, value)
    assert blender.ops.vividkeys.apply_take() == {"FINISHED"}
    action = addon("animation.exporting").performance_actions([animated])[0]
    assert addon("animation.keying").action_description(action)["style"] == turned
    assert addon("jobs.performances").performance_on(blender.context).meta["style"] == turned


def test_every_mood_can_be_keyed_over_time(blender, addon):
    scene = blender.context.scene
    moods = addon("shared.dials").MOODS
    for name in moods:
        scene.vividkeys.keyframe_insert(name, frame=1)
    assert addon("animation.animated_moods").moving_moods(scene) == moods


def test_the_panel_shows_every_dial_and_applies_it(blender, addon, animated):
    recorder = Recorder(blender)
    panels, dials = addon("interface.panels"), addon("shared.dials")
    panels.VIVIDKEYS_PT_style.draw(SimpleNamespace(layout=recorder), blender.context)
    assert recorder.fields == [dial.name for dial in dials.STYLE]
    assert recorder.buttons["vividkeys.apply_take"] is True
    panels.VIVIDKEYS_PT_performance.draw(SimpleNamespace(layout=recorder), blender.context)
    assert sorted(set(recorder.fields) & {dial.name for dial in dials.DIALS}) == sorted(
        dial.name for dial in dials.DIALS
    )


def test_the_panel_says_when_animate_has_to_run_again(blender, addon, head, make_plan, speech):
    from dataclasses import replace

    settings = blender.context.scene.vividkeys
    asked = {"seed": 4, "effort": 0.0, "jaw_share": 0.0, "parted": 0.25, "head_liveliness": 0.0}
    settings.seed, settings.parted = 4, 0.25
    made = replace(speech, meta={"seed": 4, "settings": {**asked, "fps": 60.0}})
    pending = addon("jobs.pending_take").PendingTake(made, "", None, None)
    addon("jobs.performances").apply_take(blender.context, pending, make_plan(head))

    def said():
        recorder = Recorder(blender)
        panel = addon("interface.panels").VIVIDKEYS_PT_performance
        panel.draw(SimpleNamespace(layout=recorder), blender.context)
        assert set(asked) <= set(recorder.fields)
        return "Animate" in " ".join(recorder.texts)

    assert not said()
    for name, value in (("seed", 5), ("effort", 0.5), ("jaw_share", -1.0), ("parted", 0.0)):
        before = getattr(settings, name)
        setattr(settings, name, value)
        assert said(), name
        setattr(settings, name, before)
    assert not said()
