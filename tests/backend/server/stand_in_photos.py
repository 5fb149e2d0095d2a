# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos that the stand-in for the pipeline treats in a way of its own (stand_in_frames.py)."""

# It stands still before the twelfth frame: longer than it takes until something is said about the
# speed again.
PAUSING = b"a photo with a pause"
# Only the first frame is drawn until the job is cancelled.
ENDLESS = b"a photo without an end"
# A photo that ends with these bytes is drawn by the pipeline after all.
REAL = b"a real photo"
