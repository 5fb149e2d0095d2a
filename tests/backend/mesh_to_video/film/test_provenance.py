# SPDX-License-Identifier: GPL-3.0-or-later
"""What a video says of itself, in its tags and in its picture."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from small_films import SOURCE, form, picture

from backend.mesh_to_video.film.encode import open_writer
from backend.mesh_to_video.film.provenance import (
    XMP_CHUNK,
    photo_sha256,
    read_provenance,
    take_sha256,
    top_boxes,
    xmp_packet,
)
from backend.mesh_to_video.film.visible_mark import VisibleMark
from backend.samples import PORTRAIT
from shared.errors import VividKeysError
from shared.take import Take, load_take, save_take
from shared.version import __version__


@pytest.mark.parametrize("out", ["film.mp4", "film.mov", "shot.png", "folder"])
@pytest.mark.parametrize("extra", [{}, {"fragmented": True}, {"keep_partial": True}])
def test_a_video_says_where_it_comes_from(tmp_path: Path, out: str, extra: dict[str, bool]) -> None:
    with open_writer(tmp_path / out, form(32, 32, **extra)) as writer:
        for number in range(3):
            writer.write(picture(32, 32, number))
    assert read_provenance(writer.path) == SOURCE
    assert SOURCE.version == __version__ and SOURCE.source_type == "trainedAlgorithmicMedia"
    if out == "folder":
        assert read_provenance(tmp_path / out) == SOURCE


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_players_show_it(tmp_path: Path, suffix: str) -> None:
    with open_writer(tmp_path / f"film{suffix}", form(32, 32)) as writer:
        writer.write(picture(32, 32))
    with av.open(str(writer.path)) as container:
        tags = container.metadata
    assert tags["title"] == "AI-generated talking-head video"
    assert tags["comment"] == (
        f"AI-generated talking-head video made by VividKeys {__version__} from Take {'a1' * 32}, "
        f"photo {'b2' * 32}. Digital source type: trainedAlgorithmicMedia."
    )
    (box,) = (entry for entry in top_boxes(writer.path) if entry[0] == b"uuid")
    packet = writer.path.read_bytes()[box[1] + 24 : box[1] + box[2]].decode()
    assert packet == xmp_packet(SOURCE)
    # Whole boxes up to the end: nothing of the file is out of place.
    assert sum(size for _, _, size in top_boxes(writer.path)) == writer.path.stat().st_size


def test_pictures_hold_xmp(tmp_path: Path) -> None:
    with open_writer(tmp_path / "shot.png", form(32, 32)) as writer:
        writer.write(picture(32, 32))
    with Image.open(writer.path) as image:
        image.load()
        packet = image.text[XMP_CHUNK]  # type: ignore[attr-defined]
        assert image.info["Software"] == f"VividKeys {__version__}"
    body = ElementTree.fromstring(packet.replace("\ufeff", ""))
    described = body[0][0]
    source_type = described.attrib["{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType"]
    assert source_type == "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def test_other_files_say_nothing(tmp_path: Path) -> None:
    assert read_provenance(PORTRAIT.parent) is None
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    assert read_provenance(tmp_path / "plain.png") is None
    with open_writer(tmp_path / "film.mp4", replace(form(32, 32), provenance=None)) as writer:
        writer.write(picture(32, 32))
    assert read_provenance(tmp_path / "film.mp4") is None
    (tmp_path / "notes.mp4").write_text("no film")
    for name in ("notes.mp4", "gone.mp4"):
        with pytest.raises(VividKeysError, match=name):
            read_provenance(tmp_path / name)


def test_a_take_is_known_by_what_is_in_it(tmp_path: Path, small_take: Take) -> None:
    save_take(small_take, tmp_path / "line.take.npz")
    digest = take_sha256(small_take)
    assert take_sha256(load_take(tmp_path / "line.take.npz")) == digest and len(digest) == 64
    weights = small_take.weights.copy()
    weights[3, 4] += 0.01
    assert take_sha256(replace(small_take, weights=weights)) != digest
    assert take_sha256(replace(small_take, meta={"seed": 8})) != digest


def test_a_photo_is_known_by_its_bytes(tmp_path: Path) -> None:
    content = PORTRAIT.read_bytes()
    assert photo_sha256(PORTRAIT) == photo_sha256(content) == hashlib.sha256(content).hexdigest()
    with pytest.raises(VividKeysError, match=r"gone\.jpg"):
        photo_sha256(tmp_path / "gone.jpg")


def brightness(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., :3].astype(float) @ (0.2126, 0.7152, 0.0722)


@pytest.mark.parametrize(("width", "height"), [(64, 64), (160, 96), (512, 640), (1920, 1080)])
@pytest.mark.parametrize("ground", [0, 128, 255])
def test_the_mark_can_be_read_on_any_ground(width: int, height: int, ground: int) -> None:
    mark = VisibleMark(width, height)
    flat = np.full((height, width, 3), ground, np.uint8)
    marked = mark.over(flat)
    left, top, right, bottom = mark.box
    sign = brightness(marked[top:bottom, left:right])
    # Letters as bright as white, on a plate that is well darker than they are.
    assert sign.max() > 240 and np.median(sign) < 130
    assert left > width / 3 and top > height / 2 and right < width and bottom < height
    assert 10 <= bottom - top <= 0.3 * height
    untouched = marked.copy()
    untouched[top:bottom, left:right] = ground
    assert np.array_equal(untouched, flat) and (flat == ground).all()


def test_the_mark_covers_what_is_transparent() -> None:
    clear = np.zeros((256, 256, 4), np.uint8)
    mark = VisibleMark(256, 256)
    marked = mark.over(clear)
    left, top, right, bottom = mark.box
    sign = marked[top:bottom, left:right]
    assert sign[..., 3].max() > 245 and 100 < np.median(sign[..., 3]) < 180
    # Laid over white it is what it is on white pixels.
    alpha = marked[..., 3:] / 255
    over_white = marked[..., :3] * alpha + 255 * (1 - alpha)
    on_white = mark.over(np.full((256, 256, 3), 255, np.uint8))
    assert np.abs(over_white - on_white).max() <= 2
