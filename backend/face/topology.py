# SPDX-License-Identifier: GPL-3.0-or-later
"""Which landmark is what: lips, lids, irises, the outline, and who mirrors whom.

The indices are those of MediaPipe's face mesh (468 points, 10 more for the irises). "Left" is
the character's left, which is +X. Rings run from the character's right to the left.
"""

from __future__ import annotations

LANDMARK_COUNT = 468
TRACKED_COUNT = 478

# The line where the lips meet, corner to corner; position k of the two rows is one pair.
INNER_LIP_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
INNER_LIP_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
# The border of the red of the lips.
OUTER_LIP_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
OUTER_LIP_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)

# All landmarks of the lips, row by row; corners are in two rows.
LIP_ROWS = (OUTER_LIP_UPPER, OUTER_LIP_LOWER, INNER_LIP_UPPER, INNER_LIP_LOWER)
LIP_LANDMARKS: tuple[int, ...] = tuple(index for row in LIP_ROWS for index in row)

# The edges of the lids, outer corner to inner corner, paired like the lips.
RIGHT_LID_UPPER = (33, 246, 161, 160, 159, 158, 157, 173, 133)
RIGHT_LID_LOWER = (33, 7, 163, 144, 145, 153, 154, 155, 133)
LEFT_LID_UPPER = (263, 466, 388, 387, 386, 385, 384, 398, 362)
LEFT_LID_LOWER = (263, 249, 390, 373, 374, 380, 381, 382, 362)

# Centre, then right, top, left and bottom as seen in the picture.
RIGHT_IRIS = (468, 469, 470, 471, 472)
LEFT_IRIS = (473, 474, 475, 476, 477)

# The rim of the mesh, from the top of the forehead over the character's left, down to the chin
# and up again on the right.
FACE_OVAL = (
    (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377)
    + (152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)
)  # fmt: skip

OUTER_EYE_CORNERS = (33, 263)
EARS = (234, 454)

# Landmarks with a name a person knows; comments in the muscle table refer to the nearest one.
NAMED_LANDMARKS = {
    "forehead": 10, "forehead, middle": 151, "between the brows": 9, "nose bridge": 6,
    "nose tip": 4, "under the nose": 2, "left nostril": 358, "right nostril": 129,
    "left nose wing": 279, "right nose wing": 49,
    "upper lip, middle": 0, "upper lip edge, middle": 13, "upper lip, left": 269,
    "upper lip, right": 39, "lower lip edge, middle": 14, "lower lip, middle": 17,
    "lower lip, left": 405, "lower lip, right": 181,
    "left lip corner": 291, "right lip corner": 61, "chin": 152, "front of the chin": 199,
    "chin fold": 18, "left cheek": 425, "right cheek": 205,
    "left cheekbone": 345, "right cheekbone": 116, "left jaw": 397, "right jaw": 172,
    "left ear": 454, "right ear": 234, "left temple": 356, "right temple": 127,
    "left inner brow": 336, "right inner brow": 107, "left brow": 334, "right brow": 105,
    "left outer brow": 300, "right outer brow": 70,
    "left upper lid": 386, "right upper lid": 159, "left lower lid": 374, "right lower lid": 145,
    "left upper lid crease": 257, "right upper lid crease": 27,
    "left outer eye corner": 263, "right outer eye corner": 33,
    "left inner eye corner": 362, "right inner eye corner": 133,
    "under the left eye": 450, "under the right eye": 230,
    "beside the left mouth": 432, "beside the right mouth": 212,
    "left smile line": 426, "right smile line": 206,
}  # fmt: skip
