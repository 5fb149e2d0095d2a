# SPDX-License-Identifier: GPL-3.0-or-later
"""A module of jobs whose loading takes the worker down, as a broken library does."""

from __future__ import annotations

import os
from typing import Any

from backend.server.job_kinds import JobKind
from tests.backend.server.quick_jobs import JOB_KINDS as QUICK


def _load() -> list[dict[str, Any]]:
    os._exit(9)


JOB_KINDS = (JobKind("double", QUICK[1].check, QUICK[1].run, _load),)
