# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m backend serve --child` with the quick jobs: run_child FOLDER [NAME=VALUE ...]."""

from __future__ import annotations

import sys
from pathlib import Path

from backend.server.serve import ServeSettings, serve
from tests.backend.server.real_server import QUICK_JOBS, be_patient


def main() -> int:
    folder, *options = sys.argv[1:]
    be_patient(setattr)
    values = dict(option.split("=") for option in options)
    if "largest_file" in values:
        # From here on writing more into one file fails as it does on a full disk.
        import resource

        size = int(values["largest_file"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return serve(
        ServeSettings(
            data_folder=Path(folder),
            child=True,
            orphan_seconds=float(values.get("orphan_seconds", 60)),
            job_modules=tuple(values.get("modules", QUICK_JOBS[0]).split(",")),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
