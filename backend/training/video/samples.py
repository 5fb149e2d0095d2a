# SPDX-License-Identifier: GPL-3.0-or-later
"""From training pairs to samples: all network inputs and targets, drawn once and stored on disk.

A folder of samples has one folder per shard with one .npy per array, stacked over the shard's
samples, channels first. A shard appears atomically, so that making samples can be interrupted and
resumed, by several processes, while training already reads them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Shaped
from numpy.typing import NDArray

from backend.mesh_to_video.frame.performance import tracked_performance
from backend.mesh_to_video.frame.portrait import Portrait, portrait_from_pixels
from backend.mesh_to_video.networks.driven_frame import FaceCrop
from backend.mesh_to_video.networks.projection_texture import projection_texture
from shared.errors import VividKeysError
from shared.landmarks import LANDMARK_COUNT

from .pairs import TrainingPair

Sample = dict[str, NDArray[np.generic]]

# Names and channels: SHARES are stored as 0..255, HALVES as 16-bit floats.
SHARES = {
    "photo": 3, "photo_code": 3, "photo_face": 1, "target": 3, "composite": 3, "seen": 1,
    "face": 1, "person": 1, "code": 3, "inside": 4,
}  # fmt: skip
HALVES = {"flow": 2, "exact_flow": 2, "lips": 8}
NEXT = "next"
NOTE = "samples.json"
# A driven face this far from the tracked one, in face heights, is rejected.
_LARGEST_MISS = 0.06


class SampleMaker:
    """Turns pairs into samples; the portrait of a source is made once for all its pairs."""

    def __init__(self) -> None:
        self._source: object = None
        self._portrait: Portrait | None = None
        self._crop: FaceCrop | None = None

    def sample(self, pair: TrainingPair) -> Sample | None:
        """The arrays of one pair, or None where the mesh cannot follow it.

        Raises VividKeysError(bad_image) where the source shows no face.
        """
        if pair.source is not self._source or self._portrait is None or self._crop is None:
            self._source = None
            self._portrait = portrait_from_pixels(pair.source, pair.source_landmarks)
            self._crop = FaceCrop(self._portrait)
            self._source = pair.source
        portrait, crop = self._portrait, self._crop
        performance = tracked_performance(portrait, pair.target_landmarks[None], 25.0)
        vertices = performance.vertices(0)
        miss = np.abs(
            vertices[:LANDMARK_COUNT, :2] - pair.target_landmarks[:LANDMARK_COUNT, :2]
        ).mean()
        if not np.isfinite(vertices).all() or miss > _LARGEST_MISS * portrait.face_height:
            return None
        driven = crop.frame(vertices)
        layers = crop.warp.draw(vertices)
        composite = layers.colour + (1.0 - layers.alpha[..., None]) * crop.warp.plate
        photo = crop.photo.astype(np.float32) / 255.0
        target = portrait.crop.cut(pair.target).astype(np.float32) / 255.0
        arrays = {
            "photo": photo,
            "photo_code": projection_texture(crop.code, crop.face, photo),
            "photo_face": crop.face,
            "target": target,
            "composite": composite / 255.0,
            "seen": driven.seen,
            "face": driven.face,
            "person": crop.person,
            "code": driven.code,
            "inside": driven.inside,
            "flow": driven.flow,
            "exact_flow": _exact_flow(pair, portrait),
            "lips": driven.lips,
        }
        return {name: _kept(name, array) for name, array in arrays.items()}


def _exact_flow(pair: TrainingPair, portrait: Portrait) -> Float32[np.ndarray, "H W 2"]:
    """The pair's flow in the crop's pixels, NaN where unknown."""
    view = portrait.crop
    if pair.flow is None:
        return np.full((view.height, view.width, 2), np.nan, np.float32)
    # Nearest-neighbour sampling, because NaN must not be averaged with its neighbours.
    rows = np.floor((np.arange(view.height) + 0.5) / view.scale + view.top).astype(int)
    columns = np.floor((np.arange(view.width) + 0.5) / view.scale + view.left).astype(int)
    height, width = pair.flow.shape[:2]
    flow = pair.flow[np.clip(rows, 0, height - 1)][:, np.clip(columns, 0, width - 1)]
    flow = flow * np.float32(view.scale)
    flow[(rows < 0) | (rows >= height)] = np.nan
    flow[:, (columns < 0) | (columns >= width)] = np.nan
    return np.asarray(flow, np.float32)


def _kept(name: str, array: Float[np.ndarray, "H W *C"]) -> Shaped[np.ndarray, "C H W"]:
    """An array in its stored form, channels first."""
    planes = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    if name in SHARES:
        stored = np.clip(planes, 0.0, 1.0) * 255.0 + 0.5
        return np.ascontiguousarray(stored.astype(np.uint8))
    return np.ascontiguousarray(planes.astype(np.float16))


def write_shard(folder: Path, pairs: Iterable[TrainingPair], most: int) -> int:
    """Write at most `most` samples of pairs to a shard's folder; returns their number.

    The array `next` holds for each sample the number of its next frame's, or -1. An existing shard
    is kept. A pair that cannot be used is skipped.
    """
    if (folder / NOTE).is_file():
        return len(np.load(folder / f"{NEXT}.npy", mmap_mode="r", allow_pickle=False))
    maker = SampleMaker()
    made: list[Sample] = []
    following: list[int] = []
    names: list[str] = []
    kinds: list[str] = []
    before: TrainingPair | None = None
    for pair in pairs:
        try:
            sample = maker.sample(pair)
        except VividKeysError as error:
            print(f"{pair.name}: {error}", flush=True)
            sample = None
        if sample is not None:
            if pair.follows and before is not None and before.source is pair.source:
                following[-1] = len(made)
            made.append(sample)
            following.append(-1)
            names.append(pair.name)
            kinds.append(pair.kind)
        before = pair if sample is not None else None
        if len(made) >= most:
            break
    unfinished = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name in made[0] if made else ():
        np.save(unfinished / f"{name}.npy", np.stack([sample[name] for sample in made]))
    np.save(unfinished / f"{NEXT}.npy", np.array(following, np.int32))
    note = {"names": names, "kinds": kinds}
    (unfinished / NOTE).write_text(json.dumps(note, ensure_ascii=False), "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.replace(folder)
    return len(made)


def shards_in(folder: Path) -> Iterator[Path]:
    """The finished shards of a folder that have samples."""
    for note in sorted(folder.glob(f"*/{NOTE}")):
        if not note.parent.name.endswith(".tmp") and (note.parent / "photo.npy").is_file():
            yield note.parent
