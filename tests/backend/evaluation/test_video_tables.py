# SPDX-License-Identifier: GPL-3.0-or-later
"""Self-reenactment of a made-up clip by made-up methods, regions, and the tables."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from jaxtyping import UInt8
from rich.console import Console

from backend.evaluation.video.bars import clip_bars, pose_bars, video_bars
from backend.evaluation.video.clips import RealClip, photo_frame
from backend.evaluation.video.methods import METHODS, STILL, WARP, WHOLE
from backend.evaluation.video.mouth_shapes import TURNS, VISEMES, turning_take, viseme_take
from backend.evaluation.video.people import photos, recordings
from backend.evaluation.video.pictures import HIGHEST_PSNR
from backend.evaluation.video.reenact import (
    ClipFigures,
    clip_figures,
    compared_frames,
    same_size,
    worst_frames,
)
from backend.evaluation.video.regions import (
    background_region,
    face_region,
    in_plane_fit,
    mouth_region,
    rigid_region,
)
from backend.evaluation.video.sheets import around_face, save, sheet
from backend.evaluation.video.tables import VideoTable, as_dict, rich_tables
from backend.face.template import load_template
from backend.mesh_to_video.settings import Parts
from shared.arkit import INDEX
from shared.landmarks import (
    CHIN,
    LEFT_LID_LOWER,
    LEFT_LID_UPPER,
    NOSE_TIP,
    RIGHT_LID_LOWER,
    RIGHT_LID_UPPER,
    UPPER_LIP_EDGE,
)

SIZE = (200, 300)


def face(shift: float = 0.0) -> np.ndarray:
    template = load_template()
    points = np.concatenate([template.vertices, template.irises])
    across = points[:, 0] * 700 + 150 + shift
    return np.stack([across, -points[:, 2] * 700 + 100, points[:, 1] * 700], axis=1)


def clip(frames: int = 8) -> RealClip:
    random = np.random.default_rng(0)
    scene = cv2.GaussianBlur(random.integers(0, 256, (*SIZE, 3)).astype(np.uint8), (0, 0), 1.2)
    pictures = tuple(np.roll(scene, k, axis=1) for k in range(frames))
    landmarks = np.stack([face(k) for k in range(frames)])
    seen = np.ones(frames, np.bool_)
    seen[5] = False
    return RealClip("made", 25.0, pictures, landmarks, seen, 0)


class Fakes:
    """The whole pipeline is a little noisy, everything else is noisier."""

    def __init__(self, real: RealClip, noise: dict[Parts, float]) -> None:
        self.real, self.noise = real, noise

    def __call__(
        self, parts: Parts | None, frames: Sequence[int]
    ) -> Iterator[UInt8[np.ndarray, "H W 3"]]:
        random = np.random.default_rng(1)
        for frame in frames:
            if parts is None:
                yield self.real.frames[self.real.photo]
                continue
            picture = self.real.frames[frame].astype(np.float64)
            picture += random.normal(0, self.noise.get(parts, 20.0), picture.shape)
            yield np.clip(picture, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def figures() -> ClipFigures:
    real = clip()
    whole = METHODS[WHOLE]
    assert whole is not None
    return clip_figures(real, Fakes(real, {whole: 2.0}))


def test_the_photo_and_unseen_frames_are_not_compared() -> None:
    assert compared_frames(clip()) == [1, 2, 3, 4, 6, 7]
    assert compared_frames(clip(), 2) == [1, 3, 6]


def test_less_noise_is_better_and_a_still_photo_is_worst_at_motion(figures: ClipFigures) -> None:
    assert [row.method for row in figures.methods] == list(METHODS)
    whole, warp, still = (figures.of(name) for name in (WHOLE, WARP, STILL))
    for one, other in ((whole.face, warp.face), (whole.mouth, warp.mouth)):
        assert one.psnr > other.psnr and one.ssim > other.ssim and one.gradient < other.gradient
    # A photo held still is right only while nothing has moved yet.
    assert still.face.psnr < whole.face.psnr and still.background == 0.0
    assert still.frames[0].face.ssim > still.frames[-1].face.ssim
    assert worst_frames(still)[0] in (4, 6, 7)


def test_frames_that_are_the_real_ones_have_no_error() -> None:
    real = clip()
    whole = METHODS[WHOLE]
    assert whole is not None
    perfect = clip_figures(real, Fakes(real, {whole: 0.0}), (WHOLE,)).of(WHOLE)
    assert perfect.face.psnr == HIGHEST_PSNR and perfect.mouth.gradient == 0.0
    assert perfect.face.ssim == pytest.approx(1.0)


def test_the_bars_say_what_is_reached(figures: ClipFigures) -> None:
    bars = {bar.what: bar for bar in clip_bars([figures])}
    assert bars["mouth: SSIM better than the warp's"].reached is True
    assert bars["face: PSNR better than the warp's"].reached is True
    # Swapped, everything is missed.
    names = {WHOLE: WARP, WARP: WHOLE}
    swapped = [type(row)(**{**vars(row), "method": names.get(row.method, row.method)})
               for row in figures.methods]  # fmt: skip
    worse = clip_bars([type(figures)(**{**vars(figures), "methods": tuple(swapped)})])
    assert [bar.reached for bar in worse[:6]] == [False] * 6
    assert video_bars([]) == [] and pose_bars([]) == [] and clip_bars([]) == []


def test_tables_and_json_hold_the_figures(figures: ClipFigures) -> None:
    table = VideoTable((figures,), (), (), float("nan"), tuple(clip_bars([figures])), ("note",))
    console = Console(width=220, record=True, file=io.StringIO())
    for view in rich_tables(table):
        console.print(view)
    text = console.export_text()
    assert "geometric warp" in text and "no mouth interior" in text and "reached" in text
    read = json.loads(json.dumps(as_dict(table), allow_nan=False))
    assert read["people"] is None and read["clips"][0]["methods"][0]["method"] == STILL


def test_frames_of_another_size_are_brought_to_the_clips() -> None:
    picture = clip().frames[0]
    assert (same_size(picture[:-1, :-1], SIZE)[:-1, :-1] == picture[:-1, :-1]).all()
    half = np.ascontiguousarray(picture[::2, ::2])
    assert same_size(half, SIZE).shape == picture.shape


def test_regions_lie_where_they_should() -> None:
    points = face()
    whole, mouth, bone = (make(points, SIZE) for make in (face_region, mouth_region, rigid_region))
    for place, inside in ((NOSE_TIP, True), (CHIN, True), (UPPER_LIP_EDGE, True)):
        x, y = points[place, :2].astype(int)
        assert whole[y, x] == inside
    x, y = points[UPPER_LIP_EDGE, :2].astype(int)
    assert mouth[y, x] and not bone[y, x] and mouth.sum() < 0.35 * whole.sum()
    assert (whole & bone).sum() == bone.sum() > 50
    behind = background_region(np.stack([face(), face(10)]), SIZE)
    assert behind[2, 2] and not (behind & whole).any()
    assert not behind[int(points[CHIN, 1]) + 1 :].any()


def test_the_fit_in_the_picture_takes_turn_size_and_shift_back() -> None:
    points = face()
    turn = 1.2 * np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    moved = points.copy()
    moved[:, :2] = points[:, :2] @ turn.T + (5, -7)
    fit = in_plane_fit(moved, points, load_template().rigidity)
    assert moved[:, :2] @ fit[:, :2].T + fit[:, 2] == pytest.approx(points[:, :2])


def test_the_photo_is_the_first_frame_with_open_eyes() -> None:
    frames = np.stack([face() for _ in range(6)])
    for upper, lower in ((LEFT_LID_UPPER, LEFT_LID_LOWER), (RIGHT_LID_UPPER, RIGHT_LID_LOWER)):
        frames[:2, list(upper[1:-1])] = frames[:2, list(lower[1:-1])]
    seen = np.array([True, True, False, True, True, True])
    assert photo_frame(frames, seen) == 3


def test_poses_are_as_many_as_their_names() -> None:
    shapes, turns = viseme_take(), turning_take()
    assert len(VISEMES) == shapes.frame_count == 15
    assert turns.frame_count == len(TURNS) + 1 and not turns.weights[0].any()
    assert shapes.weights[list(VISEMES).index("aa"), INDEX["jawOpen"]] == pytest.approx(0.6)
    names = list(TURNS)
    assert np.degrees(turns.head_rotation[1 + names.index("yaw -20")]) == pytest.approx([0, 0, -20])


def test_without_data_the_samples_serve(tmp_path: Path) -> None:
    from backend.samples import PORTRAIT

    assert photos(tmp_path, 4) == [PORTRAIT]
    spoken = recordings(tmp_path, 4, 1.5)
    assert len(spoken) == 1 and spoken[0].phones is None
    assert spoken[0].audio.duration == pytest.approx(1.5)
    assert len(spoken[0].audio.samples) == 24_000


def test_a_folder_without_films_is_said_and_no_error(tmp_path: Path) -> None:
    from backend.evaluation.video.run import Wanted, evaluate_video

    told: list[str] = []
    table = evaluate_video(tmp_path, Wanted(("clips",)), lambda share, text: told.append(text))
    assert not table.clips and not table.bars and np.isnan(table.people)
    assert any("no films in video/" in remark for remark in table.remarks)


def test_a_film_that_cannot_be_read_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    from backend.evaluation.video.run import Wanted, evaluate_video

    (tmp_path / "video").mkdir()
    (tmp_path / "video" / "broken.mp4").write_bytes(b"no film")
    table = evaluate_video(tmp_path, Wanted(("clips",)), lambda share, text: None)
    assert any(remark.startswith("broken.mp4 is skipped") for remark in table.remarks)


def test_photos_come_from_all_folders_in_turn(tmp_path: Path) -> None:
    for folder, count in (("london/composite", 5), ("london/neutral", 7), ("portraits_cc0", 3)):
        (tmp_path / "faces" / folder).mkdir(parents=True)
        for number in range(count):
            (tmp_path / "faces" / folder / f"{number}.jpg").touch()
    chosen = photos(tmp_path, 15)
    assert len(set(chosen)) == 15 and len(photos(tmp_path, 99)) == 15
    assert [path.parent.name for path in chosen[:4]] == [
        "composite", "neutral", "composite", "portraits_cc0",
    ]  # fmt: skip


def test_sheets_have_a_cell_for_every_picture(tmp_path: Path) -> None:
    picture = clip().frames[0]
    cell = around_face(picture, face(), 64)
    assert cell.shape == (64, 64, 3)
    page = sheet([("one", [cell, cell]), ("two", [cell, cell])], ["a", "b"])
    assert page.shape[1] == 128 and (page[-64:, 64:] == cell)[20:].all()
    assert save(page, tmp_path / "sheet.png").is_file()
    assert list(tmp_path.iterdir()) == [tmp_path / "sheet.png"]
