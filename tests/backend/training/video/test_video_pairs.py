# SPDX-License-Identifier: GPL-3.0-or-later
"""Training pairs of mesh to video: motion that is exact, landmarks that lie on the face."""

from __future__ import annotations

import dataclasses
import itertools
import os
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from backend.face import template_face
from backend.face.landmarks import find_face
from backend.training.video.backdrop import random_background
from backend.training.video.camera import Camera
from backend.training.video.clip_pairs import clip_pairs, films_in
from backend.training.video.head_cache import (
    SKIN,
    TEETH,
    load_training_head,
    make_heads,
    save_training_head,
    training_head,
)
from backend.training.video.mouth_variety import Mouth, speaking
from backend.training.video.pairs import TrainingPair
from backend.training.video.photo_pairs import TrackedPhoto, laid_over, london_pairs, made_source
from backend.training.video.sources import Shares, held_out_photos, planned, training_photos
from backend.training.video.states import MOUTHS, both_sides, random_state, with_contacts
from backend.training.video.synthetic_heads import (
    exact_flow,
    random_scene,
    scene_pairs,
    shoot,
)
from backend.training.video.tracking_noise import as_tracked
from backend.watch import UNWATCHED
from shared.arkit import INDEX
from shared.errors import VividKeysError
from shared.landmarks import (
    LEFT_EYE_OUTER_CORNER,
    LEFT_IRIS_CENTRE,
    LIP_CORNERS,
    LOWER_LIP_EDGE,
    RIGHT_EYE_OUTER_CORNER,
    RIGHT_IRIS_CENTRE,
    UPPER_LIP_EDGE,
)

PORTRAIT = Path(__file__).resolve().parents[4] / "backend" / "samples" / "portrait.jpg"
PLAIN_CAMERA = Camera((1.0, 1.0, 1.0), 1.0, 0.0, 0.0, 99)


@lru_cache(maxsize=1)
def patterned_head():
    """The mean head in soft colours that tell its places apart."""
    head = training_head(template_face(), "nobody")
    noise = np.random.default_rng(1).uniform(0, 255, (24, 24, 3)).astype(np.float32)
    texture = cv2.resize(noise, head.texture.shape[:2], interpolation=cv2.INTER_CUBIC)
    return dataclasses.replace(head, texture=np.clip(texture, 0, 255).astype(np.uint8))


def plain_scene(seed: int = 0, side: int = 160):
    """Light from everywhere and a perfect camera, so that a place looks the same wherever it is."""
    scene = random_scene(patterned_head(), np.random.default_rng(seed), side)
    lights = dataclasses.replace(scene.lights, contrast=0.0, depth=100.0)
    return dataclasses.replace(scene, lights=lights, camera=PLAIN_CAMERA)


def test_the_flow_brings_the_source_to_the_target():
    random = np.random.default_rng(3)
    scene = plain_scene()
    source = shoot(scene, random_state(random, calm=True), random)
    for _ in range(3):
        target = shoot(scene, random_state(random), random)
        flow = exact_flow(scene, source, target)
        known = np.isfinite(flow).all(axis=-1)
        assert known.mean() > 0.75
        y, x = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
        moved = np.nan_to_num(flow)
        brought = cv2.remap(source.picture, x + moved[..., 0], y + moved[..., 1], cv2.INTER_LINEAR)
        moving = known & (np.hypot(moved[..., 0], moved[..., 1]) > 1.0)
        assert moving.sum() > 500

        def error(picture, where=moving, target=target):
            return float(np.abs(picture.astype(float) - target.picture)[where].mean())

        assert error(brought) < 6.0
        assert error(brought) < 0.35 * error(source.picture)


def test_nothing_moves_beside_the_person():
    random = np.random.default_rng(4)
    scene = plain_scene()
    source, target = (shoot(scene, random_state(random), random) for _ in range(2))
    flow = exact_flow(scene, source, target)
    finer = np.maximum(source.drawn.face_id, target.drawn.face_id)
    corner = finer.reshape(160, 2, 160, 2).max(axis=(1, 3)) < 0
    assert corner.sum() > 1000
    assert np.abs(flow[corner]).max() == 0.0
    # Shoulders stay where they are, too.
    head = len(patterned_head().triangles)
    body = source.drawn.face_id.reshape(160, 2, 160, 2).min(axis=(1, 3)) >= head
    assert body.sum() > 200
    assert np.nanmax(np.abs(flow[body])) < 1e-3


