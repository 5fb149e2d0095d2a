# SPDX-License-Identifier: GPL-3.0-or-later
"""From a photo to a face, end to end, on the bundled portrait."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from backend.face import reconstruct, template_face
from backend.face.arkit_basis import contacts
from backend.face.contact_sheet import COMBINATIONS, lay_out, pose_weights
from backend.rasterize import rasterize
from backend.watch import Watch
from shared.arkit import INDEX
from shared.errors import ErrorKind, VividKeysError
from shared.face import face_from_arrays, face_to_arrays
from shared.landmarks import (
    CHIN,
    FOREHEAD,
    INNER_LIP_LOWER,
    INNER_LIP_UPPER,
    LEFT_EYE_CORNERS,
    LEFT_EYE_OUTER_CORNER,
    NOSE_TIP,
    RIGHT_EYE_CORNERS,
    RIGHT_EYE_OUTER_CORNER,
)

MILLIMETRE = 0.001


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def visible(face, pose: dict[str, float], material: str, size: int = 160) -> int:  # type: ignore[no-untyped-def]
    """Pixels of a material seen from the front."""
    points = face.posed(pose_weights(pose).astype(np.float32)).astype(np.float64)
    flat = np.stack(
        [size / 2 + points[:, 0] * size / 0.2, size / 2 - points[:, 2] * size / 0.2, points[:, 1]],
        axis=1,
    )
    seen = rasterize(flat, face.triangles, (size, size)).face_id
    wanted = face.materials.index(material)
    return int((face.triangle_material[seen[seen >= 0]] == wanted).sum())


def part(face, material: str) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Vertices of a material."""
    return np.unique(face.triangles[face.triangle_material == face.materials.index(material)])


def test_the_portrait_becomes_a_face_of_natural_size(portrait_face):
    face = portrait_face
    assert 1000 < len(face.vertices) < 12_000
    assert face.texture.shape == (2048, 2048, 3)
    assert face.uvs.min() >= 0 and face.uvs.max() <= 1
    assert face.meta["warnings"] == []
    assert len(face.meta["image_sha256"]) == 64
    landmarks = face.vertices[:468]
    corners = (RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS)
    eyes = [landmarks[list(pair)].mean(axis=0) for pair in corners]
    assert 0.055 < np.linalg.norm(eyes[1] - eyes[0]) < 0.070
    # +X is the character's left, the face looks along -Y, +Z is up.
    assert (
        landmarks[LEFT_EYE_OUTER_CORNER, 0] > 0.03 and landmarks[RIGHT_EYE_OUTER_CORNER, 0] < -0.03
    )
    assert landmarks[NOSE_TIP, 1] == landmarks[:, 1].min()
    assert landmarks[FOREHEAD, 2] > landmarks[NOSE_TIP, 2] > landmarks[CHIN, 2]
    assert np.array_equal(np.unique(face.meta["landmark_triangles"]), np.arange(468))


def test_the_texture_shows_the_photo_where_the_landmarks_are(portrait_face):
    def colour(landmark: int) -> np.ndarray:
        x, y = portrait_face.uvs[portrait_face.triangles == landmark][0]
        return portrait_face.texture[int((1 - y) * 2048), int(x * 2048)].astype(int)

    lip, cheek, brow = colour(16), colour(50), colour(52)
    assert lip[0] - lip[1] > cheek[0] - cheek[1] + 10  # lips are redder than cheeks
    assert brow.sum() < cheek.sum() - 100  # brows are darker


def test_two_runs_and_both_kinds_of_source_give_the_same(portrait_face, portrait_path):
    again = reconstruct(portrait_path.read_bytes())
    first, second = face_to_arrays(portrait_face), face_to_arrays(again)
    assert first.keys() == second.keys()
    for name in first:
        assert np.array_equal(first[name], second[name]), name


def test_a_face_survives_the_wire(portrait_face):
    back = face_from_arrays(face_to_arrays(portrait_face))
    assert np.array_equal(back.shapes, portrait_face.shapes)
    assert back.meta == portrait_face.meta


