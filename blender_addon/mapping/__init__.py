# SPDX-License-Identifier: GPL-3.0-or-later
"""Which shape key on which mesh follows which ARKit channel. Pure Python: no bpy here.

`match_keys` reads a mesh's shape key names and proposes a `Mapping`; `mapped_curves` turns a
Take's weights into one curve per shape key. Naming conventions live in `presets/*.json`.
"""

from .curves import mapped_curves
from .matching import MatchReport, match_keys, match_report
from .model import KeyRule, Mapping, load_mapping, save_mapping
from .presets import Preset, load_presets

__all__ = [
    "KeyRule",
    "Mapping",
    "MatchReport",
    "Preset",
    "load_mapping",
    "load_presets",
    "mapped_curves",
    "match_keys",
    "match_report",
    "save_mapping",
]
