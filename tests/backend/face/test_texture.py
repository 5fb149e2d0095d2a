# SPDX-License-Identifier: GPL-3.0-or-later
"""The head's texture: its layout, what is baked from the photo, what is filled in."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from backend.face import reconstruct, template_face
from backend.face.build_head import template_layout
from backend.face.texture import atlas
from backend.face.texture.fill import blurred_round, carried_on
from backend.face.texture.layout_file import EARS
from backend.face.texture.shading import light_gain
from backend.face.texture.texels import COARSE, STEP, mirrored
from backend.rasterize import rasterize
from shared.landmarks import CHIN, FOREHEAD, LEFT_EAR, RIGHT_EAR, RIGHT_UPPER_LID

# On smooth skin, where the named landmarks are not.
LEFT_CHEEK, RIGHT_CHEEK, BROW = 280, 50, 151


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def around(face, landmark: int, reach: int = 8) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Mean colour of the texture around a landmark."""
    u, v = face.uvs[face.triangles == landmark][0]
    x, y = int(u * 2048), int((1 - v) * 2048)
    patch = face.texture[y - reach : y + reach + 1, x - reach : x + reach + 1]
    return np.asarray(patch.reshape(-1, 3).mean(axis=0))


def mean_skin(face) -> np.ndarray:  # type: ignore[no-untyped-def]
    return np.mean([around(face, n) for n in (9, 151, 50, 280, 205, 425, 101, 330)], axis=0)


def lightness(colour: np.ndarray) -> float:
    return float(np.dot(colour, (0.3, 0.6, 0.1)))


def skin_triangles(face) -> np.ndarray:  # type: ignore[no-untyped-def]
    return face.triangle_material == face.materials.index("skin")