def test_a_tilted_photo_gives_the_same_head(portrait_face, portrait_pixels):
    tilted = Image.fromarray(portrait_pixels).rotate(20, Image.Resampling.BICUBIC, expand=True)
    face = reconstruct(png(np.asarray(tilted)))
    assert face.meta["head_angles"][1] == pytest.approx(np.radians(-20), abs=0.05)
    away = np.linalg.norm(face.vertices[:468] - portrait_face.vertices[:468], axis=1)
    assert np.median(away) < 2.5 * MILLIMETRE


def test_the_mouth_is_closed_and_only_opens_when_told(portrait_face):
    inside = ("teeth_and_gums", "mouth_and_tongue")
    for material in inside:
        assert visible(portrait_face, {}, material) == 0
        assert visible(portrait_face, {"jawOpen": 0.3, "mouthClose": 0.3}, material) == 0
    assert visible(portrait_face, {"jawOpen": 0.6}, "mouth_and_tongue") > 60
    assert visible(portrait_face, COMBINATIONS["smile, teeth"], "teeth_and_gums") > 20


def test_a_blink_covers_the_eyes(portrait_face):
    assert visible(portrait_face, {}, "eye") > 60
    assert visible(portrait_face, COMBINATIONS["blink"], "eye") == 0
    half = visible(portrait_face, COMBINATIONS["half blink"], "eye")
    assert 5 < half < visible(portrait_face, {}, "eye")


def test_the_fine_skin_keeps_the_contacts(portrait_face):
    """The lips' and lids' edges of the finer mesh meet as the landmarks' do."""
    pose = pose_weights({"jawOpen": 0.4, "mouthClose": 0.4}).astype(np.float32)
    sealed = portrait_face.posed(pose)
    gap = sealed[list(INNER_LIP_UPPER)] - sealed[list(INNER_LIP_LOWER)]
    assert np.abs(gap).max() < 0.3 * MILLIMETRE
    blink = portrait_face.posed(pose_weights(COMBINATIONS["blink"]).astype(np.float32))
    for side in ("left", "right"):
        assert np.abs(contacts()[side].gap(blink)).max() < 0.3 * MILLIMETRE


def test_inner_parts_follow_the_jaw(portrait_face):
    teeth = part(portrait_face, "teeth_and_gums")
    middle = np.median(portrait_face.vertices[teeth, 2])
    drop = portrait_face.shapes[INDEX["jawOpen"], teeth, 2]
    upper = portrait_face.vertices[teeth, 2] > middle + 0.006
    lower = portrait_face.vertices[teeth, 2] < middle - 0.006
    assert np.abs(drop[upper]).max() == 0
    assert drop[lower].max() < -10 * MILLIMETRE
    sideways = portrait_face.shapes[INDEX["jawLeft"], teeth, 0]
    assert (sideways[lower] > 3 * MILLIMETRE).all() and not sideways[upper].any()
    tongue = part(portrait_face, "mouth_and_tongue")
    assert portrait_face.shapes[INDEX["tongueOut"], tongue, 1].min() < -20 * MILLIMETRE


def test_eyeballs_turn_about_their_middle(portrait_face):
    ball = part(portrait_face, "eye")
    left = ball[portrait_face.vertices[ball, 0] > 0]
    right = ball[portrait_face.vertices[ball, 0] < 0]
    front = left[portrait_face.vertices[left, 1].argmin()]
    for name, axis, sign in (
        ("eyeLookUpLeft", 2, 1),
        ("eyeLookDownLeft", 2, -1),
        ("eyeLookOutLeft", 0, 1),
        ("eyeLookInLeft", 0, -1),
    ):
        offsets = portrait_face.shapes[INDEX[name]]
        assert sign * offsets[front, axis] > 4 * MILLIMETRE, name
        assert not offsets[right].any(), name
        rest, moved = portrait_face.vertices[left], portrait_face.vertices[left] + offsets[left]
        lengths = [np.linalg.norm(p[:1] - p[1:], axis=1) for p in (rest, moved)]
        assert np.allclose(*lengths, atol=1e-5), name


