# SPDX-License-Identifier: GPL-3.0-or-later
"""The metadata of a rendered video: that it is generated, by what, and from what.

A sentence goes into the tags that players show (title, comment, description), the IPTC digital
source type into an XMP packet, where news and photo programs look for it. None of this is
protection: anyone can remove it. It is there so that nobody is misled by accident.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from shared.errors import ErrorKind, VividKeysError
from shared.take import Take, take_to_arrays
from shared.version import __version__

# https://cv.iptc.org/newscodes/digitalsourcetype/
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = "trainedAlgorithmicMedia"
TITLE = "AI-generated talking-head video"
XMP_CHUNK = "XML:com.adobe.xmp"  # the keyword under which PNG stores XMP
# A top-level box of this type holds the XMP of an MP4 or MOV.
_XMP_BOX = bytes.fromhex("BE7ACFCB97A942E89C71999491E3AFAC")
_LARGEST_PACKET = 1 << 20

_SENTENCE = re.compile(
    r"AI-generated talking-head video made by VividKeys (?P<version>\S+) "
    r"from Take (?P<take>[0-9a-f]{64}), photo (?P<photo>[0-9a-f]{64})\."
    r"(?: Digital source type: (?P<kind>\w+)\.)?"
)


@dataclass(frozen=True)
class Provenance:
    """Where a video comes from: hexadecimal sha256 of the Take (`take_sha256`) and the photo."""

    take: str
    photo: str
    version: str = __version__
    source_type: str = GENERATED

    @property
    def sentence(self) -> str:
        """The text of the file's comment tag."""
        return (
            f"{TITLE} made by VividKeys {self.version} from Take {self.take}, "
            f"photo {self.photo}. Digital source type: {self.source_type}."
        )


def take_sha256(take: Take) -> str:
    """A digest of a Take's content, the same however and wherever it was saved."""
    digest = hashlib.sha256()
    for name, values in sorted(take_to_arrays(take).items()):
        array = np.ascontiguousarray(values)
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def photo_sha256(image: Path | str | bytes) -> str:
    """The digest of a photo's file. Raises VividKeysError(bad_image)."""
    if isinstance(image, bytes | bytearray | memoryview):
        return hashlib.sha256(image).hexdigest()
    try:
        with Path(image).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise VividKeysError(
            ErrorKind.BAD_IMAGE,
            f"The picture {Path(image).name} cannot be opened.",
            "Check that the file exists and can be read.",
        ) from error


def tags(provenance: Provenance) -> dict[str, str]:
    """The tags of a film or a picture."""
    return {
        "title": TITLE,
        "comment": provenance.sentence,
        "description": provenance.sentence,
    }


def xmp_packet(provenance: Provenance) -> str:
    """The same as an XMP packet."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '<rdf:Description rdf:about=""\n'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/"\n'
        ' xmlns:xmp="http://ns.adobe.com/xap/1.0/"\n'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"\n'
        f' xmp:CreatorTool="VividKeys {escape(provenance.version)}"\n'
        f' Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPES}{provenance.source_type}">\n'
        "<dc:description><rdf:Alt>"
        f'<rdf:li xml:lang="x-default">{escape(provenance.sentence)}</rdf:li>'
        "</rdf:Alt></dc:description>\n"
        '</rdf:Description></rdf:RDF></x:xmpmeta>\n<?xpacket end="r"?>'
    )


def xmp_box(provenance: Provenance) -> bytes:
    """The XMP packet as a box that can be appended to any MP4 or MOV."""
    packet = xmp_packet(provenance).encode()
    return struct.pack(">I4s", 8 + 16 + len(packet), b"uuid") + _XMP_BOX + packet


def read_provenance(path: Path) -> Provenance | None:
    """The provenance stored in an MP4, MOV, PNG or a folder of PNGs; None if it is not ours.

    Raises VividKeysError(bad_file) when the file is missing or cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        pictures = sorted(path.glob("*.png"))
        return read_provenance(pictures[0]) if pictures else None
    try:
        with path.open("rb") as file:
            is_picture = file.read(8) == b"\x89PNG\r\n\x1a\n"
        texts = _texts_of_picture(path) if is_picture else _texts_of_film(path)
    except Exception as error:  # Pillow's many readers raise errors of many kinds
        raise VividKeysError(
            ErrorKind.BAD_FILE,
            f"'{path.name}' is not a readable video or picture.",
            "Check the path.",
        ) from error
    for text in texts:
        if found := _SENTENCE.search(text):
            return Provenance(found["take"], found["photo"], found["version"], found["kind"] or "")
    return None


def _texts_of_picture(path: Path) -> list[str]:
    from backend.media.pictures import open_picture

    with open_picture(path.read_bytes()) as image:
        held: Any = getattr(image, "text", {}) or image.info
        return [str(value) for value in held.values() if isinstance(value, str)]


def _texts_of_film(path: Path) -> list[str]:
    from backend.media.containers import open_container

    with path.open("rb") as file, open_container(file) as container:
        texts = [str(value) for value in container.metadata.values()]
    return [*texts, *(packet.decode(errors="replace") for packet in _xmp_packets(path))]


def _xmp_packets(path: Path) -> list[bytes]:
    """The top-level XMP packets of an MP4 or MOV; reads no other box beyond its header."""
    found = []
    for kind, start, size in top_boxes(path):
        if kind == b"uuid" and 24 <= size <= _LARGEST_PACKET:
            with path.open("rb") as file:
                file.seek(start + 8)
                if file.read(16) == _XMP_BOX:
                    found.append(file.read(size - 24))
    return found


def top_boxes(path: Path) -> list[tuple[bytes, int, int]]:
    """Type, offset and size in bytes of the complete top-level boxes of an MP4 or MOV."""
    boxes = []
    end = path.stat().st_size
    with path.open("rb") as file:
        start = 0
        while start + 8 <= end:
            file.seek(start)
            header = file.read(16)
            size, kind = struct.unpack(">I4s", header[:8])
            if size == 1 and len(header) == 16:
                size = struct.unpack(">Q", header[8:])[0]
            elif size == 0:
                size = end - start
            if size < 8 or start + size > end:
                break
            boxes.append((kind, start, size))
            start += size
    return boxes