def test_coordinates_lie_in_the_texture_and_skin_does_not_overlap(portrait_face) -> None:  # type: ignore[no-untyped-def]
    face = portrait_face
    assert face.uvs.min() >= 0 and face.uvs.max() <= 1
    corners = face.uvs[skin_triangles(face)].astype(np.float64)
    size = 1024
    flat = np.stack([corners[..., 0] * size, (1 - corners[..., 1]) * size], axis=-1)
    a, b = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    laid = np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / 2
    points = np.concatenate([flat.reshape(-1, 2), np.zeros((flat.size // 2, 1))], axis=1)
    triangles = np.arange(len(points), dtype=np.int32).reshape(-1, 3)
    seen = rasterize(points, triangles, (size, size)).face_id
    # Triangles together cover as much as they do one by one, so they do not overlap.
    assert (seen >= 0).sum() == pytest.approx(laid, rel=0.01)


def test_the_face_gets_most_of_the_texture(portrait_face) -> None:  # type: ignore[no-untyped-def]
    face = portrait_face
    place = {
        n: face.uvs[face.triangles == n][0] * 2048 for n in (FOREHEAD, CHIN, RIGHT_EAR, LEFT_EAR)
    }
    assert place[LEFT_EAR][0] - place[RIGHT_EAR][0] > 1000
    assert place[FOREHEAD][1] - place[CHIN][1] > 800


def test_padding_keeps_neighbours_apart() -> None:
    rectangles = [*atlas.PAINTED.values(), atlas.HEAD, atlas.NECK, atlas.CROWN, atlas.BELOW,
                  atlas.RIGHT_EAR, atlas.LEFT_EAR]  # fmt: skip
    used = np.zeros((atlas.SIDE, atlas.SIDE), np.uint8)
    for tile in rectangles:
        tile.view(used)[:] += 1
    assert used.max() == 1
    assert atlas.PADDING >= 8
    uv = atlas.PAINTED["tongue"].uv(np.array([0.0, 1.0]), np.array([0.0, 1.0])) * atlas.SIDE
    tile = atlas.PAINTED["tongue"]
    assert uv[0, 0] - tile.left == tile.left + tile.width - uv[1, 0] == atlas.PADDING


def test_the_layout_is_the_same_for_all_heads(portrait_face) -> None:  # type: ignore[no-untyped-def]
    plain = template_face()
    assert np.array_equal(plain.uvs, portrait_face.uvs)
    assert np.array_equal(plain.triangles, portrait_face.triangles)
    skin = np.median(plain.texture[300:340, 900:1100].reshape(-1, 3), axis=0)
    assert np.ptp(skin) < 30 and 100 < skin.mean() < 200


def test_the_same_photo_gives_the_same_texture(portrait_path, portrait_face) -> None:  # type: ignore[no-untyped-def]
    assert np.array_equal(reconstruct(portrait_path).texture, portrait_face.texture)


def test_the_face_is_as_sharp_as_the_photo(portrait_face) -> None:  # type: ignore[no-untyped-def]
    """Lashes and brows are there: fine detail around the eyes, none on the nape."""
    grey = portrait_face.texture.astype(np.float64).mean(axis=2)
    detail = np.abs(grey - gaussian_filter(grey, 3.0))
    u, v = portrait_face.uvs[portrait_face.triangles == RIGHT_UPPER_LID][0]
    x, y = int(u * 2048), int((1 - v) * 2048)
    assert detail[y - 30 : y + 30, x - 60 : x + 60].mean() > 1.2


def half_dark(pixels: np.ndarray) -> np.ndarray:
    """The right half of a picture in a soft shadow."""
    across = np.linspace(-1, 1, pixels.shape[1])
    shade = 1.0 - 0.45 / (1.0 + np.exp(-9.0 * across))
    return np.asarray(pixels * shade[None, :, None], np.uint8)


def test_a_photo_half_in_shadow_becomes_flatter_and_keeps_its_colour(portrait_pixels) -> None:  # type: ignore[no-untyped-def]
    shaded = half_dark(portrait_pixels)
    face = reconstruct(png(shaded))
    sides = [lightness(around(face, n)) for n in (RIGHT_CHEEK, LEFT_CHEEK)]
    from backend.face.landmarks import find_face

    points = find_face(shaded).landmarks
    photo = {}
    for n in (RIGHT_CHEEK, LEFT_CHEEK):
        x, y = points[n, :2].astype(int)
        photo[n] = lightness(shaded[y - 3 : y + 4, x - 3 : x + 4].reshape(-1, 3).mean(axis=0))
    before = abs(np.log(photo[RIGHT_CHEEK] / photo[LEFT_CHEEK]))
    after = abs(np.log(sides[0] / sides[1]))
    assert before > 0.2
    assert 0.2 * before < after < 0.6 * before


@pytest.mark.parametrize("level", [1.0, 0.35])
def test_flattening_keeps_the_mean_colour_of_skin(level: float) -> None:
    """Light from one side on an even skin, light or dark: flatter, but as light as it was."""
    layout = template_layout()
    across = np.linspace(1.3, 0.7, COARSE, dtype=np.float32)[None, :, None]
    colour = np.array((200.0, 150.0, 125.0), np.float32) * level
    image = np.ones((COARSE, COARSE, 1), np.float32) * across * colour
    skin = np.zeros((COARSE, COARSE), np.float32)
    skin[80:300, 130:382] = 1.0
    zero = np.zeros_like(skin)
    gain = light_gain(image, skin * layout.covered, zero, zero)
    inside = skin > 0
    flat = image * gain[..., None]
    mean, was = flat[inside].mean(axis=0), image[inside].mean(axis=0)
    assert np.abs(mean / was - 1).max() < 0.04
    assert flat[inside][:, 0].std() < 0.6 * image[inside][:, 0].std()


def test_what_a_turned_head_hides_comes_from_its_other_side() -> None:
    """The bundled face turned away: both cheeks of the texture are alike."""
    from dataclasses import replace

    from scipy.spatial.transform import Rotation

    from backend.face.pose import Similarity
    from backend.face.texture.bake import bake_skin
    from backend.face.texture.photo_crop import PhotoCrop

    layout = template_layout()
    turn = Rotation.from_euler("z", 55, degrees=True).as_matrix()
    scale = 4000.0
    to_photo = Similarity(scale, turn, np.array((500.0, 0.0, -600.0)))
    posed = to_photo.apply(layout.template)
    photo = np.zeros((1200, 1000, 3), np.uint8)
    photo[:] = (190, 140, 120)
    # A green mark where the seen cheek is.
    seen = RIGHT_CHEEK if posed[RIGHT_CHEEK, 1] < posed[LEFT_CHEEK, 1] else LEFT_CHEEK
    hidden = LEFT_CHEEK if seen == RIGHT_CHEEK else RIGHT_CHEEK
    x, y = int(posed[seen, 0]), int(-posed[seen, 2])
    photo[y - 22 : y + 22, x - 22 : x + 22] = (90, 170, 90)
    points = np.zeros((478, 2))
    points[:468] = posed[:468, [0, 2]] * (1, -1)
    crop = PhotoCrop(photo, np.ones((1200, 1000)), points, np.array((190.0, 140.0, 120.0)),
                     to_photo, np.zeros((478, 3)))  # fmt: skip
    texture = bake_skin(crop, layout.template, layout)
    face = replace(template_face(), texture=texture)
    for n in (seen, hidden):
        red, green, _ = around(face, n, 4)
        assert green > red + 10, n
    red, green, _ = around(face, BROW, 4)
    assert red > green


def test_filled_in_colours_have_no_seams() -> None:
    """From a few known vertices a colour spreads without jumps, across the texture's seams too."""
    layout = template_layout()
    count = len(layout.template)
    used = np.unique(layout.triangles)
    known = np.zeros(count)
    known[used] = layout.template[used, 1] < -0.05
    colours = np.zeros((count, 3))
    colours[:] = (200.0, 150.0, 120.0)
    colours[layout.template[:, 0] > 0] = (150.0, 110.0, 90.0)
    filled = carried_on(layout, colours, known, np.array((170.0, 130.0, 100.0)))
    edges = np.concatenate([layout.triangles[:, [0, 1]], layout.triangles[:, [1, 2]]])
    free = (known[edges] == 0).all(axis=1)
    step = np.abs(filled[edges[free, 0]] - filled[edges[free, 1]]).max(axis=1)
    assert step.max() < 12.0
    assert np.percentile(step, 99) < 5.0
    assert filled[used].min() > 80 and filled[used].max() < 205


def test_the_border_of_what_is_filled_in_is_soft(portrait_face) -> None:  # type: ignore[no-untyped-def]
    """Across the cheek towards the ear the smoothed colour changes slowly."""
    face = portrait_face
    start = face.uvs[face.triangles == RIGHT_CHEEK][0] * 2048
    end = face.uvs[face.triangles == 132][0] * 2048
    texture = gaussian_filter(face.texture.astype(np.float64), (6, 6, 0))
    share = np.linspace(0, 1, 80)[:, None]
    path = start * (1 - share) + end * share
    line = texture[(2048 - path[:, 1]).astype(int), path[:, 0].astype(int)]
    assert np.abs(np.diff(line, axis=0)).max() < 4.0


def test_grain_has_no_seam_where_it_is_repeated() -> None:
    noise = np.random.default_rng(3).normal(size=(60, 90)).astype(np.float32)
    wanted = gaussian_filter(noise.astype(np.float64), (5.0, 0.8), mode="wrap")
    np.testing.assert_allclose(blurred_round(noise, 5.0, 0.8), wanted, atol=1e-5)


def test_mirroring_twice_gives_the_same_picture() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (COARSE, COARSE, 3)).astype(np.uint8)
    assert np.array_equal(mirrored(mirrored(picture)), picture)
    ear = atlas.RIGHT_EAR
    other = atlas.LEFT_EAR
    y, x = ear.top // STEP + 3, ear.left // STEP + 2
    wanted = picture[y, (other.left + other.width) // STEP - 3]
    assert np.array_equal(mirrored(picture)[y, x], wanted)


def recoloured(pixels: np.ndarray, kind: str) -> np.ndarray:
    grey = pixels.mean(axis=2, keepdims=True).repeat(3, axis=2)
    if kind == "grey":
        return np.asarray(grey, np.uint8)
    if kind == "dark":
        return np.asarray(pixels * (0.42, 0.36, 0.33), np.uint8)
    if kind == "bald":
        # Skin colour wherever there was hair above the face.
        result = pixels.copy()
        dark = (pixels.mean(axis=2) < 110) & (np.arange(len(pixels)) < 260)[:, None]
        result[dark] = (206, 170, 150)
        return result
    result = pixels.copy()
    result[200:, 60:200] = (60, 40, 30)
    result[200:, 440:580] = (60, 40, 30)
    return result


@pytest.mark.parametrize("kind", ["grey", "dark", "bald", "long hair"])
def test_all_sorts_of_photos_give_a_whole_texture(portrait_pixels, portrait_face, kind) -> None:  # type: ignore[no-untyped-def]
    pixels = recoloured(portrait_pixels, kind)
    face = reconstruct(png(pixels))
    assert face.texture.dtype == np.uint8 and face.texture.shape == (2048, 2048, 3)
    skin = mean_skin(face)
    if kind == "grey":
        assert np.ptp(skin) < 3
    elif kind == "dark":
        wanted = mean_skin(portrait_face) * (0.42, 0.36, 0.33)
        assert np.abs(skin / wanted - 1).max() < 0.08
    # The nape has skin, the back of the head hair; neither is black or white.
    for part in ("neck", *EARS):
        own = face.vertex_part == face.part_names.index(part)
        uv = face.uvs[own[face.triangles]] * 2048
        colours = face.texture[(2047 - uv[:, 1]).astype(int).clip(0, 2047), uv[:, 0].astype(int)]
        assert np.abs(np.median(colours, axis=0) - skin).max() < 70, part
