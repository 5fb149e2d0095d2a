# SPDX-License-Identifier: GPL-3.0-or-later
"""The texture's layout: the photo warped so that the face looks straight ahead.

Every landmark gets its place in a frontal view of the head without pose; between landmarks the
photo is stretched triangle by triangle, around the face the stretch dies away. Skin that a
turned head hides is taken from the other side's mirror image.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from . import atlas
from .pose import image_to_axes
from .rasterise import rasterise
from .surface import vertex_normals
from .template import load_template
from .topology import FACE_OVAL, LANDMARK_COUNT, LEFT_LID_LOWER, LEFT_LID_UPPER
from .topology import RIGHT_LID_LOWER as _RIGHT_LOWER
from .topology import RIGHT_LID_UPPER as _RIGHT_UPPER

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]

# What of the photo is kept: the height of the face times this, and how much of it lies above.
CROP_HEIGHT = 1.85
CROP_ABOVE = 0.52
# The sides of the face lie almost along the line of sight; what lies further back is moved out
# a little (per metre), so that they get room in the texture.
SPREAD = 1.0
# Outside the face the stretch of its rim dies away over this share of the picture's height.
REACH_OUTSIDE = 0.16
# Cosines between the skin's normal and the line of sight from which on skin is seen well, and
# below which the photo shows hardly anything of it.
SEEN_WELL, SEEN_BADLY = 0.5, 0.2


def frontal_layout(aligned: Floats) -> Floats:
    """Places [478,2] in the texture (pixels right and down) of frontal points [478,3] in metres."""
    depth = aligned[:, 1:2] - aligned[list(FACE_OVAL), 1].mean()
    flat = aligned[:, [0, 2]] * (1.0, -1.0) * (1.0 + SPREAD * depth)
    outline = flat[list(FACE_OVAL)]
    low, high = outline.min(axis=0), outline.max(axis=0)
    height = max(high[1] - low[1], 1.15 * (high[0] - low[0]))
    scale = atlas.SIDE / (CROP_HEIGHT * height)
    centre = (low + high) / 2
    top = centre[1] - height / 2 - CROP_ABOVE * height
    return np.asarray((flat - (centre[0], top)) * scale + (atlas.PHOTO_WIDTH / 2, 0.0))


def warp_photo(photo: Pixels, landmarks: Floats, places: Floats) -> Pixels:
    """The photo in the texture's layout, uint8 [1024,832,3]; landmarks [478,3] in its pixels."""
    points = landmarks[:, :2]
    plane = np.column_stack([places, np.ones(len(places))])
    affine, *_ = np.linalg.lstsq(plane, points, rcond=None)
    scale = float(np.sqrt(abs(np.linalg.det(affine[:2]))))
    if scale > 1.6:
        # Average first, or single pixels of a large photo would be picked.
        size = (max(1, round(photo.shape[1] / scale)), max(1, round(photo.shape[0] / scale)))
        ratio = np.array([size[0] / photo.shape[1], size[1] / photo.shape[0]])
        photo = np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)
        points, affine = points * ratio, affine * ratio
    offset = points - plane @ affine
    field = _offset_field(offset, places, landmarks)
    rows, columns = np.mgrid[0 : atlas.SIDE, 0 : atlas.PHOTO_WIDTH].astype(np.float32)
    x = columns * affine[0, 0] + rows * affine[1, 0] + affine[2, 0] + field[..., 0]
    y = columns * affine[0, 1] + rows * affine[1, 1] + affine[2, 1] + field[..., 1]
    method = cv2.INTER_CUBIC if scale < 0.85 else cv2.INTER_LINEAR
    warped = cv2.remap(
        photo, x.astype(np.float32), y.astype(np.float32), method, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, np.uint8)


