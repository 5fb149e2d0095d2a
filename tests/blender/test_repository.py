# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository that `install.py addon --repository` wrote, on a web server: install and update."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from installer import extension_repository, extension_zip, wheels
from installer.extension_zip import TARGETS, Target

from .conftest import REPOSITORY


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files, and sends whoever asks below /latest/ there, as pages of releases do."""

    def do_GET(self) -> None:
        if self.path.startswith("/latest/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/latest"))
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def target() -> Target:
    """The one zip of eight that this Blender has to take."""
    import bpy

    wanted = "4.5" if bpy.app.version < (5, 1, 0) else "5.1"
    here = extension_zip.targets_for_this_machine()
    return next(target for target in here if target.blender == wanted)


@pytest.fixture
def write(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes the repository of a version, for every Blender and system; returns its folder.

    Only this machine's wheel is real: Blender could not install one of the other zips.
    """
    wheels.fetch([target.wheel])
    real = target.wheel.path
    monkeypatch.setattr(wheels, "WHEELS", tmp_path / "wheels")
    wheels.WHEELS.mkdir()
    for one in TARGETS:
        one.wheel.path.write_bytes(b"not for this machine")
    shutil.copy(real, target.wheel.path)

    def written(version: str) -> Path:
        root = tmp_path / f"checkout-{version}"
        for name in ("blender_addon", "shared"):
            shutil.copytree(REPOSITORY / name, root / name)
        shutil.copy(REPOSITORY / "LICENSE", root)
        path = root / "shared" / "version.py"
        now = extension_zip.product_version(root)
        path.write_text(path.read_text("utf-8").replace(now, version), "utf-8")
        extension_repository.write(tmp_path / "repository", list(TARGETS), root)
        return tmp_path / "repository"

    return written


@pytest.fixture
def serve() -> Iterator[Callable[[Path], str]]:
    """A plain web server for a folder, on a free port; returns the address of the index."""
    servers = []

    def start(folder: Path) -> str:
        handler = functools.partial(_Handler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/latest/{extension_repository.INDEX}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Callable[..., Callable[[str], dict[str, Any]]]]:
    """Starts a Blender that knows the repository; the answer is a function that commands it."""
    started = []

    def start(url: str) -> Callable[[str], dict[str, Any]]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.blender.repository_client", url],
            cwd=REPOSITORY, env={**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path / "user")},
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdin is not None and process.stderr is not None
        stdin, stderr = process.stdin, process.stderr

        def command(word: str) -> dict[str, Any]:
            stdin.write(f"{word}\n")
            stdin.flush()
            seen = []
            for line in stderr:
                if line.startswith("@@"):
                    answer: dict[str, Any] = json.loads(line[2:])
                    return answer
                seen.append(line)
            raise AssertionError("".join(seen))

        return command

    yield start
    for process in started:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)


def test_installed_and_updated_over_http(write, serve, client, target: Target) -> None:  # type: ignore[no-untyped-def]
    command = client(serve(write("0.8.0")))
    first = command("install")
    assert first.get("error") is None, first
    manifest = tomllib.loads(first["manifest"])
    assert manifest["version"] == "0.8.0"
    assert manifest["platforms"] == list(target.platforms)
    assert manifest["wheels"] == [f"./wheels/{target.wheel.file_name}"]
    assert (first["enabled"], first["running"], first["registered"]) == (True, "0.8.0", True)

    write("0.9.0")  # beside the zips of 0.8.0, as it is when a folder is written again
    second = command("update")
    assert second.get("error") is None, second
    assert tomllib.loads(second["manifest"])["version"] == "0.9.0"
    assert tomllib.loads(second["manifest"])["wheels"] == manifest["wheels"]
    assert (second["enabled"], second["running"], second["registered"]) == (True, "0.9.0", True)
    assert command("update") == second, "there was nothing to update"
