# SPDX-License-Identifier: GPL-3.0-or-later
"""Style on the command line: `animate` with dials is `animate`, then `restyle`, on real speech."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from backend.commands.main import main
from backend.commands.moods import read_moods
from backend.models import __file__ as models_file
from shared.arkit import ARKIT_NAMES, INDEX
from shared.errors import VividKeysError
from shared.lips import PARTING, aperture, usual_opening, weighted
from shared.performance.style import MOODS, StyleDials, restyle
from shared.take import Take, load_take, save_take

SPEECH = Path(__file__).resolve().parents[3] / "backend" / "samples" / "speech.flac"

pytestmark = pytest.mark.skipif(
    not (Path(models_file).parent / "motion.safetensors").is_file(),
    reason="the motion model is not in backend/models",
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("takes") / "line.take.npz"
    assert main(["animate", str(SPEECH), "--out", str(path), "--seed", "3"]) == 0
    yield path


def _power_above(curve: np.ndarray, hertz: float) -> float:
    spectrum = np.abs(np.fft.rfft((curve - curve.mean()) * np.hanning(len(curve)))) ** 2
    return float(spectrum[np.fft.rfftfreq(len(curve), 1 / 60) > hertz].sum() / spectrum.sum())


def test_restyle_does_later_what_animate_does_at_once(plain: Path, tmp_path: Path) -> None:
    turned = ["--joy", "0.7", "--jaw", "1.3", "--smile", "-0.25"]
    once, later = tmp_path / "once.take.npz", tmp_path / "later.take.npz"
    assert main(["animate", str(SPEECH), "--out", str(once), "--seed", "3", *turned]) == 0
    csv = tmp_path / "later.csv"
    assert main(["restyle", str(plain), "--out", str(later), "--csv", str(csv), *turned]) == 0
    first, second = load_take(once), load_take(later)
    np.testing.assert_array_equal(first.weights, second.weights)
    assert first.meta == second.meta
    assert first.meta["style"] == {"jaw": 1.3, "smile": -0.25, "joy": 0.7}
    assert "style" not in load_take(plain).meta
    assert np.abs(first.weights - load_take(plain).weights).max() > 0.2
    assert csv.read_text("utf-8").count("\n") >= first.frame_count


def test_animate_hears_a_way_of_speaking(plain: Path, tmp_path: Path) -> None:
    out = tmp_path / "crisp.take.npz"
    told = ["--effort", "0.8", "--jaw-share", "-0.6", "--parted", "1", "--head-liveliness", "-1"]
    assert main(["animate", str(SPEECH), "--out", str(out), "--seed", "3", *told]) == 0
    take, usual = load_take(out), load_take(plain)
    settings = take.meta["settings"]
    names = ("effort", "jaw_share", "parted", "head_liveliness")
    assert [settings[name] for name in names] == [0.8, -0.6, 1.0, -1.0]
    assert np.abs(take.weights - usual.weights).max() > 0.03
    assert np.abs(take.head_rotation - usual.head_rotation).max() > 1e-3


def test_lip_offsets_go_with_the_articulation(plain: Path, tmp_path: Path) -> None:
    spoken = load_take(plain)
    assert len(spoken.offset_basis) == 12
    weights = np.random.default_rng(1).normal(0, 1, spoken.offset_weights.shape)
    usual = replace(spoken, offset_weights=weights.astype(np.float32))
    source, out = tmp_path / "usual.take.npz", tmp_path / "less.take.npz"
    save_take(usual, source)
    assert main(["restyle", str(source), "--out", str(out), "--articulation", "0.5"]) == 0
    np.testing.assert_allclose(load_take(out).offset_weights, 0.5 * usual.offset_weights, atol=1e-6)
    assert main(["restyle", str(source), "--out", str(out), "--articulation", "0"]) == 0
    assert not load_take(out).offset_weights.any()
    assert main(["restyle", str(source), "--out", str(out), "--joy", "1", "--anger", "0.5"]) == 0
    np.testing.assert_array_equal(load_take(out).offset_weights, usual.offset_weights)


def test_restyle_says_what_was_turned_before(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    styled = tmp_path / "a.take.npz"
    assert main(["restyle", str(plain), "--out", str(styled), "--fear", "0.5"]) == 0
    capsys.readouterr()
    assert main(["restyle", str(styled), "--out", str(styled), "--head-motion", "0"]) == 0
    assert "fear 0.5 was applied earlier" in capsys.readouterr().out
    assert not load_take(styled).head_rotation.any()


def test_a_dial_beyond_its_range_is_told(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["restyle", str(plain), "--out", str(tmp_path / "x.npz"), "--joy", "7"]) == 1
    assert "'joy'" in capsys.readouterr().err
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.parametrize("moods", [*((mood,) for mood in MOODS), MOODS], ids="+".join)
def test_no_mood_opens_closed_lips_of_real_speech(plain: Path, moods: tuple[str, ...]) -> None:
    take: Take = load_take(plain)
    styled = restyle(take.weights, take.fps, StyleDials(**dict.fromkeys(moods, 1.0)))
    before, after = (np.ascontiguousarray(w.T) for w in (take.weights, styled))
    gap = aperture(before)
    closed = gap < 0.25 * usual_opening(gap)
    assert closed.sum() > 100
    assert (aperture(after) - gap)[closed].max() <= 2e-4
    parted = weighted(after, PARTING) - np.maximum(weighted(before, PARTING), 0.0)
    assert parted[closed].max() <= 2e-4
    # And vowels are not shut by it.
    opened = gap > 0.6 * usual_opening(gap)
    shut = aperture(after) < 0.25 * usual_opening(gap)
    assert shut[opened].mean() < 0.01
    tucked = take.weights[:, INDEX["mouthRollLower"]] > 0.3
    assert tucked.sum() > 20
    lower = styled[tucked, INDEX["mouthRollLower"]] - take.weights[tucked, INDEX["mouthRollLower"]]
    assert lower.min() > -1e-6
    for column in range(styled.shape[1]):
        # Curves that the mood alone makes do not jitter.
        if take.weights[:, column].std() < 1e-3 < styled[:, column].std():
            assert _power_above(styled[:, column], 10.0) < 0.02, ARKIT_NAMES[column]


def test_moods_over_time(plain: Path, tmp_path: Path) -> None:
    table, out = tmp_path / "moods.csv", tmp_path / "moody.npz"
    table.write_text("time_s,joy,fear\n0,0,0\n1.0,0,0\n1.6,1,0\n")
    assert main(["restyle", str(plain), "--out", str(out), "--moods", str(table)]) == 0
    before, after = load_take(plain), load_take(out)
    moved = np.abs(after.weights - before.weights).max(axis=1)
    early = round(0.6 * before.fps)
    assert moved[:early].max() < 0.01 < 0.2 < moved[round(1.6 * before.fps) :].max()
    assert after.meta["style"] == {"joy": "curve", "fear": "curve"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "time_s\n0\n",
        "joy\n1\n",
        "time_s,envy\n0,1\n",
        "time_s,joy\n0,2\n",
        "time_s,joy\n0\n",
        "time_s,joy\n1,0\n0,1\n",
        "time_s,joy\n0,nan\n",
        "time_s,joy\n",
        "time_s,joy,joy\n0,1,1\n",
    ],
)
def test_a_bad_table_of_moods_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "moods.csv"
    path.write_text(text)
    with pytest.raises(VividKeysError, match=r"moods\.csv"):
        read_moods(path)


def test_blinks_and_gaze_of_a_finished_take(plain: Path, tmp_path: Path) -> None:
    out = tmp_path / "still.npz"
    assert main(["restyle", str(plain), "--out", str(out), "--blinks", "0", "--gaze", "0"]) == 0
    before, after = load_take(plain).weights, load_take(out).weights
    eyes = [i for i, name in enumerate(ARKIT_NAMES) if name.startswith(("eyeLook", "eyeWide"))]
    assert before[:, eyes].any() and not after[:, eyes].any()
    assert np.array_equal(before[:, INDEX["jawOpen"]], after[:, INDEX["jawOpen"]])
