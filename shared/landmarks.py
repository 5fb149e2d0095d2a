# SPDX-License-Identifier: GPL-3.0-or-later
"""The face landmarks by name: single points, lips, lids, irises, the outline.

The indices are those of MediaPipe's face mesh (468 points, 10 more for the irises). "Left" is
the character's left, which is +X. Rows run from the character's right to the left; rings return
along the lower row to where they began, each landmark once.
"""

from __future__ import annotations

LANDMARK_COUNT = 468
TRACKED_COUNT = 478

FOREHEAD = 10
NOSE_TIP = 4
UNDER_NOSE = 2
CHIN = 152
RIGHT_EAR, LEFT_EAR = 234, 454
RIGHT_BROW, LEFT_BROW = 105, 334
RIGHT_CHEEK, LEFT_CHEEK = 205, 425
# The middle of the upper and the lower lip: the border of the red, and the edge that meets the
# other lip.
UPPER_LIP, UPPER_LIP_EDGE = 0, 13
LOWER_LIP, LOWER_LIP_EDGE = 17, 14
RIGHT_LIP_CORNER, LEFT_LIP_CORNER = 61, 291
RIGHT_INNER_LIP_CORNER, LEFT_INNER_LIP_CORNER = 78, 308
RIGHT_EYE_OUTER_CORNER, RIGHT_EYE_INNER_CORNER = 33, 133
LEFT_EYE_OUTER_CORNER, LEFT_EYE_INNER_CORNER = 263, 362
RIGHT_UPPER_LID, RIGHT_LOWER_LID = 159, 145
LEFT_UPPER_LID, LEFT_LOWER_LID = 386, 374
RIGHT_IRIS_CENTRE, LEFT_IRIS_CENTRE = 468, 473

EARS = (RIGHT_EAR, LEFT_EAR)
LIP_EDGES = (UPPER_LIP_EDGE, LOWER_LIP_EDGE)
LIP_CORNERS = (RIGHT_LIP_CORNER, LEFT_LIP_CORNER)
OUTER_EYE_CORNERS = (RIGHT_EYE_OUTER_CORNER, LEFT_EYE_OUTER_CORNER)
# Outer and inner corner.
RIGHT_EYE_CORNERS = (RIGHT_EYE_OUTER_CORNER, RIGHT_EYE_INNER_CORNER)
LEFT_EYE_CORNERS = (LEFT_EYE_OUTER_CORNER, LEFT_EYE_INNER_CORNER)

# The line where the lips meet, corner to corner; entry k of the two rows is a pair.
INNER_LIP_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
INNER_LIP_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
# The vermilion border of the lips.
OUTER_LIP_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
OUTER_LIP_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
LIP_ROWS = (OUTER_LIP_UPPER, OUTER_LIP_LOWER, INNER_LIP_UPPER, INNER_LIP_LOWER)
# Row by row, so the corners occur twice.
LIP_LANDMARKS = tuple(landmark for row in LIP_ROWS for landmark in row)
INNER_LIP_RING = (*INNER_LIP_UPPER, *INNER_LIP_LOWER[-2:0:-1])
OUTER_LIP_RING = (*OUTER_LIP_UPPER, *OUTER_LIP_LOWER[-2:0:-1])

# The edges of the lids, outer corner to inner corner, paired like the lips.
RIGHT_LID_UPPER = (33, 246, 161, 160, 159, 158, 157, 173, 133)
RIGHT_LID_LOWER = (33, 7, 163, 144, 145, 153, 154, 155, 133)
LEFT_LID_UPPER = (263, 466, 388, 387, 386, 385, 384, 398, 362)
LEFT_LID_LOWER = (263, 249, 390, 373, 374, 380, 381, 382, 362)
RIGHT_LID_RING = (*RIGHT_LID_UPPER, *RIGHT_LID_LOWER[-2:0:-1])
LEFT_LID_RING = (*LEFT_LID_UPPER, *LEFT_LID_LOWER[-2:0:-1])

# Centre, then right, top, left and bottom as seen in the picture.
RIGHT_IRIS = (468, 469, 470, 471, 472)
LEFT_IRIS = (473, 474, 475, 476, 477)

# The rim of the mesh, from the top of the forehead over the character's left, down to the chin
# and up again on the right.
FACE_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip

# Landmarks with everyday names; comments in the muscle table refer to the nearest one.
NAMED_LANDMARKS = {
    "forehead": FOREHEAD,
    "forehead, middle": 151,
    "between the brows": 9,
    "nose bridge": 6,
    "nose tip": NOSE_TIP,
    "under the nose": UNDER_NOSE,
    "left nostril": 358,
    "right nostril": 129,
    "left nose wing": 279,
    "right nose wing": 49,
    "upper lip, middle": UPPER_LIP,
    "upper lip edge, middle": UPPER_LIP_EDGE,
    "upper lip, left": 269,
    "upper lip, right": 39,
    "lower lip edge, middle": LOWER_LIP_EDGE,
    "lower lip, middle": LOWER_LIP,
    "lower lip, left": 405,
    "lower lip, right": 181,
    "left lip corner": LEFT_LIP_CORNER,
    "right lip corner": RIGHT_LIP_CORNER,
    "chin": CHIN,
    "front of the chin": 199,
    "chin fold": 18,
    "left cheek": LEFT_CHEEK,
    "right cheek": RIGHT_CHEEK,
    "left cheekbone": 345,
    "right cheekbone": 116,
    "left jaw": 397,
    "right jaw": 172,
    "left ear": LEFT_EAR,
    "right ear": RIGHT_EAR,
    "left temple": 356,
    "right temple": 127,
    "left inner brow": 336,
    "right inner brow": 107,
    "left brow": LEFT_BROW,
    "right brow": RIGHT_BROW,
    "left outer brow": 300,
    "right outer brow": 70,
    "left upper lid": LEFT_UPPER_LID,
    "right upper lid": RIGHT_UPPER_LID,
    "left lower lid": LEFT_LOWER_LID,
    "right lower lid": RIGHT_LOWER_LID,
    "left upper lid crease": 257,
    "right upper lid crease": 27,
    "left outer eye corner": LEFT_EYE_OUTER_CORNER,
    "right outer eye corner": RIGHT_EYE_OUTER_CORNER,
    "left inner eye corner": LEFT_EYE_INNER_CORNER,
    "right inner eye corner": RIGHT_EYE_INNER_CORNER,
    "under the left eye": 450,
    "under the right eye": 230,
    "beside the left mouth": 432,
    "beside the right mouth": 212,
    "left smile line": 426,
    "right smile line": 206,
}
