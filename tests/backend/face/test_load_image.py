# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of picture becomes upright RGB or a clear error."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from backend.face.load_image import MAX_BYTES, WORKING_SIDE, load_image
from shared.errors import ErrorKind, VividKeysError


def gradient(width: int = 80, height: int = 60) -> np.ndarray:
    """Red grows to the right, green downward; all corners differ."""
    across = np.linspace(0, 255, width)[None, :].repeat(height, axis=0)
    down = np.linspace(0, 255, height)[:, None].repeat(width, axis=1)
    return np.stack([across, down, np.full_like(down, 60)], axis=-1).astype(np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_path_and_its_bytes_give_the_same(tmp_path):
    data = encoded(Image.fromarray(gradient()))
    file = tmp_path / "ünïcode näme.png"
    file.write_bytes(data)
    from_path, from_bytes = load_image(file), load_image(data)
    assert np.array_equal(from_path.pixels, gradient())
    assert np.array_equal(from_bytes.pixels, from_path.pixels)
    assert from_path.sha256 == from_bytes.sha256 == hashlib.sha256(data).hexdigest()
    assert from_path.warnings == ()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_picture_upright(orientation):
    upright = Image.fromarray(gradient())
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, "JPEG", quality=98, exif=exif)
    pixels = load_image(data).pixels
    assert pixels.shape == (60, 80, 3)
    assert np.abs(pixels.astype(int) - gradient()).mean() < 4


def test_grey_and_sixteen_bit_become_rgb():
    level = gradient()[..., 0]
    grey = load_image(encoded(Image.fromarray(level))).pixels
    assert np.array_equal(grey, np.repeat(level[..., None], 3, axis=2))
    deep = Image.fromarray(level.astype(np.uint16) * 257)
    assert np.array_equal(load_image(encoded(deep)).pixels, grey)
    deep_tiff = load_image(encoded(deep, "TIFF")).pixels
    assert np.array_equal(deep_tiff, grey)


def test_cmyk_and_palette_become_rgb():
    picture = Image.fromarray(gradient())
    cmyk = load_image(encoded(picture.convert("CMYK"), "JPEG", quality=98)).pixels
    assert np.abs(cmyk.astype(int) - gradient()).mean() < 6
    palette = load_image(encoded(picture.quantize(128))).pixels
    assert np.abs(palette.astype(int) - gradient()).mean() < 12


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_become_grey(mode):
    picture = Image.fromarray(gradient()).convert("RGBA")
    alpha = np.full((60, 80), 255, np.uint8)
    alpha[:, :40] = 0
    picture.putalpha(Image.fromarray(alpha))
    if mode == "P":
        data = encoded(picture.convert("RGB").quantize(64), transparency=0)
        assert load_image(data).pixels.shape == (60, 80, 3)
        return
    pixels = load_image(encoded(picture.convert(mode))).pixels
    assert (pixels[:, :40] == 128).all()
    assert not (pixels[:, 41:] == 128).all(axis=2).all()


def test_an_animation_gives_its_first_frame_and_says_so():
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    photo = load_image(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert (photo.pixels[32, 32] == (255, 0, 0)).all()
    assert any("first frame" in sentence for sentence in photo.warnings)


def test_a_large_photo_is_brought_to_working_size():
    photo = load_image(encoded(Image.new("RGB", (6000, 3000), (10, 200, 30)), "JPEG"))
    assert max(photo.pixels.shape) <= WORKING_SIDE
    assert photo.pixels.shape[1] == 2 * photo.pixels.shape[0]


def png_header(width: int, height: int) -> bytes:
    """A PNG header of any size: a picture has to be refused without decoding its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0"))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [12_000, 30_000])
def test_far_too_many_pixels_are_refused_before_they_are_read(side):
    with pytest.raises(VividKeysError) as caught:
        load_image(png_header(side, side))
    assert caught.value.kind is ErrorKind.TOO_LARGE
    assert caught.value.next_step


def test_a_huge_file_is_refused_by_its_size(tmp_path):
    file = tmp_path / "huge.png"
    with file.open("wb") as stream:
        stream.truncate(MAX_BYTES + 1)
    with pytest.raises(VividKeysError) as caught:
        load_image(file)
    assert caught.value.kind is ErrorKind.TOO_LARGE


JPEG = encoded(Image.fromarray(gradient(400, 300)), "JPEG")
PNG = encoded(Image.fromarray(gradient(400, 300)))
BROKEN = {
    "empty": b"",
    "text": b"this is a letter, not a picture\n" * 20,
    "one byte": b"\x89",
    "truncated jpeg": JPEG[: len(JPEG) // 2],
    "truncated png": PNG[: len(PNG) // 2],
    "jpeg header only": JPEG[:20],
    "damaged png": PNG[:12] + b"XXXX" + PNG[16:],
    "tiny": encoded(Image.new("RGB", (8, 8))),
    "thin": encoded(Image.new("RGB", (2000, 3))),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_usable_picture_is_named(case):
    with pytest.raises(VividKeysError) as caught:
        load_image(BROKEN[case])
    assert caught.value.kind is ErrorKind.BAD_IMAGE
    assert caught.value.sentence.endswith(".")
    assert caught.value.next_step


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "nothing.jpg", tmp_path):
        with pytest.raises(VividKeysError) as caught:
            load_image(path)
        assert caught.value.kind is ErrorKind.BAD_IMAGE
        assert path.name in caught.value.sentence
