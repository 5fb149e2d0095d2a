# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 2: a photo and a Take become a talking-head video.

    photo ──▶ portrait ─────────────┐
    Take  ──▶ performance ──▶ driven frame (motion field, texture, lips) ──▶ networks ──▶ picture
                                                                               picture ──▶ file

Image libraries and networks are imported with the first call.
"""
