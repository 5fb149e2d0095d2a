# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a scene, under `scene.vividkeys`. Other add-ons may set them too."""

from __future__ import annotations

from typing import cast

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..mapping.conventions import CONVENTIONS, DEFAULT
from . import head_choice
from .performance_dials import SpeakerProperties
from .style_dials import StyleProperties
from .video_settings import VideoProperties

FACE_STYLES = (
    ("AUTO", "Automatic", "By the proportions of the face"),
    ("HUMAN", "Human", "Shapes as human faces have them"),
    ("STYLISED", "Stylised", "Shapes made from muscles: for cartoons, animals and masks"),
)


def _has_shape_keys(_settings: object, candidate: bpy.types.Object) -> bool:
    return candidate.type == "MESH" and candidate.data.shape_keys is not None


def _is_armature(_settings: object, candidate: bpy.types.Object) -> bool:
    return candidate.type == "ARMATURE"


class VividKeysTarget(bpy.types.PropertyGroup):
    """One mesh that is animated."""

    mesh: PointerProperty(
        name="Mesh",
        description="A mesh with shape keys",
        type=bpy.types.Object,
        poll=_has_shape_keys,
    )


class VividKeysSettings(
    StyleProperties, SpeakerProperties, VideoProperties, bpy.types.PropertyGroup
):
    """What the panel shows, and what operators use for properties that are not set."""

    audio_source: EnumProperty(
        name="Voice",
        items=(
            ("FILE", "File", "A sound or film file"),
            ("STRIP", "Strip", "The sound strip that is selected in the sequencer"),
        ),
        default="FILE",
    )
    audio_file: StringProperty(
        name="Voice",
        description="wav, flac, ogg, mp3, m4a, or the sound of mp4 and mov",
        subtype="FILE_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    image_file: StringProperty(
        name="Photo",
        description="A photo of one face, seen from the front",
        subtype="FILE_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )
    head: EnumProperty(
        name="Head",
        description="Which head gets the photo's face; the backend lists those it has",
        items=head_choice.items,
    )
    head_objects: EnumProperty(
        name="As",
        items=(
            ("ONE", "One Object", "One mesh with all shape keys"),
            ("PARTS", "Parts as Objects", "Eyes, teeth and the like are children of the face"),
        ),
        default="ONE",
    )
    targets: CollectionProperty(name="Targets", type=VividKeysTarget)
    active_target: IntProperty(name="Active Target")

    seed: IntProperty(
        name="Seed",
        description="A different seed gives different blinks and head motion for the same voice",
        default=0,
        min=0,
    )
    start_frame: IntProperty(
        name="Start Frame", description="The frame at which the voice begins", default=1
    )
    head_target: EnumProperty(
        name="Head Motion to",
        items=(
            ("AUTO", "Automatic", "Heads made by VividKeys move; other characters stay"),
            ("MESH", "First Target", "The object of the first target mesh"),
            ("OBJECT", "Object", "An object or empty of your choice"),
            ("BONE", "Bone", "A pose bone of an armature"),
            ("NONE", "Nothing", "No head motion is keyed"),
        ),
        default="AUTO",
    )
    head_object: PointerProperty(name="Object", type=bpy.types.Object)
    head_armature: PointerProperty(name="Armature", type=bpy.types.Object, poll=_is_armature)
    head_bone: StringProperty(name="Bone")
    head_forward: EnumProperty(
        name="Face Looks Along",
        description="The direction of the face in the object's or armature's own axes",
        items=(("-Y", "-Y", ""), ("+X", "+X", ""), ("+Y", "+Y", ""), ("-X", "-X", "")),
        default="-Y",
    )
    face_style: EnumProperty(
        name="Style",
        description="Where the shapes of the new keys come from",
        items=FACE_STYLES,
        default=FACE_STYLES[0][0],
    )
    shapes_of: EnumProperty(
        name="Shapes",
        description="Whose shapes the new keys have; the backend lists the heads it has",
        items=head_choice.shape_items,
    )
    key_convention: EnumProperty(
        name="Names",
        description="How the new keys are named, shown by the key of the left eye's blink",
        items=tuple((c.name, c.title, c.description) for c in CONVENTIONS),
        default=DEFAULT,
    )
    replace_keys: BoolProperty(
        name="Replace Keys",
        description="Give keys that the character already has new shapes; or else they keep theirs",
        default=False,
    )
    surface_only: BoolProperty(
        name="Surface Only",
        description="Make keys also for a face whose mouth cannot open, because the lips are one "
        "surface: everything moves but the mouth stays shut",
        default=False,
    )
    lay_sound: BoolProperty(
        name="Sound in the Sequencer",
        description="Add the voice to the sequencer at the start frame",
        default=True,
    )
    extend_scene: BoolProperty(
        name="Extend the Scene",
        description="Move the scene's end when the performance is longer",
        default=True,
    )
    lip_detail: BoolProperty(
        name="Lip Detail",
        description="Key what lips do beyond the 52 channels: they meet exactly, press and peel. "
        "Takes effect with 'Apply Take', on heads that have its shape keys",
        default=True,
    )
    mapping_file: StringProperty(
        name="Mapping",
        description="Optional: a file that says which shape key follows which channel",
        subtype="FILE_PATH",
        options={"PATH_SUPPORTS_BLEND_RELATIVE"},
    )


def scene_of(context: bpy.types.Context) -> bpy.types.Scene:
    """The context's scene; where there is none, no operator of ours can run."""
    return cast(bpy.types.Scene, context.scene)


def settings(context: bpy.types.Context) -> VividKeysSettings:
    """The settings of the context's scene."""
    found: VividKeysSettings = context.scene.vividkeys
    return found


CLASSES = (VividKeysTarget, VividKeysSettings)


def register() -> None:
    """Give scenes their settings, once `CLASSES` are registered."""
    # The type of Scene does not know what add-ons put there, nor that a property has a value.
    bpy.types.Scene.vividkeys = PointerProperty(  # type: ignore[attr-defined,func-returns-value]
        type=VividKeysSettings
    )


def unregister() -> None:
    """Take them away again; what scenes in a file have is kept in it."""
    del bpy.types.Scene.vividkeys  # type: ignore[attr-defined]
