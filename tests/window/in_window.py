# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a Blender with a window: a photo and a voice through the panel's operators.

Each `yield` gives the event loop back until its condition is true. The outcome is written to
result.json in the folder named by VIVIDKEYS_WINDOW; run.py reads it.
"""

from __future__ import annotations

import importlib
import json
import os
import time
import traceback
from collections.abc import Callable, Iterator
from math import radians
from pathlib import Path
from typing import Any

import bpy
from mathutils import Euler

FOLDER = Path(os.environ["VIVIDKEYS_WINDOW"])
PACKAGE = "bl_ext.user_default.vividkeys"
STEP_SECONDS = 120.0
TICK = 0.1

facts: dict[str, Any] = {}


def work() -> Any:
    return importlib.import_module(f"{PACKAGE}.jobs.work").state()


def view() -> dict[str, Any]:
    """The 3D view, for operators that need one."""
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "WINDOW")
    return {"window": window, "area": area, "region": region}


def run(operator: Any, **properties: Any) -> None:
    with bpy.context.temp_override(**view()):
        result = operator("INVOKE_DEFAULT", **properties)
    assert result in ({"RUNNING_MODAL"}, {"FINISHED"}), result


def wait(seconds: float) -> Callable[[], bool]:
    until = time.monotonic() + seconds
    return lambda: time.monotonic() > until


def has_result() -> bool:
    """The job has ended and its operator has done its work."""
    return not work().busy and work().job is None


def steps() -> Iterator[Callable[[], bool]]:
    plan = json.loads((FOLDER / "plan.json").read_text())
    yield wait(3.0)
    facts["version"] = bpy.app.version_string
    preferences = bpy.context.preferences.addons[PACKAGE].preferences
    preferences.address, preferences.key_file = plan["address"], plan["key_file"]
    for name in list(bpy.data.objects.keys()):
        bpy.data.objects.remove(bpy.data.objects[name])
    space = view()["area"].spaces.active
    space.show_region_ui = True
    yield wait(2.0)
    sidebar = next(r for r in view()["area"].regions if r.type == "UI")
    sidebar.active_panel_category = "VividKeys"

    run(bpy.ops.vividkeys.connect_address)
    yield lambda: work().backend.connected
    bpy.context.scene.vividkeys.image_file = plan["photo"]
    bpy.context.scene.vividkeys.audio_file = plan["voice"]
    bpy.ops.ed.undo_push(message="Before")

    run(bpy.ops.vividkeys.create_head)
    windows = bpy.context.window_manager.windows
    facts["modal while creating"] = len(windows[0].modal_operators)
    yield has_result
    assert work().notice is not None and not work().notice.is_error, work().notice
    head = bpy.context.view_layer.objects.active
    facts["head"] = head.name
    space.shading.type = "SOLID"
    space.shading.color_type = "TEXTURE"
    space.overlay.show_floor = space.overlay.show_axis_x = space.overlay.show_axis_y = False
    space.overlay.show_outline_selected = False
    space.overlay.show_object_origins = space.overlay.show_cursor = False
    space.lens = 85
    with bpy.context.temp_override(**view()):
        bpy.ops.view3d.view_axis(type="FRONT")
        bpy.ops.view3d.view_selected()
    # From a little to the side, as a portrait is taken.
    camera = space.region_3d
    camera.view_perspective = "PERSP"
    camera.view_rotation = Euler((radians(88), 0.0, radians(12))).to_quaternion()
    yield wait(1.0)

    run(bpy.ops.vividkeys.animate)
    assert work().busy
    facts["modal while animating"] = len(windows[0].modal_operators)
    yield has_result
    assert not work().notice.is_error, work().notice
    action = head.data.shape_keys.animation_data.action
    facts["action"] = action.name
    yield wait(0.5)
    assert not windows[0].modal_operators, "the operator did not end"

    with bpy.context.temp_override(**view()):
        bpy.ops.ed.undo()
    assert not bpy.data.actions, "one undo takes the performance away"
    assert facts["head"] in bpy.data.objects, "and leaves the head"
    with bpy.context.temp_override(**view()):
        bpy.ops.ed.undo()
    assert facts["head"] not in bpy.data.objects, "another one takes the head away"
    with bpy.context.temp_override(**view()):
        bpy.ops.ed.redo()
        bpy.ops.ed.redo()
    keys = bpy.data.objects[facts["head"]].data.shape_keys
    assert keys.animation_data.action.name == facts["action"]

    # The picture: a frame with an open mouth and open eyes, the panel beside it.
    scene = bpy.context.scene
    jaw, lid = keys.key_blocks["jawOpen"], keys.key_blocks["eyeBlinkLeft"]
    openings = []
    for frame in range(scene.frame_start, scene.frame_end + 1, 3):
        scene.frame_set(frame)
        openings.append((-abs(jaw.value - 0.3) - 3.0 * lid.value, frame))
    scene.frame_set(max(openings)[1])
    facts["frame"] = scene.frame_current
    yield wait(3.0)
    (FOLDER / "pose").touch()
    yield lambda: (FOLDER / "taken").exists()

    # A job that is cancelled by its button leaves the modal list and the file as they were.
    run(bpy.ops.vividkeys.animate)
    run(bpy.ops.vividkeys.cancel)
    yield has_result
    yield wait(0.5)
    assert not windows[0].modal_operators
    facts["actions after cancel"] = len(bpy.data.actions)
    yield from talking_video()
    yield from keys_for_a_stranger(bpy.data.objects[facts["head"]])


def talking_video() -> Iterator[Callable[[], bool]]:
    """A preview, then the film in its place, one step of undo each; and a picture of both."""
    versions = importlib.import_module(f"{PACKAGE}.versions")
    scene = bpy.context.scene

    def movies() -> list[Any]:
        editor = bpy.context.scene.sequence_editor
        strips = versions.strips_of(editor) if editor is not None else []
        return [strip for strip in strips if strip.type == "MOVIE"]

    scene.vividkeys.video_size = 512
    bpy.ops.ed.undo_push(message="Before the video")
    run(bpy.ops.vividkeys.render_video)
    yield lambda: bool(movies())
    preview = movies()[0].filepath
    yield lambda: [strip.filepath for strip in movies()] not in ([], [preview])
    yield has_result
    assert work().notice is not None and not work().notice.is_error, work().notice
    (film,) = movies()
    start, end = versions.strip_frames(film)[1:]
    facts["film"] = [film.channel, start, end]
    assert start == scene.frame_start, (start, scene.frame_start)
    with bpy.context.temp_override(**view()):
        bpy.ops.ed.undo()
    assert [strip.filepath for strip in movies()] == [preview]
    with bpy.context.temp_override(**view()):
        bpy.ops.ed.redo()
    show_the_film()
    yield wait(2.0)
    all_in_view()
    yield wait(3.0)
    (FOLDER / "pose_video").touch()
    yield lambda: (FOLDER / "taken_video").exists()


def show_the_film() -> None:
    """The section of the panel alone, the film beside it, its strips below."""
    panels = importlib.import_module(f"{PACKAGE}.interface.panels").CLASSES
    for panel in panels:
        if issubclass(panel, bpy.types.Panel) and not getattr(panel, "bl_parent_id", ""):
            bpy.utils.unregister_class(panel)
            shown = panel.bl_idname == "VIVIDKEYS_PT_video"
            panel.bl_options = set() if shown else {"DEFAULT_CLOSED"}
            panel.bl_idname += "_again"
            bpy.utils.register_class(panel)
    screen = bpy.context.window_manager.windows[0].screen
    before = list(screen.areas)
    with bpy.context.temp_override(**view()):
        bpy.ops.screen.area_split(direction="HORIZONTAL", factor=0.22)
    (piece,) = (area for area in screen.areas if area not in before)
    pieces = [view()["area"], piece]
    below = min(pieces, key=lambda area: area.y)
    beside = next(area for area in screen.areas if area.type == "PROPERTIES")
    for area, shows in ((beside, "PREVIEW"), (below, "SEQUENCER")):
        area.type = "SEQUENCE_EDITOR"
        area.spaces.active.view_type = shows
        area.spaces.active.show_region_toolbar = False
    # As large as the film, or it would be a stamp in the middle of the preview.
    render = bpy.context.scene.render
    render.resolution_x, render.resolution_y = 512, 614
    bpy.context.scene.frame_set(facts["frame"])


def all_in_view() -> None:
    """Strips and film fill their areas."""
    window = bpy.context.window_manager.windows[0]
    for area in window.screen.areas:
        if area.type != "SEQUENCE_EDITOR":
            continue
        shows = area.spaces.active.view_type
        kind = "PREVIEW" if shows == "PREVIEW" else "WINDOW"
        region = next(region for region in area.regions if region.type == kind)
        with bpy.context.temp_override(window=window, area=area, region=region):
            if shows == "PREVIEW":
                bpy.ops.sequencer.view_all_preview()
            else:
                bpy.ops.sequencer.view_all()


def keys_for_a_stranger(head: Any) -> Iterator[Callable[[], bool]]:
    """A head of ours, stripped of its keys, gets points and keys: one step of undo each."""
    stranger = bpy.data.objects.new("Stranger", head.data.copy())
    bpy.context.scene.collection.objects.link(stranger)
    stranger.shape_key_clear()
    stranger.location.x = 1.0
    bpy.context.view_layer.update()
    for member in bpy.context.view_layer.objects:
        member.select_set(member == stranger)
    bpy.context.view_layer.objects.active = stranger
    bpy.ops.ed.undo_push(message="Stranger")

    def points() -> int:
        children = bpy.data.objects["Stranger"].children
        return sum("vividkeys_face_point" in child for child in children)

    def keys() -> int:
        shape_keys = bpy.data.objects["Stranger"].data.shape_keys
        return 0 if shape_keys is None else len(shape_keys.key_blocks)

    for operator in (bpy.ops.vividkeys.find_face_points, bpy.ops.vividkeys.make_face_keys):
        run(operator)
        yield has_result
        assert work().notice is not None and not work().notice.is_error, work().notice
        yield wait(0.5)
    facts["keys of a stranger"] = keys()
    assert points() == 12 and keys() == 65, (points(), keys())
    for change, expected in (("undo", (12, 0)), ("undo", (0, 0)), ("redo", (12, 0))):
        with bpy.context.temp_override(**view()):
            getattr(bpy.ops.ed, change)()
        assert (points(), keys()) == expected, (change, points(), keys())


def main() -> None:
    script = steps()
    state: dict[str, Any] = {"until": lambda: True, "since": time.monotonic()}

    def end(error: str) -> None:
        facts["error"] = error
        temporary = FOLDER / "result.json.tmp"
        temporary.write_text(json.dumps(facts, indent=1))
        temporary.replace(FOLDER / "result.json")
        bpy.ops.wm.quit_blender()

    def tick() -> float | None:
        try:
            if not state["until"]():
                if time.monotonic() - state["since"] > STEP_SECONDS:
                    raise TimeoutError(f"a step took more than {STEP_SECONDS:g} s: {work().notice}")
                return TICK
            state["until"], state["since"] = next(script), time.monotonic()
        except StopIteration:
            end("")
            return None
        except Exception:
            end(traceback.format_exc())
            return None
        return TICK

    bpy.app.timers.register(tick, first_interval=1.0, persistent=True)


main()
