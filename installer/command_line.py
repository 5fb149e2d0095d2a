# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of `install.py`."""

from __future__ import annotations

import argparse
import difflib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from . import (
    demo,
    doctor,
    environments,
    extension_repository,
    extension_zip,
    locking,
    releasing,
    setup_steps,
    wheels,
)
from .environments import BACKEND
from .failure import SetupError
from .paths import DEMO_OUT, ROOT, SAMPLE_AUDIO, SAMPLE_IMAGE, shown
from .progress import child_environment, elapsed_text, say

COMMANDS = {
    "demo": "set up, then make a talking head from a voice and a photo inside Blender",
    "test": "set up, then run the whole test suite",
    "backend": "set up only the backend and say how to start it",
    "addon": "build the extension's zips for every platform into dist/",
    "doctor": "say what is installed, what is missing and how to mend it",
    "lock": "write the digests of the pinned packages into requirements/ (after changing a pin)",
    "release": "build what a version's tag publishes into dist/release/",
}


class _Parser(argparse.ArgumentParser):
    """An unknown command gets one sentence with the nearest known one."""

    def error(self, message: str) -> None:  # type: ignore[override]
        sys.stderr.write(f"{message}\nTry: python install.py --help\n")
        sys.exit(2)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="install.py",
        description="Sets VividKeys up and runs it. Each command sets up only what it needs; "
        "doing it again takes seconds.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    parts = {
        name: commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        for name, text in COMMANDS.items()
    }
    parts["demo"].add_argument(
        "--audio", type=Path, default=SAMPLE_AUDIO, help="the voice (wav, flac, mp3, mp4, ...)"
    )
    parts["demo"].add_argument("--image", type=Path, default=SAMPLE_IMAGE, help="the photo")
    parts["demo"].add_argument("--out", type=Path, default=DEMO_OUT, help="the folder for results")
    parts["addon"].add_argument(
        "--this-machine", action="store_true", help="only the zips that this machine can install"
    )
    parts["addon"].add_argument(
        "--repository", type=Path, metavar="DIR",
        help="write the zips and an index into this folder, for any web server to offer",
    )  # fmt: skip
    parts["release"].add_argument("tag", help="v and the version, for example v1.2.3")
    return parser


def _unknown_command(word: str) -> str:
    near = difflib.get_close_matches(word, COMMANDS, n=1)
    meant = f" Did you mean {near[0]}?" if near else ""
    return f"There is no command '{word}'.{meant} The commands are: {', '.join(COMMANDS)}."


def _backend() -> int:
    setup_steps.backend()
    python = shown(BACKEND.interpreter)
    say(f"\nStart it:      {python} -m backend serve")
    say(f"See the rest:  {python} -m backend --help")
    say("Blender starts a backend of its own; you need this one only on another machine.")
    return 0


def _addon(only_this_machine: bool, repository: Path | None) -> int:
    targets = list(
        extension_zip.targets_for_this_machine() if only_this_machine else extension_zip.TARGETS
    )
    if repository is not None:
        wheels.fetch([target.wheel for target in targets])
        paths = extension_repository.write(repository, targets)
    else:
        paths = extension_zip.ensure(targets)
    for path in paths:
        say(f"{shown(path)}  {path.stat().st_size / 1e6:.1f} MB")
    if repository is not None:
        index = repository / extension_repository.INDEX
        say(f"{shown(index)} lists them for Blender. Offer the folder by any web server.")
        say("In Blender: Edit > Preferences > Get Extensions > Repositories > + > Add Remote")
        say(f"Repository, and the address of {index.name}.")
        return 0
    say("In Blender: Edit > Preferences > Get Extensions > Install from Disk.")
    say("blender4.5 zips are for Blender 4.5 and 5.0, blender5.1 zips for 5.1 and later.")
    if environments.python_version(BACKEND) is None:
        say("The backend is not set up on this machine: python install.py backend")
    else:
        say("The extension finds the backend of this machine by itself.")
    return 0


def _test(arguments: Sequence[str]) -> int:
    setup_steps.backend(with_tests=True)
    setup_steps.blender45()
    reason = setup_steps.blender52()
    setup_steps.zips_for_this_machine()
    say()
    # Lint, types and the tests inside both Blenders are tests too (tests/install), so that
    # pytest's closing line speaks for everything.
    return subprocess.run(
        [str(BACKEND.interpreter), "-m", "pytest", *arguments],
        cwd=ROOT,
        env=child_environment(VIVIDKEYS_NO_BLENDER52=reason),
    ).returncode


def main(arguments: Sequence[str]) -> int:
    """Runs one command; returns the exit code: 0 good, 1 something failed, 2 misused."""
    # `test` hands everything after it to pytest, also what looks like an option of ours.
    if arguments and arguments[0] == "test" and arguments[1:] not in (["-h"], ["--help"]):
        return _guarded(lambda: _test(arguments[1:]))
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        sys.stderr.write(_unknown_command(arguments[0]) + "\n")
        return 2
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command == "demo":
        return _guarded(
            lambda: demo.run(
                # Given relative to where the person stands, not to the checkout.
                options.audio.absolute(),
                options.image.absolute(),
                options.out.absolute(),
            )
        )
    if options.command == "backend":
        return _guarded(_backend)
    if options.command == "addon":
        folder = options.repository and options.repository.absolute()
        return _guarded(lambda: _addon(options.this_machine, folder))
    if options.command == "doctor":
        return doctor.run()
    if options.command == "release":
        return _guarded(lambda: releasing.run(options.tag))
    if options.command == "lock":
        return _guarded(locking.run)
    parser.print_help()
    return 2


def _guarded(action: Callable[[], int]) -> int:
    started = time.monotonic()
    try:
        return action()
    except SetupError as failure:
        if failure.details:
            sys.stderr.write(failure.details.rstrip() + "\n\n")
        sys.stderr.write(failure.sentence + "\n")
        if failure.next_step:
            sys.stderr.write(failure.next_step + "\n")
        return 1
    except KeyboardInterrupt:
        took = elapsed_text(time.monotonic() - started)
        sys.stderr.write(f"\nStopped after {took}. Run it again: it goes on where it was.\n")
        return 130
