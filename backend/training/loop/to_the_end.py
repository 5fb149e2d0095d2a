# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop of every training: step, report, save, validate; interrupted runs are resumed."""

from __future__ import annotations

from pathlib import Path

from backend.training.loop.checkpoint import CHECKPOINT
from backend.training.loop.run import Run
from backend.watch import Watch, stopped


def _print(_: float, sentence: str) -> None:
    print(sentence, flush=True)


PRINTED = Watch(_print)


def run_to_the_end(run: Run, output: Path, watch: Watch = PRINTED) -> Path:
    """Train to the end of the schedule, resuming from a checkpoint in `output`.

    Returns the path of the weights. Raises VividKeysError(cancelled) after writing a checkpoint,
    and bad_file for a damaged one.
    """
    checkpoint, worker = output / CHECKPOINT, run.worker
    if not worker.leads:
        watch = Watch(cancelled=watch.cancelled)
    try:
        if checkpoint.is_file():
            run.resume(checkpoint)
            watch.progress(run.progress(), f"going on from step {run.step}")
        # No process may write the checkpoint before all have looked for it.
        worker.wait()
        if run.step == 0:
            run.prepare(watch)
        learn(run, watch, checkpoint)
    finally:
        run.close()
    if worker.leads:
        run.save(checkpoint)
        _judge(run, watch)
        run.export(output / run.weights)
    worker.wait()
    return output / run.weights


def learn(run: Run, watch: Watch, checkpoint: Path | None = None) -> None:
    """Take steps to the end of the schedule, reporting losses and writing checkpoints regularly.

    Raises VividKeysError(cancelled) between steps.
    """
    schedule, worker = run.schedule, run.worker
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    while run.progress() < 1.0:
        # A process that stopped alone would leave the others waiting for its gradients.
        (stop,) = worker.average([], float(watch.cancelled()))
        if stop:
            if checkpoint is not None and worker.leads:
                run.save(checkpoint)
            raise stopped()
        # Terms that do not occur in every step are averaged over the steps in which they do.
        for name, value in run.optimise().items():
            sums[name] = sums.get(name, 0.0) + value
            counts[name] = counts.get(name, 0) + 1
        if not worker.leads:
            continue
        if run.step % schedule.report_every == 0:
            text = " ".join(f"{name} {value / counts[name]:.4f}" for name, value in sums.items())
            watch.progress(run.progress(), f"{run.step} {run.elapsed:.0f} s {text}")
            sums, counts = {}, {}
        if checkpoint is not None and run.step % schedule.save_every == 0:
            run.save(checkpoint)
            run.rest()
        if run.step % schedule.validate_every == 0:
            _judge(run, watch)


def _judge(run: Run, watch: Watch) -> None:
    if figures := run.judge():
        watch.progress(run.progress(), f"{run.step} held out: {figures}")
