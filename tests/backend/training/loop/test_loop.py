# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop of all trainings, on a network of one weight that learns to be 3."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from backend.training.loop.average import copied_weights, follow
from backend.training.loop.checkpoint import CHECKPOINT
from backend.training.loop.run import Run, begin
from backend.training.loop.schedule import Schedule
from backend.training.loop.tensor_files import write_tensors
from backend.training.loop.to_the_end import run_to_the_end
from backend.watch import UNWATCHED, Watch
from shared.errors import ErrorKind, VividKeysError

SCHEDULE = Schedule(
    steps=60, learning_rate=0.2, final_share=0.1, warm_up=4, decay=0.0, clip=1.0, average=0.8,
    save_every=10, report_every=20, validate_every=25,
)  # fmt: skip


class OneWeight(Run):
    """Its batches are noisy, so that a step that were drawn otherwise would be noticed."""

    weights = "one.safetensors"

    def __init__(self, schedule: Schedule = SCHEDULE) -> None:
        begin(schedule)
        self.network = torch.nn.Linear(1, 1, bias=False)
        super().__init__(schedule, {"one": self.network}, {"adam": ("one",)}, averaged=("one",))
        self.fixed = {"wanted": torch.tensor([3.0])}
        self.prepared = self.rested = 0
        self.closed = False
        self.broken_at = -1

    def prepare(self, watch: Watch = UNWATCHED) -> None:
        self.prepared += 1

    def take_step(self) -> dict[str, float]:
        wanted = self.fixed["wanted"] + 0.1 * torch.randn(8, 1)
        if self.step == self.broken_at:
            wanted = wanted * math.nan
        loss = ((self.network(torch.ones(8, 1)) - wanted) ** 2).mean()
        self.apply("adam", loss)
        odd = {"odd": 1.0} if self.step % 2 else {}
        return {"loss": float(loss.detach()), **odd}

    def judge(self) -> str:
        return f"off {abs(float(self.averaged('one')['weight']) - 3.0):.3f}"

    def rest(self) -> None:
        self.rested += 1

    def close(self) -> None:
        self.closed = True

    def export(self, path: Path) -> None:
        write_tensors(self.averaged("one"), {"steps": str(self.step)}, path)

    @property
    def value(self) -> float:
        return float(self.network.weight.detach())


def test_it_learns_tells_saves_judges_and_exports(tmp_path: Path) -> None:
    run, told = OneWeight(), list[tuple[float, str]]()
    path = run_to_the_end(run, tmp_path, Watch(lambda share, text: told.append((share, text))))
    with safe_open(path, "pt") as stream:
        assert stream.metadata() == {"steps": "60"}
        assert float(stream.get_tensor("weight")) == pytest.approx(3.0, abs=0.2)
    words = [text for _, text in told]
    assert [text.split()[0] for text in words] == ["20", "25", "40", "50", "60", "60"]
    # A part that is in every other step is averaged over those.
    assert "odd 1.0000" in words[0] and "held out: off" in words[1]
    assert [share for share, _ in told] == sorted(share for share, _ in told)
    assert run.prepared == 1 and run.rested == 6 and run.closed
    assert sorted(file.name for file in tmp_path.iterdir()) == [CHECKPOINT, "one.safetensors"]


def test_a_cancelled_run_keeps_what_it_has_and_goes_on_to_the_same_end(tmp_path: Path) -> None:
    unbroken = OneWeight()
    run_to_the_end(unbroken, tmp_path / "unbroken", Watch())
    first = OneWeight()
    with pytest.raises(VividKeysError) as raised:
        run_to_the_end(first, tmp_path / "broken", Watch(cancelled=lambda: first.step == 13))
    assert raised.value.kind is ErrorKind.CANCELLED and first.closed
    assert not (tmp_path / "broken" / "one.safetensors").exists()
    second, told = OneWeight(replace(SCHEDULE, threads=1)), list[str]()
    second.fixed["wanted"] = torch.tensor([-1.0])  # the checkpoint knows better
    run_to_the_end(second, tmp_path / "broken", Watch(lambda _, text: told.append(text)))
    assert told[0] == "going on from step 13" and second.prepared == 0
    assert second.value == unbroken.value
    assert torch.equal(second.average["one.weight"], unbroken.average["one.weight"])


def test_a_broken_batch_changes_no_weight() -> None:
    run = OneWeight()
    run.broken_at = 2
    for _ in range(2):
        run.optimise()
    before = run.value
    run.optimise()
    assert run.value == before and run.step == 3
    run.optimise()
    assert math.isfinite(run.value) and run.value != before


@pytest.mark.parametrize("spoil", ["cut", "other", "text"])
def test_a_checkpoint_that_cannot_be_used_is_named(tmp_path: Path, spoil: str) -> None:
    path = tmp_path / CHECKPOINT
    OneWeight().save(path)
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:-4])
    elif spoil == "text":
        path.write_text("not a checkpoint")
    else:
        write_tensors({"module.one.weight": torch.ones(1, 1)}, {"state": "{}"}, path)
    run = OneWeight()
    with pytest.raises(VividKeysError) as raised:
        run_to_the_end(run, tmp_path, Watch())
    assert raised.value.kind is ErrorKind.BAD_FILE and str(path) in raised.value.sentence
    assert run.closed


def test_the_rate_rises_and_falls_and_the_clock_counts_too() -> None:
    schedule = replace(SCHEDULE, steps=100, minutes=1.0)
    rates = [schedule.rate(step, schedule.progress(step, 0.0)) for step in range(101)]
    assert rates[0] == pytest.approx(0.25 * 0.2) and max(rates) < 0.2
    assert rates.index(max(rates)) == 3 and rates[3:] == sorted(rates[3:], reverse=True)
    assert rates[-1] == pytest.approx(0.1 * 0.2)
    assert schedule.progress(10, 30.0) == 0.5 and schedule.progress(10, 90.0) == 1.0


def test_an_average_follows_quickly_at_first() -> None:
    module = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(module.weight)
    average = copied_weights({"m": module})
    torch.nn.init.ones_(module.weight)
    follow(average, {"m": module}, 0.9, step=0)
    assert float(average["m.weight"]) == pytest.approx(0.9)  # it kept a tenth
    follow(average, {"m": module}, 0.9, step=10_000)
    assert float(average["m.weight"]) == pytest.approx(1.0 - 0.9 * 0.1)
    assert float(module.weight.detach()) == 1.0
