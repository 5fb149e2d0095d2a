# SPDX-License-Identifier: GPL-3.0-or-later
"""Parses the command line, runs the command it names and turns errors into exit codes."""

from __future__ import annotations

import sys
from typing import Annotated, Protocol, cast, runtime_checkable

import tyro

from backend.commands.animate import Animate
from backend.commands.bench import Bench
from backend.commands.capture import Capture
from backend.commands.doctor import Doctor
from backend.commands.evaluate import Evaluate
from backend.commands.faces import Faces
from backend.commands.heads import Heads
from backend.commands.keys import Keys
from backend.commands.reconstruct import Reconstruct
from backend.commands.render import Render
from backend.commands.restyle import Restyle
from backend.commands.serve import Serve
from backend.commands.train import Train
from backend.commands.transfer import Transfer
from shared.errors import ErrorKind, VividKeysError

DESCRIPTION = (
    "VividKeys: a voice and a photo become face animation. Everything runs on this machine; "
    "nothing is downloaded. Only animate a face with the consent of the person it belongs to."
)

EXIT_USER_ERROR = 1
EXIT_INTERRUPTED = 130


@runtime_checkable
class Command(Protocol):
    """A parsed command."""

    def run(self) -> int:
        """Do the work and return the exit code."""
        ...


Commands = (
    Annotated[Animate, tyro.conf.subcommand("animate")]
    | Annotated[Restyle, tyro.conf.subcommand("restyle")]
    | Annotated[Render, tyro.conf.subcommand("render")]
    | Annotated[Reconstruct, tyro.conf.subcommand("reconstruct")]
    | Annotated[Transfer, tyro.conf.subcommand("transfer")]
    | Annotated[Heads, tyro.conf.subcommand("heads")]
    | Annotated[Serve, tyro.conf.subcommand("serve")]
    | Annotated[Keys, tyro.conf.subcommand("keys")]
    | Annotated[Doctor, tyro.conf.subcommand("doctor")]
    | Annotated[Bench, tyro.conf.subcommand("bench")]
    | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[Faces, tyro.conf.subcommand("faces")]
    | Annotated[Capture, tyro.conf.subcommand("capture")]
    | Annotated[Train, tyro.conf.subcommand("train")]
)


def parse(arguments: list[str]) -> Command:
    """The command that `arguments` name; otherwise prints help or what is wrong and exits."""
    parsed = tyro.cli(
        cast(type[Command], Commands),
        prog="python -m backend",
        description=DESCRIPTION,
        args=arguments,
        config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes),
    )
    return parsed


def main(arguments: list[str]) -> int:
    """Run one command; 0 on success, 1 for errors that the user can fix, 130 when interrupted."""
    command = parse(arguments)
    try:
        return command.run()
    except VividKeysError as error:
        print(f"error ({error.kind}): {error.sentence}", file=sys.stderr)
        if error.next_step:
            print(f"  {error.next_step}", file=sys.stderr)
        return EXIT_INTERRUPTED if error.kind == ErrorKind.CANCELLED else EXIT_USER_ERROR
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
