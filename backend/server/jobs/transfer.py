# SPDX-License-Identifier: GPL-3.0-or-later
"""The job `transfer`: character → FaceKeys.

The server imports this module to check requests, so the code that makes the keys is imported inside
the functions that run in the worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backend.heads import check_head, shapes_of_head
from backend.server.job_kinds import JobContext, JobKind, Needs, Result, watch_of
from shared.arkit import ARKIT_NAMES
from shared.arrays import Arrays
from shared.character import FaceKeys, character_from_arrays, keys_to_arrays
from shared.requests import TransferRequest, from_params


def _check(params: Mapping[str, Any], arrays: Arrays) -> Needs:
    request = from_params(TransferRequest, params)
    check_head(request.shapes_of)
    character_from_arrays(arrays)
    return Needs()


def _transfer(context: JobContext) -> Result:
    request = from_params(TransferRequest, context.params)
    watch = watch_of(context, "transferring")
    watch.progress(0.0, "Reading the character")
    character = character_from_arrays(context.arrays)
    if request.only_landmarks:
        from backend.transfer.find_landmarks import find_landmarks

        found = find_landmarks(character, watch)
        nothing = np.zeros((0, 0, 3), np.float32)
        keys = FaceKeys(
            rows=np.zeros(0, np.int32),
            shapes=np.zeros((len(ARKIT_NAMES), 0, 3), np.float32),
            offset_fields=nothing,
            landmarks=found.places.astype(np.float32),
            meta={
                "warnings": list(found.warnings),
                "method": found.method,
                "confidence": np.round(found.confidence.astype(float), 3).tolist(),
            },
        )
    else:
        from backend.transfer.make_keys import make_keys

        keys = make_keys(
            character,
            source=shapes_of_head(request.shapes_of),
            style=request.style,
            surface_only=request.surface_only,
            watch=watch,
        )
    info = {"vertices": len(keys.rows), "warnings": keys.meta["warnings"]}
    return Result(info, keys_to_arrays(keys))


JOB_KINDS = (JobKind("transfer", _check, _transfer),)