def _offset_field(offset: Floats, places: Floats, landmarks: Floats) -> NDArray[np.float32]:
    """The landmarks' offsets [478,2] at every pixel [1024,832,2]; half the resolution does."""
    width, height = atlas.PHOTO_WIDTH // 2, atlas.SIDE // 2
    triangles = _closed(load_template().triangles)
    flat = np.column_stack([places[:LANDMARK_COUNT] / 2, landmarks[:LANDMARK_COUNT, 2]])
    seen, share = rasterise(flat, triangles, width, height)
    inside = seen >= 0
    corners = triangles[seen[inside]]
    field = np.zeros((height, width, 2), np.float32)
    field[inside] = (offset[corners] * share[inside][..., None]).sum(axis=1)
    whole = cv2.resize(
        _continued(field, inside),
        (atlas.PHOTO_WIDTH, atlas.SIDE),
        interpolation=cv2.INTER_LINEAR,
    )
    return np.asarray(whole, np.float32)


def _closed(triangles: NDArray[np.int32]) -> NDArray[np.int32]:
    """The landmark triangles with the eyes filled, so that the photo's eyes are warped too."""
    faces = []
    for upper, lower in ((_RIGHT_UPPER, _RIGHT_LOWER), (LEFT_LID_UPPER, LEFT_LID_LOWER)):
        for k in range(len(upper) - 1):
            faces += [(upper[k], upper[k + 1], lower[k]), (upper[k + 1], lower[k + 1], lower[k])]
    return np.concatenate([triangles, np.array(faces, np.int32)])


def _continued(field: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Carry a field [H,W,2] known `inside` on to the rest, dying away with the distance."""
    step = 4
    coarse, known = field[::step, ::step], inside[::step, ::step]
    distance, (rows, columns) = distance_transform_edt(~known, return_indices=True)
    fade = np.exp(-((distance * step / (REACH_OUTSIDE * len(field))) ** 2))
    carried = coarse[rows, columns] * fade[..., None]
    smooth = np.stack([gaussian_filter(carried[..., c], 1.5) for c in range(2)], axis=-1)
    carried = np.where(known[..., None], coarse, smooth).astype(np.float32)
    large = cv2.resize(carried, field.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.where(inside[..., None], field, large)


def with_hidden_side(pixels: Pixels, places: Floats, landmarks: Floats) -> Pixels:
    """Show the other cheek's mirror image where the head's turn hides a cheek.

    pixels [1024,832,3] in the layout `places` [478,2]; `landmarks` [478,3] as tracked tell by
    their depth which skin faces the camera.
    """
    template = load_template()
    mirror = template.mirror[:LANDMARK_COUNT]
    space = image_to_axes(landmarks[:LANDMARK_COUNT])
    facing = -vertex_normals(space, template.triangles)[:, 1]
    # A steep side is only replaced where the other one is seen clearly better.
    steep = np.clip((SEEN_WELL - facing) / (SEEN_WELL - SEEN_BADLY), 0, 1)
    better = np.clip((facing[mirror] - facing - 0.15) / 0.2, 0, 1)
    hidden = steep * better
    touched = template.triangles[(hidden[template.triangles] > 0.01).any(axis=1)]
    if not len(touched):
        return pixels
    flat = np.column_stack([places[:LANDMARK_COUNT], space[:, 1]])
    seen, share = rasterise(flat, touched, atlas.PHOTO_WIDTH, atlas.SIDE)
    inside = seen >= 0
    corners, weight = touched[seen[inside]], share[inside][..., None]
    place = np.zeros((*seen.shape, 2), np.float32)
    place[inside] = (places[mirror][corners] * weight).sum(axis=1)
    amount = np.zeros(seen.shape, np.float32)
    amount[inside] = (hidden[corners] * weight[..., 0]).sum(axis=1)
    other = cv2.remap(pixels, place[..., 0], place[..., 1], cv2.INTER_LINEAR)
    amount = gaussian_filter(amount, 4.0)[..., None] * inside[..., None]
    return np.asarray(pixels + amount * (other.astype(np.float32) - pixels) + 0.5, np.uint8)
