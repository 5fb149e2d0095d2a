# SPDX-License-Identifier: GPL-3.0-or-later
"""The sources of training pictures, their shares, and the held-out people.

For shipped weights: synthetic heads (skin from the London set and CC0 portraits; ICT-FaceKit's
mesh, MIT), the Face Research Lab London Set (CC BY 4.0) and the CC0 portraits. The clips of the
data's folder `video` are for evaluation only and are not read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# Every n-th person is held out.
LONDON_HELD_OUT, PORTRAITS_HELD_OUT = 10, 20


@dataclass(frozen=True)
class Shares:
    """The share of each source in the training data."""

    synthetic: float = 0.64
    london: float = 0.1
    portrait: float = 0.26
    clip: float = 0.0


@dataclass(frozen=True)
class Photos:
    """Photos of people: `london` as (neutral, smiling) of one person each."""

    london: tuple[tuple[Path, Path], ...]
    portraits: tuple[Path, ...]

    @property
    def single(self) -> tuple[Path, ...]:
        """All photos, one by one."""
        return (*(photo for both in self.london for photo in both), *self.portraits)


def training_photos(faces: Path) -> Photos:
    """The people in the data's folder `faces` to train on."""
    return _chosen(faces, held_out=False)


def held_out_photos(faces: Path) -> Photos:
    """The people held out for validation."""
    return _chosen(faces, held_out=True)


def _chosen(faces: Path, held_out: bool) -> Photos:
    smiling = {_person(path): path for path in (faces / "london" / "smiling").glob("*.jpg")}
    people = [
        (path, smiling[_person(path)])
        for path in sorted((faces / "london" / "neutral").glob("*.jpg"))
        if _person(path) in smiling
    ]
    portraits = sorted((faces / "portraits_cc0").glob("*.jpg"))
    return Photos(
        tuple(p for n, p in enumerate(people) if (n % LONDON_HELD_OUT == 0) == held_out),
        tuple(p for n, p in enumerate(portraits) if (n % PORTRAITS_HELD_OUT == 0) == held_out),
    )


def _person(photo: Path) -> str:
    """The person's number in a file's name."""
    return photo.stem.split("_")[0]


@dataclass(frozen=True)
class Shard:
    """A shard to be made: the `number`-th of its kind."""

    name: str
    kind: str
    number: int


def planned(shares: Shares, count: int) -> list[Shard]:
    """`count` shards in the order in which they are made.

    Kinds are interleaved by their shares, so that even the first few shards are a mixture.
    """
    wanted = {kind: share for kind, share in vars(shares).items() if share > 0}
    total = sum(wanted.values())
    made = dict.fromkeys(wanted, 0)
    plan = []
    for position in range(count):
        # The kind furthest behind its share is next; ties are broken by name.
        kind = max(wanted, key=lambda k: (wanted[k] / total * (position + 1) - made[k], k))
        plan.append(Shard(f"{kind}_{made[kind]:04d}", kind, made[kind]))
        made[kind] += 1
    return plan
