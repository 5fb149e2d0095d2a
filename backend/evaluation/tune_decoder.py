# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose the decoder's settings on held-out tuning speakers, and write them beside weights.

    python -m backend.evaluation.tune_decoder WEIGHTS FOLDER [FOLDER ...]

The folders hold recordings with phones, as `backend.training.corpus.held_out` writes them: the
tuning speakers and their degraded copies, with equal weight. The merit of closures is two thirds
their F1 and one third the closure score: F1 alone would allow a mouth that is shut too often, and a
false closure on n shows as much as a missed one on m. First the thresholds, then the share of the
expected pose are chosen: those that open the mouth best (rank correlation with openness, open
against close vowels, vowels against p b m) among those whose closures are at most `SPARE` worse
than the best.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from backend.audio_to_mesh.decoder import RATE, at_frame_rate, decode
from backend.audio_to_mesh.decoder_settings import DecoderSettings, decoder_beside, save_decoder
from backend.audio_to_mesh.heard import Heard
from backend.audio_to_mesh.listener import hear
from backend.audio_to_mesh.motion_model import MotionModel
from backend.evaluation.lip_metric import LipScores, gather, score
from backend.evaluation.phones import Phone
from backend.evaluation.speech import read_clips
from shared.arkit import ARKIT_NAMES

FPS = 60.0
ON = (0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
OFF_SHARE = (0.4, 0.55, 0.7)
EXPECTED = (0.0, 0.2, 0.4, 0.5)
SPARE = 0.005

_CLOSURES = ("bilabial_f1", "closure_score")
_SHARES = (2 / 3, 1 / 3)
_OPENING = ("spearman_openness", "auc_open_close", "auc_vowel_bilabial")
_SHORT = ("F1", "closure", "Spearman", "open/close", "vowel/p b m")

Folder = list[tuple[Heard, list[Phone]]]
"""The network's output for each recording of a folder, with its phones."""


def hear_folder(folder: Path, model: MotionModel) -> Folder:
    """The network's output for every recording of a folder."""
    return [(hear(clip.audio.samples, model), clip.phones) for clip in read_clips(folder)]


@dataclass(frozen=True)
class Merit:
    """The merit of settings.

    `closures` and `opening` are means over the folders of the scores of closures and of the
    mouth's opening; `scores` are all scores of each folder.
    """

    closures: float
    opening: float
    scores: tuple[LipScores, ...]


def _mean(
    scores: Sequence[LipScores], names: Sequence[str], shares: Sequence[float] | None = None
) -> float:
    """Mean of scores; an undefined one counts as 0: a mouth that never shuts has no F1."""
    values = np.nan_to_num([[getattr(s, name) for name in names] for s in scores])
    return float(np.average(values, axis=1, weights=shares).mean())


def merit(folders: Sequence[Folder], settings: DecoderSettings) -> Merit:
    """The merit of settings on what was heard."""
    scores = []
    for folder in folders:
        evidence = []
        for heard, phones in folder:
            rows = decode(heard, settings)[:, : len(ARKIT_NAMES)]
            weights = at_frame_rate(
                rows, -settings.lead, 0, max(int(len(rows) * FPS / RATE), 1), FPS
            )
            evidence.append(gather(weights, phones, FPS))
        scores.append(score(evidence))
    return Merit(_mean(scores, _CLOSURES, _SHARES), _mean(scores, _OPENING), tuple(scores))


def _best(worth: Sequence[Merit]) -> int:
    """Index of the settings that open the mouth best among those with enough closures."""
    enough = max(each.closures for each in worth) - SPARE
    good = [number for number, each in enumerate(worth) if each.closures >= enough]
    return max(good, key=lambda number: worth[number].opening)


def tune(
    weights: Path, folders: Sequence[Path], show: Callable[[Table], None] = lambda _table: None
) -> DecoderSettings:
    """Try all thresholds, then all shares, and keep the best in the file beside the weights.

    `show` gets a table of each of the two rounds.
    """
    model = MotionModel.load(weights)
    heard = [hear_folder(folder, model) for folder in folders]
    names = [folder.name for folder in folders]

    pairs = itertools.product(ON, OFF_SHARE)
    tried = [
        replace(model.decoder, seal_on=on, seal_off=round(on * share, 3)) for on, share in pairs
    ]
    worth = [merit(heard, settings) for settings in tried]
    best = _best(worth)
    labels = [f"{settings.seal_on:.2f} on, {settings.seal_off:.3f} off" for settings in tried]
    show(_table("Thresholds of closures", labels, worth, names, best))

    shares = [replace(tried[best], expected=share) for share in EXPECTED]
    worth = [merit(heard, settings) for settings in shares]
    best = _best(worth)
    labels = [f"{settings.expected:.1f} expected" for settings in shares]
    show(_table("Share of the expected pose", labels, worth, names, best))
    save_decoder(shares[best], decoder_beside(weights))
    return shares[best]


def _table(
    title: str, labels: Sequence[str], worth: Sequence[Merit], folders: Sequence[str], best: int
) -> Table:
    view = Table("settings", "closures", "opening", title=title)
    for folder in folders:
        for name in _SHORT:
            view.add_column(f"{folder}\n{name}", justify="right")
    for number, (label, each) in enumerate(zip(labels, worth, strict=True)):
        values = [getattr(s, name) for s in each.scores for name in (*_CLOSURES, *_OPENING)]
        kept = "  <" if number == best else ""
        view.add_row(
            label + kept,
            f"{each.closures:.4f}",
            f"{each.opening:.4f}",
            *(f"{value:.3f}" for value in values),
        )
    return view


if __name__ == "__main__":
    chosen = tune(
        Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]], Console(width=200).print
    )
    print(f"kept: {chosen.seal_on} on, {chosen.seal_off} off, {chosen.expected} expected")