def test_landmarks_move_as_the_flow_says():
    random = np.random.default_rng(5)
    scene = plain_scene(2, 240)
    source = shoot(scene, random_state(random, calm=True), random)
    target = shoot(scene, random_state(random), random)
    flow = exact_flow(scene, source, target)
    at = target.landmarks[:468, :2]
    found = flow[at[:, 1].astype(int), at[:, 0].astype(int)]
    seen = np.isfinite(found).all(axis=1)
    assert seen.sum() > 250
    wanted = (source.landmarks - target.landmarks)[:468, :2]
    off = np.linalg.norm(found - wanted, axis=1)[seen]
    assert np.median(off) < 0.25
    assert np.quantile(off, 0.9) < 1.0


def gap(head, values: dict[str, float]) -> float:
    landmarks = head.landmarks(head.posed(with_contacts(both_sides(values))))
    return float(landmarks[UPPER_LIP_EDGE, 2] - landmarks[LOWER_LIP_EDGE, 2])


def test_landmarks_of_both_lips_are_told_apart():
    head = patterned_head()
    assert abs(gap(head, {})) < 1e-4
    assert gap(head, {"jawOpen": 0.5}) > 0.008
    assert gap(head, {"jawOpen": 0.5, "mouthClose": 0.5}) < 0.001


def test_irises_turn_with_the_eyes():
    head = patterned_head()
    look = both_sides({"eyeLookUp": 1.0})
    moved = head.landmarks(head.posed(look)) - head.landmarks(head.vertices)
    assert moved[[RIGHT_IRIS_CENTRE, LEFT_IRIS_CENTRE], 2].min() > 0.002
    assert np.abs(moved[[RIGHT_IRIS_CENTRE, LEFT_IRIS_CENTRE], 0]).max() < 0.002


def test_states_keep_their_contacts():
    random = np.random.default_rng(0)
    for _ in range(200):
        state = random_state(random)
        assert state.weights.min() >= 0.0 and state.weights.max() <= 1.0
        assert state.weights[INDEX["mouthClose"]] <= state.weights[INDEX["jawOpen"]]
    for name, values in MOUTHS.items():
        for shape in values:
            assert both_sides({shape: 1.0}).any(), f"{name} names {shape}"


def test_the_same_seed_gives_the_same_pairs():
    def made(seed: int) -> list[TrainingPair]:
        random = np.random.default_rng(seed)
        scene = random_scene(patterned_head(), random, 96)
        return list(scene_pairs(scene, random, "nobody", 3))

    first, again, other = made(1), made(1), made(2)
    for one, two in zip(first, again, strict=True):
        assert np.array_equal(one.target, two.target)
        assert np.array_equal(one.flow, two.flow, equal_nan=True)
    assert not np.array_equal(first[0].source, other[0].source)
    assert [pair.follows for pair in first] == [False, False, True]
    near, far = (np.abs(first[2].target_landmarks - first[k].target_landmarks).mean()
                 for k in (1, 0))  # fmt: skip
    assert near < far


def test_a_head_is_kept_as_it_is(tmp_path):
    head = patterned_head()
    save_training_head(head, tmp_path / "nobody.npz")
    kept = load_training_head(tmp_path / "nobody.npz")
    weights = both_sides({"jawOpen": 0.4})
    assert np.array_equal(kept.posed(weights), head.posed(weights))
    assert np.array_equal(kept.texture, head.texture)


def test_a_photo_without_a_face_is_named_and_passed_over(tmp_path, capsys):
    Image.new("RGB", (120, 120), (90, 120, 90)).save(tmp_path / "wall.png")
    assert make_heads([tmp_path / "wall.png"], tmp_path / "heads") == []
    assert "wall.png" in capsys.readouterr().out


def test_backgrounds_have_the_size_asked_for():
    random = np.random.default_rng(0)
    for _ in range(6):
        assert random_background(random, (70, 50)).shape == (50, 70, 3)


def turned_photo(photo: TrackedPhoto, degrees: float, scale: float, shift) -> TrackedPhoto:
    move = cv2.getRotationMatrix2D((100, 100), degrees, scale)
    move[:, 2] += shift
    height, width = photo.pixels.shape[:2]
    # warpAffine counts from pixel centres.
    offset = move[:, 2] + move[:, :2] @ (0.5, 0.5) - 0.5
    pixels = cv2.warpAffine(photo.pixels, np.column_stack([move[:, :2], offset]), (width, height))
    points = photo.landmarks.copy()
    points[:, :2] = points[:, :2] @ move[:, :2].T + move[:, 2]
    return TrackedPhoto(np.asarray(pixels), points, photo.name)


