# SPDX-License-Identifier: GPL-3.0-or-later
"""The job `reconstruct`: photo → FaceMesh.

The server imports this module to check requests, so image libraries are imported inside the
functions that run in the worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backend.server.job_kinds import JobContext, JobKind, Needs, Result, watch_of
from shared.arrays import Arrays
from shared.checks import printable
from shared.errors import ErrorKind, VividKeysError
from shared.face import face_to_arrays
from shared.requests import ReconstructRequest, from_params

MOST_HEADS_LISTED = 40


def _check(params: Mapping[str, Any], arrays: Arrays) -> Needs:
    request = from_params(ReconstructRequest, params)
    if arrays:
        raise VividKeysError(
            ErrorKind.BAD_ARRAY, "The job 'reconstruct' takes no arrays.", "Upload the photo."
        )
    from backend.heads import check_head

    check_head(request.head)
    return Needs((request.image,))


def _reconstruct(context: JobContext) -> Result:
    from backend.heads import head_from_photo

    request = from_params(ReconstructRequest, context.params)
    watch = watch_of(context, "reconstructing")
    watch.progress(0.0, "Reading the photo")
    face = head_from_photo(request.head, context.upload(request.image), watch)
    info = {"vertices": len(face.vertices), "warnings": face.meta.get("warnings", [])}
    return Result(info, face_to_arrays(face))


def _describe_heads() -> list[dict[str, Any]]:
    from backend.heads import installed_heads

    return [
        {
            "name": head.name,
            "version": "1",
            "task": "reconstruct",
            "title": printable(head.title, 80),
            "licence": printable(head.licence, 80),
            "vertices": head.vertices,
        }
        for head in installed_heads()[:MOST_HEADS_LISTED]
    ]


def _warm() -> None:
    from backend.face.build_head import template_layout
    from backend.face.landmarks import warm_up

    warm_up()
    template_layout()


JOB_KINDS = (JobKind("reconstruct", _check, _reconstruct, warm=_warm, describe=_describe_heads),)
