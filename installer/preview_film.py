# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo's film: a camera in front of the head, Workbench, H.264 with the voice as AAC.

Runs inside Blender's module, 4.5 and later.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
from mathutils import Vector

SIZE = 480  # pixels, both ways; H.264 needs even numbers
_LENS = 85.0  # mm: a portrait lens, so that the nose does not grow
_SENSOR = 36.0  # mm
_MARGIN = 1.75  # around the face: the hair, the chin's way down, the head's motion
_TURN = math.radians(14)  # a little from the side shows that the head is round
_EXPOSURE = 0.55  # stops; the studio light takes about as much away
_BACKGROUND = (0.055, 0.06, 0.07)


def place_camera(scene: Any, head: Any) -> Any:
    """A camera that frames the face at rest; returns it.

    `head` looks along -Y. The face is the first vertices of the mesh, as many as the extension
    has noted on it; its size is taken as modelled, not from the pose.
    """
    count = int(head.get("vividkeys_landmarks", len(head.data.vertices)))
    face = [vertex.co for vertex in head.data.vertices[:count]]
    low = Vector([min(corner[axis] for corner in face) for axis in range(3)])
    high = Vector([max(corner[axis] for corner in face) for axis in range(3)])
    centre, extent = (low + high) / 2, high - low  # heads are made at the origin
    half_angle = math.atan(_SENSOR / 2 / _LENS)
    distance = max(extent.x, extent.z) / 2 * _MARGIN / math.tan(half_angle)
    data = bpy.data.cameras.new("Preview Camera")
    data.lens, data.sensor_width, data.clip_start = _LENS, _SENSOR, 0.01
    camera = bpy.data.objects.new("Preview Camera", data)
    direction = Vector((math.sin(_TURN), -math.cos(_TURN), 0.06)).normalized()
    camera.location = centre + direction * distance
    camera.rotation_euler = (-direction).to_track_quat("-Z", "Y").to_euler()
    scene.collection.objects.link(camera)
    scene.camera = camera
    return camera


def set_look(scene: Any) -> None:
    """Workbench with the photo as colour, soft studio light, the photo's colours kept."""
    scene.render.engine = "BLENDER_WORKBENCH"
    scene.render.resolution_x = scene.render.resolution_y = SIZE
    scene.render.resolution_percentage = 100
    # Smoothing after the picture is drawn: on a processor a third of the time of 8 samples.
    scene.display.render_aa = "FXAA"
    shading = scene.display.shading
    shading.light, shading.color_type = "STUDIO", "TEXTURE"
    shading.studio_light = "paint.sl"  # from the front and even, the nearest to the photo's own
    shading.show_specular_highlight = False
    shading.show_object_outline = False
    shading.show_cavity = False
    if scene.world is None:
        scene.world = bpy.data.worlds.new("Preview World")
    scene.world.color = _BACKGROUND
    scene.view_settings.view_transform = "Standard"
    scene.view_settings.exposure = _EXPOSURE


def render(scene: Any, path: Path, progress: Callable[[float], None]) -> None:
    """Renders the scene's frames and its sound into an mp4, under a temporary name first."""
    output = scene.render
    if hasattr(output.image_settings, "media_type"):  # Blender 5.0 and later
        output.image_settings.media_type = "VIDEO"
    output.image_settings.file_format = "FFMPEG"
    film = output.ffmpeg
    film.format, film.codec, film.constant_rate_factor = "MPEG4", "H264", "HIGH"
    film.audio_codec, film.audio_bitrate, film.audio_mixrate = "AAC", 160, 48000
    temporary = path.with_name(f"{path.stem}.part{path.suffix}")
    output.use_file_extension = False
    output.filepath = str(temporary)
    first, count = scene.frame_start, scene.frame_end - scene.frame_start + 1

    def frame_written(*_: object) -> None:
        progress((scene.frame_current - first + 1) / count)

    bpy.app.handlers.render_write.append(frame_written)
    try:
        bpy.ops.render.render(animation=True)
    finally:
        bpy.app.handlers.render_write.remove(frame_written)
    temporary.replace(path)
