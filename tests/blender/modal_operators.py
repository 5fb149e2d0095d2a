# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators that wait for a job, driven step by step without a window."""

from __future__ import annotations

import time
from types import SimpleNamespace

from tests.patience import PATIENCE


def modal(addon, blender, operator_module, class_name, **properties):
    """The operator as Blender would hold it, started by `invoke` but without a window."""
    module = addon(f"operators.{operator_module}")
    given = SimpleNamespace(is_property_set=lambda name: name in properties)
    texts = ("target", "shapes_of", "image_file", "head", "name", "audio_file", "job")
    defaults = dict.fromkeys((*texts, "video_photo"), "")
    operator = SimpleNamespace(
        **{**defaults, **properties}, properties=given, timer=None, job_id="", reports=[]
    )
    operator.report = lambda level, text: operator.reports.append((level, text))
    send = getattr(module, "attach" if operator_module == "fetch" else "send")
    job = send(operator) if operator_module == "fetch" else send(operator, blender.context)
    operator.job_id = job.id
    return getattr(module, class_name), operator


def run(cls, operator, context, until=lambda: False):
    """TIMER events until the operator ends or `until` is true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        result = cls.modal(operator, context, SimpleNamespace(type="TIMER"))
        if result != {"PASS_THROUGH"} or until():
            return result
        time.sleep(0.01)
    raise AssertionError("the operator did not end")