def test_no_photo_gives_the_mean_face():
    face = template_face()
    partner = face.vertices[:468][np.argsort(face.vertices[:468, 0])]
    assert np.isfinite(partner).all()
    gap = face.vertices[list(INNER_LIP_UPPER)] - face.vertices[list(INNER_LIP_LOWER)]
    assert np.abs(gap).max() < 0.3 * MILLIMETRE
    assert visible(face, {}, "teeth_and_gums") == 0
    assert len(face.vertices) == len(template_face().vertices)


def test_several_faces_are_told(portrait_pixels):
    small = np.asarray(Image.fromarray(portrait_pixels).resize((320, 384)))
    canvas = np.full((768, 1000, 3), 210, np.uint8)
    canvas[:, :640] = portrait_pixels
    canvas[200:584, 660:980] = small
    face = reconstruct(png(canvas))
    assert any("2 faces" in sentence for sentence in face.meta["warnings"])


def test_progress_rises_and_ends_with_one(portrait_path):
    said: list[tuple[float, str]] = []
    watch = Watch(lambda fraction, sentence: said.append((fraction, sentence)))
    reconstruct(portrait_path, watch)
    fractions = [fraction for fraction, _ in said]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0 and fractions[-1] == 1.0
    assert all(sentence for _, sentence in said)


@pytest.mark.parametrize("after", [0, 1, 3, 5])
def test_cancelling_stops_between_the_stages(portrait_path, after):
    asked = iter(range(100))
    with pytest.raises(VividKeysError) as caught:
        reconstruct(portrait_path, Watch(cancelled=lambda: next(asked) >= after))
    assert caught.value.kind is ErrorKind.CANCELLED


def test_a_picture_without_a_face_and_bytes_that_are_no_picture():
    with pytest.raises(VividKeysError) as caught:
        reconstruct(png(np.full((200, 200, 3), 90, np.uint8)))
    assert caught.value.kind is ErrorKind.NO_FACE
    with pytest.raises(VividKeysError) as caught:
        reconstruct(b"no picture")
    assert caught.value.kind is ErrorKind.BAD_IMAGE


def test_labelled_tiles_lie_in_rows():
    tiles = [(str(k), np.full((20, 20, 3), 10 * k, np.uint8)) for k in range(5)]
    sheet = lay_out(tiles, 3)
    assert sheet.shape == (40, 60, 3)
    assert (sheet[38, 38] == 40).all() and (sheet[38, 58] == 0).all()


def test_open_smiles_of_real_people_become_closed_mouths(shared_data):
    photos = sorted((shared_data / "faces" / "london" / "smiling").glob("*.jpg"))[4::30]
    opened = []
    for photo in photos:
        face = reconstruct(photo)
        opened.append(face.meta["mouth_was_open"])
        assert visible(face, {}, "teeth_and_gums") == 0
        gap = face.vertices[list(INNER_LIP_UPPER)] - face.vertices[list(INNER_LIP_LOWER)]
        assert np.abs(gap).max() < 0.3 * MILLIMETRE
    assert max(opened) > 4 * MILLIMETRE


def test_closed_eyes_are_noticed():
    from backend.face.arkit_basis import landmark_basis
    from backend.face.from_photo import eyes_closed, template_neutral

    face = template_neutral()
    blink = landmark_basis(face)[INDEX["eyeBlinkLeft"]]
    assert not eyes_closed(face)
    assert not eyes_closed(face + 0.3 * blink)
    assert eyes_closed(face + 0.95 * blink)


@pytest.mark.parametrize(("yaw", "said"), [(0.0, 0), (-52.0, 1), (80.0, None)])
def test_a_profile_is_refused_and_a_far_turned_head_is_told(portrait_face, yaw, said):
    from backend.face.draw import draw_face

    drawn = Image.fromarray(draw_face(portrait_face, yaw=yaw, size=700))
    data = io.BytesIO()
    drawn.save(data, "png")
    if said is None:
        with pytest.raises(VividKeysError, match="turned away") as caught:
            reconstruct(data.getvalue())
        assert caught.value.kind is ErrorKind.BAD_IMAGE and "front" in caught.value.next_step
    else:
        warnings = reconstruct(data.getvalue()).meta["warnings"]
        assert sum("turned far away" in sentence for sentence in warnings) == said
