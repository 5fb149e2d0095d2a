# SPDX-License-Identifier: GPL-3.0-or-later
"""Make `backend/samples/portrait.jpg`: nobody's face, the average of many licensed photos.

    python -m backend.training.fits.average_portrait PHOTO_DIR [--out FILE]

PHOTO_DIR holds `NNN_03.jpg` of the Face Research Lab London Set (DeBruine and Jones, 2017,
CC BY 4.0). Every photo is warped so that its landmarks, the outline of hair and shoulders and
the picture's border are at their average positions; then each pixel becomes the trimmed mean over
the photos, and the result is sharpened slightly.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64, UInt8
from PIL import Image
from scipy.interpolate import LinearNDInterpolator
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import Delaunay

from backend.face.landmarks import find_face
from backend.face.load_image import load_image
from backend.face.template import load_template
from backend.face.texture.photo_crop import person_mask
from shared.landmarks import CHIN, EARS, FOREHEAD, LEFT_EYE_OUTER_CORNER, RIGHT_EYE_OUTER_CORNER
from shared.whole_files import written_whole

# Frontal photos of people of many origins, whose hair leaves the face free.
PHOTOS = [
    "002",
    "006",
    "009",
    "010",
    "016",
    "019",
    "020",
    "027",
    "030",
    "032",
    "034",
    "083",
    "086",
    "090",
    "094",
    "099",
    "100",
    "102",
    "118",
    "122",
    "124",
    "127",
    "139",
    "144",
]
# Share of the darkest and of the brightest values that the trimmed mean discards: loose strands of
# hair and individual shadows.
TRIM = 0.25
WIDTH, HEIGHT = 640, 768
# Height of the face (forehead to chin) in the picture, and where its middle lies.
FACE_HEIGHT, FACE_MIDDLE = 330.0, (WIDTH / 2, 372.0)
RAYS = 48
SHARPEN = 0.9
QUALITY = 90


def upright(
    landmarks: Float64[np.ndarray, "478 3"],
    picture: Float64[np.ndarray, "H W 3"],
    person: Float[np.ndarray, "H W"],
) -> tuple[
    Float64[np.ndarray, "478 2"], Float64[np.ndarray, "768 640 3"], Float[np.ndarray, "768 640"]
]:
    """Rotate, scale and shift a photo into the frame of the portrait.

    Returns its landmarks (pixels), its picture and the mask of the person, both 0..1.
    """
    eyes = landmarks[LEFT_EYE_OUTER_CORNER, :2] - landmarks[RIGHT_EYE_OUTER_CORNER, :2]
    angle = np.arctan2(eyes[1], eyes[0])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points = landmarks[:, :2] @ turn.T
    scale = FACE_HEIGHT / (points[CHIN, 1] - points[FOREHEAD, 1])
    across, down = points[list(EARS), 0].mean(), points[[FOREHEAD, CHIN], 1].mean()
    middle = np.array([across, down])
    shift = np.array(FACE_MIDDLE) - scale * middle
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    back = (np.stack([columns, rows], axis=-1) - shift) / scale @ turn
    places = [back[..., 1], back[..., 0]]
    pixels = np.stack(
        [map_coordinates(picture[..., c], places, order=3, mode="nearest") for c in range(3)],
        axis=-1,
    )
    mask = map_coordinates(person, places, order=1, mode="nearest")
    return points * scale + shift, pixels, mask


def outline(
    points: Float64[np.ndarray, "478 2"], person: Float[np.ndarray, "768 640"]
) -> Float64[np.ndarray, "48 2"]:
    """Where rays from the centre of the face (upward and sideways) leave the person, pixels."""
    centre = points[[FOREHEAD, CHIN, *EARS]].mean(axis=0)
    angles = np.radians(np.linspace(-200, 20, RAYS))
    steps = np.arange(60.0, 700.0, 1.0)
    found = []
    for way in np.stack([np.cos(angles), np.sin(angles)], axis=-1):
        path = centre + steps[:, None] * way
        column = np.clip(path[:, 0].astype(int), 0, WIDTH - 1)
        row = np.clip(path[:, 1].astype(int), 0, HEIGHT - 1)
        outside = np.flatnonzero(person[row, column] < 0.5)
        inside_frame = (path >= 1).all(axis=1) & (path < (WIDTH - 1, HEIGHT - 1)).all(axis=1)
        last = int(np.flatnonzero(inside_frame)[-1])
        found.append(path[min(int(outside[0]) if len(outside) else last, last)])
    return np.array(found)


def border() -> Float64[np.ndarray, "N 2"]:
    """Points on the border of the picture, which do not move."""
    across = np.linspace(0, WIDTH - 1, 7)
    down = np.linspace(0, HEIGHT - 1, 8)
    sides = [(x, y) for x in across for y in (0.0, HEIGHT - 1.0)]
    return np.array(sides + [(x, y) for y in down[1:-1] for x in (0.0, WIDTH - 1.0)])


def average(folder: Path) -> UInt8[np.ndarray, "768 640 3"]:
    """The average face of the photos in a folder."""
    faces = []
    for number in PHOTOS:
        photo = load_image(folder / f"{number}_03.jpg").pixels
        picture = photo.astype(np.float64) / 255.0
        faces.append(upright(find_face(photo).landmarks, picture, person_mask(photo)))
    shapes = np.stack([points for points, _, _ in faces])
    outlines = np.stack([outline(points, mask) for points, _, mask in faces])
    # The average is made symmetric, so that no individual's asymmetry shows.
    mirror = load_template().mirror
    mean = shapes.mean(axis=0)
    flipped = mean[mirror] * (-1, 1) + (2 * FACE_MIDDLE[0], 0)
    mean = (mean + flipped) / 2
    rim = outlines.mean(axis=0)
    rim = (rim + rim[::-1] * (-1, 1) + (2 * FACE_MIDDLE[0], 0)) / 2
    target = np.concatenate([mean, rim, border()])
    triangles = Delaunay(target)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=-1).astype(np.float64)
    warped = np.zeros((len(faces), HEIGHT, WIDTH, 3), np.float32)
    for index, ((points, picture, _), edge) in enumerate(zip(faces, outlines, strict=True)):
        source = np.concatenate([points, edge, border()])
        place = LinearNDInterpolator(triangles, source)(pixels).reshape(HEIGHT, WIDTH, 2)
        for channel in range(3):
            warped[index, ..., channel] = map_coordinates(
                picture[..., channel], [place[..., 1], place[..., 0]], order=1, mode="nearest"
            )
    warped.sort(axis=0)
    leave = int(TRIM * len(faces))
    return _finished(warped[leave : len(faces) - leave].mean(axis=0, dtype=np.float64))


def _finished(picture: Float64[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """Sharpened at two scales, with slightly more contrast."""
    for radius, amount in ((1.2, SHARPEN), (4.0, 0.25)):
        smooth = np.stack([gaussian_filter(picture[..., c], radius) for c in range(3)], axis=-1)
        picture = picture + amount * (picture - smooth)
    return np.asarray(np.clip(picture * 1.04 - 0.01, 0, 1) * 255 + 0.5, np.uint8)


def main(arguments: list[str]) -> None:
    """Average and write."""
    if not arguments:
        raise SystemExit(__doc__)
    default = Path(__file__).resolve().parents[2] / "samples" / "portrait.jpg"
    target = Path(arguments[arguments.index("--out") + 1]) if "--out" in arguments else default
    with written_whole(target) as temporary:
        Image.fromarray(average(Path(arguments[0]))).save(temporary, "JPEG", quality=QUALITY)
    print(f"{target}: average of {len(PHOTOS)} faces, {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