def sample_photo(side: int = 300) -> TrackedPhoto:
    with Image.open(PORTRAIT) as image:
        image.thumbnail((side, side))
        pixels = np.asarray(image.convert("RGB"))
    return TrackedPhoto(pixels, find_face(pixels).landmarks, "nobody")


def test_two_photos_are_laid_over_each_other():
    photo = sample_photo()
    other = turned_photo(photo, 7.0, 0.94, (6.0, -4.0))
    back = laid_over(other, photo)
    assert np.abs(back.landmarks[:, :2] - photo.landmarks[:, :2]).max() < 1e-6
    middle = np.s_[60:-60, 60:-60]
    off = np.abs(back.pixels.astype(float) - photo.pixels)[middle].mean()
    assert off < 5.0


def test_a_made_source_has_the_real_photo_as_its_target():
    photo = sample_photo()
    pair = made_source(photo, np.random.default_rng(1), "portrait")
    assert pair is not None
    assert pair.target is photo.pixels and np.array_equal(pair.target_landmarks, photo.landmarks)
    assert pair.source.shape == pair.target.shape
    changed = np.abs(pair.source.astype(float) - pair.target).mean(axis=-1)
    assert changed.max() > 20.0
    # What is far from the person stays.
    assert changed[:20, :20].mean() < 3.0
    # The made landmarks are where the face is found in the made picture.
    found = find_face(pair.source).landmarks
    size = np.ptp(photo.landmarks[:468, 1])
    assert np.abs(found - pair.source_landmarks)[:468, :2].mean() < 0.02 * size


@pytest.mark.skipif("VIVIDKEYS_CHECK_TYPES" in os.environ, reason="refused by its types already")
def test_a_pair_that_does_not_fit_is_refused():
    pixels, landmarks = np.zeros((8, 8, 3), np.uint8), np.zeros((478, 3))
    TrainingPair(pixels, pixels, landmarks, landmarks, None, "x", "clip")
    with pytest.raises(VividKeysError):
        TrainingPair(pixels, pixels[:4], landmarks, landmarks, None, "x", "clip")


def film_of(path: Path, pictures: list[np.ndarray]) -> Path:
    import av

    with av.open(str(path), "w", format="matroska") as film:
        video = film.add_stream("mpeg4", rate=25)
        video.height, video.width = pictures[0].shape[:2]
        video.pix_fmt, video.bit_rate = "yuv420p", 4_000_000
        for picture in pictures:
            film.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        film.mux(video.encode(None))
    return path


