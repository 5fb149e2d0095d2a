# SPDX-License-Identifier: GPL-3.0-or-later
"""What each ingredient of the training is worth: the recipe beside the recipe without one of them.

    python -m backend.evaluation.ablations CACHE OUT --held-out FOLDER --steps 500

All are trained from scratch, with the same seed and the same number of steps, and evaluated on
held-out voices (folders that `backend.training.corpus.held_out` wrote). `--only NAME` does one of
them, so that several processes can share the work; what is done already is not done again.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table

from backend.audio_to_mesh.motion_model import MotionModel
from backend.evaluation.speech import as_dict, evaluate_speech, model_system, read_clips
from backend.training.motion.draw_ahead import TrainingSet
from backend.training.motion.train import WEIGHTS, MotionRecipe, train
from shared.errors import ErrorKind, VividKeysError
from shared.whole_files import write_whole

SCORES = "scores.json"
_SYNTHETIC = ("espeak*", "flite*", "festival*", "noise")
_ENGLISH = ("real*", "flite*", "native-*-en", "espeak*", "noise")


@dataclass(frozen=True)
class Ablation:
    """A way to train: the training set that remains, and the recipe."""

    source: TrainingSet
    recipe: MotionRecipe


def ablations(prepared: Path, recipe: MotionRecipe) -> dict[str, Ablation]:
    """The reference, and the variants that differ from it in one thing, by name."""
    whole = TrainingSet(prepared)
    no_offsets = replace(recipe, loss=replace(recipe.loss, offsets=0.0), move_offsets=False)
    return {
        "reference": Ablation(whole, recipe),
        "without-offsets": Ablation(whole, no_offsets),
        "without-real-speech": Ablation(replace(whole, corpora=_SYNTHETIC), recipe),
        "without-augmentation": Ablation(replace(whole, clean=True), recipe),
        "english-only": Ablation(replace(whole, corpora=_ENGLISH, espeak_language="en"), recipe),
    }


def evaluate(weights: Path, held_out: Path, corpora: tuple[str, ...]) -> dict[str, Any]:
    """Scores of one network on each held-out corpus that exists, by corpus and score."""
    MotionModel.load(weights)  # reports a damaged file before long work begins
    found: dict[str, Any] = {}
    for corpus in corpora:
        if not (held_out / corpus).is_dir():
            print(f"{held_out / corpus}: not found, skipped", flush=True)
            continue
        table = evaluate_speech(read_clips(held_out / corpus), [model_system(weights)])
        found[corpus] = as_dict(table)
    if not found:
        raise VividKeysError(
            ErrorKind.BAD_REQUEST,
            f"None of {', '.join(corpora)} is in {held_out}.",
            "Write them: python -m backend.training.corpus.held_out CACHE FOLDER",
        )
    return found


def train_one(name: str, ablation: Ablation, out: Path, held: Path, on: tuple[str, ...]) -> None:
    """Train and evaluate, unless that is done already."""
    folder = out / name
    if (folder / SCORES).is_file():
        return
    print(f"{name}: {ablation.recipe.steps} steps", flush=True)
    train(ablation.source, folder, ablation.recipe)
    scores = {"steps": ablation.recipe.steps, "seed": ablation.recipe.seed}
    found = scores | {"corpora": evaluate(folder / WEIGHTS, held, on)}
    write_whole(folder / SCORES, json.dumps(found, indent=1))


def read_scores(out: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """The scores so far, by name of the ablation; a damaged file is reported and left out."""
    found = {}
    for name in names:
        path = out / name / SCORES
        if not path.is_file():
            continue
        try:
            found[name] = json.loads(path.read_text())
        except ValueError:
            print(f"skipped: {path} cannot be read; delete it to do this ablation again")
    return found


def score_table(found: dict[str, Any], scores: tuple[str, ...]) -> Table:
    """A row per ablation and held-out corpus."""
    view = Table(title="Scores without one of the ingredients, on held-out voices")
    for heading in ("trained", "on", *scores):
        view.add_column(heading)
    for name, entry in found.items():
        for corpus, table in entry["corpora"].items():
            row = table["systems"][0]["scores"]
            cells = [_cell(row.get(score)) for score in scores]
            view.add_row(f"{name} ({entry['steps']} steps)", corpus, *cells)
    return view


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else "-" if value is None else str(value)


@dataclass(frozen=True)
class Ablations:
    """Train the motion network without one ingredient at a time and compare."""

    cache: tyro.conf.Positional[Path]
    """The cache of `train motion`, with its prepared set."""
    out: tyro.conf.Positional[Path]
    """A folder for each network's weights and scores, and ablations.json."""
    held_out: Path = Path(".cache/held_out")
    """Held-out voices, as `backend.training.corpus.held_out` writes them."""
    on: tuple[str, ...] = ("real-test", "real-test-degraded", "espeak-held-out", "russian-held-out")
    """Folders of held-out voices to evaluate on."""
    only: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")] = ()
    """Do only these; by default all."""
    steps: int = 500
    """Steps of each."""
    seed: int = 0
    """Of weights and batches; the same for all."""
    threads: int = 1
    """Threads of the network."""

    def run(self) -> None:
        # A limit on time would give runs on a busy machine fewer steps.
        recipe = replace(
            MotionRecipe(),
            steps=self.steps,
            minutes=math.inf,
            seed=self.seed,
            threads=self.threads,
        )
        known = ablations(self.cache / "prepared", recipe)
        unknown = [name for name in self.only if name not in known]
        if unknown:
            raise VividKeysError(
                ErrorKind.BAD_REQUEST,
                f"There is no ablation '{unknown[0]}'.",
                f"There are {', '.join(known)}.",
            )
        for name in self.only or tuple(known):
            train_one(name, known[name], self.out, self.held_out, self.on)
        found = read_scores(self.out, tuple(known))
        write_whole(self.out / "ablations.json", json.dumps(found, indent=1))
        Console(width=150).print(score_table(found, _SHOWN))


_SHOWN = (
    "bilabial_f1",
    "closure_score",
    "auc_open_close",
    "spearman_openness",
    "auc_round_spread",
    "auc_labiodental_tuck",
    "silence_closed",
)


def main() -> None:
    """The command line; an error is a sentence, not a traceback."""
    try:
        tyro.cli(Ablations).run()
    except VividKeysError as error:
        sys.exit(f"{error.sentence} {error.next_step}")


if __name__ == "__main__":
    main()
