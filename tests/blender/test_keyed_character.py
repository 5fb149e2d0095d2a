# SPDX-License-Identifier: GPL-3.0-or-later
"""A character whose keys we made is animated like any other: curves, lip detail, export."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from .conftest import shape_curve
from .made_up_character import (
    FIELDS,
    answer,
    choose,
    fields_for,
    landmarks_of,
    new_character,
    new_eye,
    sent_character,
)

LIPS = [f"vk_offset_{number + 1:02d}" for number in range(FIELDS)]
# A Take's face has its own size and direction.
TURN = np.array([[0.0, 1.3, 0.0], [-0.8, 0.0, 0.0], [0.0, 0.0, 0.9]])


@pytest.fixture
def keyed(blender, addon, connected, backend):
    """A face and an eye with keys, scaled and turned in the scene; the face is returned."""
    backend.results["transfer"] = answer(addon)
    figure = new_character(blender)
    figure.scale, figure.rotation_euler = (2.0, -3.0, 1.5), (0.2, 0.0, 0.7)
    choose(blender, figure, new_eye(blender))
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
    blender.context.scene.render.fps = 30
    return figure


@pytest.fixture
def spoken(addon, backend, keyed, make_take):
    """A Take whose lip fields are those that were put onto the character, on another face."""
    sent = sent_character(addon, backend)
    fields = fields_for(sent)[:, np.arange(468) * 484 // 468]
    take = make_take(1.0, offsets=FIELDS)
    take = replace(
        take,
        neutral=(landmarks_of(sent) @ TURN).astype(np.float32),
        offset_basis=(fields @ TURN).astype(np.float32),
    )
    backend.results["animate"] = addon("shared.take").take_to_arrays(take)
    return take


def test_animate_drives_the_new_keys_on_every_piece(
    blender, addon, backend, connected, keyed, spoken, voice
):
    assert blender.ops.vividkeys.animate(audio_file=str(voice), start_frame=1) == {"FINISHED"}
    # Its lips are shaped for its own face.
    noted = addon("animation.lip_detail").landmarks_of(keyed)
    assert np.array_equal(backend.submits[-1].arrays["face.landmarks"], noted)
    resampled = addon("shared.take").resample_take(spoken, 30.0)
    index, eye = addon("shared.arkit").INDEX, blender.data.objects["Auge"]
    for piece, name in ((keyed, "jawOpen"), (keyed, "tongueOut"), (eye, "eyeLookUpLeft")):
        keys = shape_curve(addon, piece.data.shape_keys, name)
        assert np.array_equal(keys[:, 1], resampled.weights[:, index[name]])
    for column, name in enumerate(LIPS):
        keys = shape_curve(addon, keyed.data.shape_keys, name)
        assert np.array_equal(keys[:, 1], resampled.offset_weights[:, column])
    told = connected.notice.sentences
    assert told[0] == "52 of 52 channels drive 60 shape keys."
    assert not any("ip detail" in sentence for sentence in told)


def test_lip_detail_of_another_version_is_left_out(
    blender, addon, connected, backend, keyed, spoken, voice
):
    turned = replace(spoken, offset_basis=np.roll(spoken.offset_basis, 1, axis=0))
    backend.results["animate"] = addon("shared.take").take_to_arrays(turned)
    assert blender.ops.vividkeys.animate(audio_file=str(voice)) == {"FINISHED"}
    lip_detail = addon("animation.lip_detail")
    assert lip_detail.OTHER_FIELDS.format(name="Figur") in connected.notice.sentences
    assert keyed.data.shape_keys.key_blocks[LIPS[0]].value == 0.0
    # A note that somebody has spoilt is no reason to leave them out.
    for spoilt in ("x", [1.0, 2.0], float("nan")):
        keyed[lip_detail.LANDMARKS_PROPERTY] = spoilt
        assert lip_detail.landmarks_of(keyed) is None and lip_detail.fits(keyed, turned)
    del keyed[lip_detail.LANDMARKS_PROPERTY]
    assert lip_detail.fits(keyed, turned)


def test_landmarks_are_noted_in_the_objects_own_space_and_survive_saving(
    blender, addon, backend, keyed, tmp_path
):
    sent = sent_character(addon, backend)
    path = str(tmp_path / "scene.blend")
    blender.ops.wm.save_as_mainfile(filepath=path)
    blender.ops.wm.open_mainfile(filepath=path)
    again = blender.data.objects["Figur"]
    noted = addon("animation.lip_detail").landmarks_of(again)
    own = np.array([vertex.co for vertex in again.data.vertices])
    assert np.abs(noted - own[np.arange(468) * 484 // 468]).max() < 1e-5
    assert len(again["vividkeys_landmarks"]) == 468 * 3
    assert np.abs(landmarks_of(sent) - noted).max() > 0.01


def test_the_new_keys_go_into_a_glb(blender, addon, connected, keyed, spoken, voice, tmp_path):
    assert blender.ops.vividkeys.animate(audio_file=str(voice)) == {"FINISHED"}
    path = tmp_path / "figure.glb"
    assert blender.ops.vividkeys.export(format="GLB", filepath=str(path)) == {"FINISHED"}
    document, _ = addon("animation.glb_times").read_glb(path)
    names = {mesh["name"]: mesh["extras"]["targetNames"] for mesh in document["meshes"]}
    arkit = addon("shared.arkit").ARKIT_NAMES
    assert names["Figur"] == [*arkit, *LIPS]
    assert names["Auge"] == [name for name in arkit if name.startswith("eyeLook")]
    weights = [c for a in document["animations"] for c in a["channels"]]
    assert sum(channel["target"]["path"] == "weights" for channel in weights) == 2


def test_lip_keys_of_the_user_are_refilled_only_on_request(blender, addon, backend, keyed):
    coordinates = addon("animation.lip_detail").coordinates
    block = keyed.data.shape_keys.key_blocks[LIPS[1]]
    made = coordinates(block.points)
    block.points[0].co.z += 1.0
    sculpted = coordinates(block.points)
    choose(blender, keyed)
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
    assert np.array_equal(coordinates(block.points), sculpted)
    assert blender.ops.vividkeys.make_face_keys(replace_keys=True) == {"FINISHED"}
    # With the face alone the made-up fields are the same numbers in another order.
    assert not np.array_equal(coordinates(block.points), sculpted)
    assert np.abs(coordinates(block.points) - made).max() < 0.1


def test_a_piece_that_nothing_moves_is_in_the_file_all_the_same(
    blender, addon, connected, backend, make_take, voice, tmp_path
):
    figure, teeth = new_character(blender), new_eye(blender, "Zähne")

    def answer_without_teeth(message):
        arrays = answer(addon)(message)
        moves = message.arrays["piece"][arrays["rows"]] == 0
        return {
            name: value * moves[:, None] if name in ("shapes", "offset_fields") else value
            for name, value in arrays.items()
        }

    backend.results["transfer"] = answer_without_teeth
    choose(blender, figure, teeth)
    assert blender.ops.vividkeys.make_face_keys() == {"FINISHED"}
    assert teeth.data.shape_keys is None
    assert addon("animation.targets").target_meshes(blender.context) == [figure]
    assert blender.ops.vividkeys.animate(audio_file=str(voice)) == {"FINISHED"}
    other = new_eye(blender, "Other")
    path = tmp_path / "figure.glb"
    choose(blender, other)
    assert blender.ops.vividkeys.export(format="GLB", filepath=str(path)) == {"FINISHED"}
    document, _ = addon("animation.glb_times").read_glb(path)
    assert {node["name"] for node in document["nodes"]} == {"Figur", "Zähne"}
    # One that was deleted or lies in a hidden collection keeps nobody from exporting.
    blender.context.scene.collection.objects.unlink(teeth)
    assert blender.ops.vividkeys.export(format="GLB", filepath=str(path)) == {"FINISHED"}
    document, _ = addon("animation.glb_times").read_glb(path)
    assert {node["name"] for node in document["nodes"]} == {"Figur"}
