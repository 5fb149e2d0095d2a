# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a folder of training samples with several processes; resumable.

python -m backend.training.video.make_samples FACES FOLDER --shards 80 --processes 2
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from backend.face.load_image import load_image
from backend.heads.add import made_head
from backend.watch import UNWATCHED
from shared.errors import VividKeysError

from .clip_pairs import clip_pairs, films_in
from .head_cache import make_heads
from .pairs import TrainingPair
from .photo_pairs import london_pairs, portrait_pair
from .samples import write_shard
from .sources import Photos, Shard, Shares, held_out_photos, planned, training_photos
from .synthetic_heads import synthetic_pairs

# Samples per shard, and the number of heads in the synthetic pictures.
SHARD_SIZE = 48
HEADS = 80
_PER_SCENE = 6
_BACKGROUNDS = 40


@dataclass(frozen=True)
class SampleRecipe:
    """Everything that a folder of samples depends on.

    faces     the folder with `london` and `portraits_cc0`
    heads     where synthetic heads and landmarks are cached; made as needed
    ict       ICT-FaceKit (.npz) and its landmarks, or None
    films     a folder of the user's films, or None
    held_out  make samples of the held-out people instead
    exact     synthetic landmarks without a tracker's error: the motion network needs that error to
              be robust, but a generator trained with it paints blurred
    """

    faces: Path
    heads: Path
    ict: tuple[Path, Path] | None = None
    films: Path | None = None
    shards: int = 80
    seed: int = 0
    shares: Shares = field(default_factory=Shares)
    held_out: bool = False
    exact: bool = False
    shard_size: int = SHARD_SIZE


def shard_pairs(recipe: SampleRecipe, shard: Shard) -> Iterator[TrainingPair]:
    """The pairs of one shard, determined by the recipe."""
    random = np.random.default_rng([recipe.seed, shard.number, len(shard.kind)])
    photos = _photos(recipe)
    landmarks = recipe.heads / "landmarks"
    if shard.kind == "synthetic":
        heads = sorted(recipe.heads.glob("*.npz"))
        backgrounds = _backgrounds(photos, random)
        yield from synthetic_pairs(
            heads, random, backgrounds, per_scene=_PER_SCENE, tracked=not recipe.exact
        )
    elif shard.kind == "london":
        for index in _turn(len(photos.london), shard.number, recipe.shard_size // 4):
            yield from london_pairs(*photos.london[index], landmarks)
            # The same person once more, with synthesised sources.
            for photo in photos.london[index]:
                yield from portrait_pair(photo, random, "london", landmarks)
    elif shard.kind == "portrait":
        for index in _turn(len(photos.portraits), shard.number, recipe.shard_size):
            yield from portrait_pair(photos.portraits[index], random, "portrait", landmarks)
    elif recipe.films is not None:
        films = films_in(recipe.films)
        for index in _turn(len(films), shard.number, recipe.shard_size // 12):
            yield from clip_pairs(films[index], random)


def _turn(count: int, number: int, size: int) -> Iterator[int]:
    """Item indices of the `number`-th shard of `size`, in a fixed shuffled order."""
    if count:
        order = np.random.default_rng(7).permutation(count)
        start = number * max(size, 1)
        yield from (int(order[(start + n) % count]) for n in range(4 * max(size, 1)))


def _photos(recipe: SampleRecipe) -> Photos:
    return (held_out_photos if recipe.held_out else training_photos)(recipe.faces)


def _backgrounds(photos: Photos, random: np.random.Generator) -> list[UInt8[np.ndarray, "_ _ 3"]]:
    """Crops of the background of some portraits."""
    found = []
    if not photos.portraits:
        return []
    for index in random.integers(len(photos.portraits), size=_BACKGROUNDS):
        try:
            picture = load_image(photos.portraits[index]).pixels
        except VividKeysError:
            continue
        # The upper corners are background in nearly all of them.
        height, width = picture.shape[:2]
        left = bool(random.random() < 0.5)
        part = picture[: int(0.45 * height), : int(0.2 * width)]
        if not left:
            part = picture[: int(0.45 * height), -int(0.2 * width) :]
        found.append(np.ascontiguousarray(part, np.uint8))
    return found


def prepare_heads(recipe: SampleRecipe, count: int = HEADS) -> list[Path]:
    """The heads of the synthetic pictures, made if they do not exist yet."""
    there = sorted(recipe.heads.glob("*.npz"))
    if len(there) >= 0.8 * count:
        return there
    photos = _photos(recipe).single
    step = max(1, len(photos) // count)
    ict = None
    if recipe.ict is not None:
        ict = made_head(recipe.ict[0], UNWATCHED, recipe.ict[1], "", True)
    return make_heads(photos[::step][:count], recipe.heads, ict)


def make_samples(recipe: SampleRecipe, folder: Path, processes: int = 1) -> None:
    """Make all shards of a recipe that do not exist yet."""
    if recipe.shares.synthetic > 0:
        prepare_heads(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    shards = planned(recipe.shares, recipe.shards)
    if processes <= 1:
        _work(recipe, folder, shards)
        return
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_work, args=(recipe, folder, shards[rank::processes]))
        for rank in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _work(recipe: SampleRecipe, folder: Path, shards: list[Shard]) -> None:
    cv2.setNumThreads(1)
    for shard in shards:
        start = time.monotonic()
        place = folder / shard.name
        if place.is_dir():
            continue
        try:
            pairs = itertools.islice(shard_pairs(recipe, shard), 6 * recipe.shard_size)
            count = write_shard(place, pairs, recipe.shard_size)
        except (VividKeysError, OSError) as error:
            print(f"{shard.name}: {error}", flush=True)
            continue
        print(f"{shard.name}: {count} samples in {time.monotonic() - start:.0f} s", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("faces", type=Path, help="folder with london and portraits_cc0")
    parser.add_argument("folder", type=Path, help="where the samples go")
    parser.add_argument("--heads", type=Path, help="where synthetic heads are cached")
    parser.add_argument("--ict", type=Path, nargs=2, help="ICT-FaceKit and its landmarks (.npz)")
    parser.add_argument("--films", type=Path, help="folder of your own films of talking people")
    parser.add_argument("--shards", type=int, default=80)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--held-out", action="store_true", help="use the held-out people instead")
    parser.add_argument(
        "--exact",
        action="store_true",
        help="landmarks without a tracker's error, for the generator",
    )
    given = parser.parse_args(arguments)
    shares = Shares(clip=0.5) if given.films else Shares()
    if given.held_out:
        shares = Shares(synthetic=0.0, london=0.5, portrait=0.5)
    recipe = SampleRecipe(
        given.faces, given.heads or given.folder.with_name("video_heads"),
        tuple(given.ict) if given.ict else None, given.films, given.shards, given.seed, shares,
        given.held_out, given.exact,
    )  # fmt: skip
    make_samples(recipe, given.folder, given.processes)


if __name__ == "__main__":
    main()
