# SPDX-License-Identifier: GPL-3.0-or-later
"""`transfer` on the command line: which files it takes and what it says of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.commands.main import main
from backend.commands.transfer import read_character

TRIANGLE = np.array([[0, 1, 2]], np.int32)


def test_pieces_of_a_file_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "head.obj"
    corners = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
    path.write_text(f"o Face\n{corners}f 1 2 3\no Eyes\n{corners}f 4 5 6\n")
    character = read_character(path)
    assert character.piece_names == ("Face", "Eyes")
    assert character.piece.tolist() == [0, 0, 0, 1, 1, 1]
    np.savez(tmp_path / "head.npz", vertices=np.eye(3), triangles=TRIANGLE)
    assert len(read_character(tmp_path / "head.npz").piece_names) == 1


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("head.blend", "not a mesh file"), ("gone.npz", "gone.npz"), ("half.npz", "'triangles'")],
)
def test_other_files_are_refused_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, sentence: str
) -> None:
    (tmp_path / "head.blend").write_bytes(b"BLENDER")
    np.savez(tmp_path / "half.npz", vertices=np.eye(3))
    out = tmp_path / "keys.npz"
    assert main(["transfer", str(tmp_path / name), "--out", str(out)]) == 1
    assert sentence in capsys.readouterr().err
    assert not out.exists()