def test_pictures_of_a_film_make_pairs(tmp_path, capsys):
    photo = sample_photo()
    height, width = (n // 2 * 2 for n in photo.pixels.shape[:2])
    pixels = photo.pixels[:height, :width]
    film = film_of(tmp_path / "talk.mkv", [np.roll(pixels, k, axis=1) for k in range(24)])
    (tmp_path / "broken.mp4").write_bytes(b"nothing")
    assert [path.name for path in films_in(tmp_path)] == ["broken.mp4", "talk.mkv"]
    pairs = list(clip_pairs(film, np.random.default_rng(0), sources=1, targets=4))
    assert len(pairs) == 4 and all(pair.source is pairs[0].source for pair in pairs)
    assert [pair.follows for pair in pairs] == [False, True, False, True]
    for pair in pairs:
        moved = (pair.target_landmarks - pair.source_landmarks)[:468, 0].mean()
        assert 9.0 < abs(moved) < 24.0
    assert list(clip_pairs(tmp_path / "broken.mp4", np.random.default_rng(0))) == []
    assert "broken.mp4" in capsys.readouterr().out


def made_up_faces(folder: Path) -> Path:
    for kind in ("neutral", "smiling"):
        (folder / "london" / kind).mkdir(parents=True)
        for person in range(25):
            (folder / "london" / kind / f"{person:03d}_03.jpg").touch()
    (folder / "portraits_cc0").mkdir()
    for number in range(50):
        (folder / "portraits_cc0" / f"A{number:04d}.jpg").touch()
    return folder


def test_nobody_who_judges_is_trained_on(tmp_path):
    faces = made_up_faces(tmp_path)
    training, judging = training_photos(faces), held_out_photos(faces)
    assert not set(training.single) & set(judging.single)
    assert len(training.single) + len(judging.single) == 2 * 25 + 50
    assert (len(judging.london), len(judging.portraits)) == (3, 3)
    for neutral, smiling in training.london:
        assert neutral.stem == smiling.stem and neutral != smiling


def test_kinds_take_turns_by_their_shares():
    plan = planned(Shares(synthetic=0.5, london=0.1, portrait=0.4), 40)
    for length in (10, 20, 40):
        kinds = [shard.kind for shard in plan[:length]]
        assert abs(kinds.count("synthetic") - 0.5 * length) <= 1
        assert abs(kinds.count("london") - 0.1 * length) <= 1
    assert len({shard.name for shard in plan}) == 40
    assert plan[:10] == planned(Shares(synthetic=0.5, london=0.1, portrait=0.4), 10)


def test_real_people_give_pairs_both_ways(shared_data, tmp_path):
    photos = training_photos(shared_data / "faces")
    neutral, smiling = photos.london[0]
    there, back = london_pairs(neutral, smiling, tmp_path)
    assert there.source is not back.source and there.kind == "london"
    assert len(list(tmp_path.glob("*.npz"))) == 2
    again = london_pairs(neutral, smiling, tmp_path)
    assert np.array_equal(again[0].target_landmarks, there.target_landmarks)
    # Smiling widens the mouth.
    wide = [np.ptp(points[list(LIP_CORNERS), 0])
            for points in (there.source_landmarks, there.target_landmarks)]  # fmt: skip
    assert wide[1] > 1.05 * wide[0]


def test_a_head_of_another_kind_opens_its_mouth(shared_data):
    from backend.heads.add import made_head
    from backend.heads.fit_photo import fit_head

    heads = shared_data / "heads"
    ict = made_head(
        heads / "ict_facekit.npz", UNWATCHED, heads / "arkit52_on_landmarks468.npz", "", True
    )
    head = training_head(fit_head(ict, "ict", PORTRAIT), "ict")
    assert abs(gap(head, {})) < 0.002
    assert gap(head, {"jawOpen": 0.5}) > 0.006
    scene = random_scene(head, np.random.default_rng(0), 96)
    pairs = list(itertools.islice(scene_pairs(scene, np.random.default_rng(0), "ict"), 1))
    assert np.isfinite(pairs[0].flow).mean() > 0.7


def test_mouths_differ_between_the_lips_only():
    head, random = patterned_head(), np.random.default_rng(8)
    weights = with_contacts(both_sides({"jawOpen": 0.5}))
    posed = head.posed(weights)
    mouth = Mouth(0.003, -0.002, 0.001, 0.3, 0.2, 0.5)
    moved = speaking(head, posed, mouth, random)
    away = moved - posed
    teeth = np.unique(head.triangles[head.kind == TEETH])
    of_jaw = -head.shapes[INDEX["jawOpen"], teeth, 2] > 100
    assert of_jaw.any() and not of_jaw.all()
    assert away[teeth[~of_jaw], 2] == pytest.approx(0.003)
    assert away[teeth[of_jaw], 2] == pytest.approx(-0.002)
    skin = np.unique(head.triangles[head.kind == SKIN])
    assert np.abs(away[skin]).max() == 0.0
    tip = np.argmax(np.linalg.norm(head.shapes[INDEX["tongueOut"]].astype(float), axis=1))
    again = speaking(head, posed, mouth, random)
    assert np.abs(again[tip] - moved[tip]).max() > 1e-4
    assert np.array_equal(again[teeth], moved[teeth])


def test_a_tracker_is_off_by_a_little_and_neighbours_alike():
    head = patterned_head()
    places = 1000.0 * head.landmarks(head.vertices)[:, [0, 2, 1]]
    random = np.random.default_rng(9)
    off = np.stack([as_tracked(places, random) - places for _ in range(40)])
    assert np.abs(off[..., 2]).max() == 0.0 and np.abs(off[:, 468:]).max() == 0.0
    apart = np.linalg.norm(places[RIGHT_EYE_OUTER_CORNER, :2] - places[LEFT_EYE_OUTER_CORNER, :2])
    assert off[:, :468, :2].std() == pytest.approx(0.006 * apart, rel=0.15)
    beside = np.corrcoef(off[:, 13, 0], off[:, 312, 0])[0, 1]
    far = np.corrcoef(off[:, 13, 0], off[:, 33, 0])[0, 1]
    assert beside > 0.7 > abs(far)
