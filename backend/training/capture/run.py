# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures one film after another, prints the results, and skips those that fail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from backend.audio_to_mesh.motion_model import MotionModel
from backend.watch import UNWATCHED, Watch
from shared.errors import ErrorKind, VividKeysError

from .clip import CONSENT, CaptureSettings, Figures, capture_clip
from .store import IndexEntry, clip_names, save_clip, save_index


def capture_films(
    videos: Sequence[Path],
    out: Path,
    settings: CaptureSettings,
    plots: Path | None = None,
    watch: Watch = UNWATCHED,
) -> tuple[list[tuple[str, Figures]], list[tuple[Path, VividKeysError]]]:
    """Write every film's files and the index; returns the successes and the failures.

    A film that fails is skipped. Raises VividKeysError(disk_full) at once, and the errors of the
    `neutral` photo (bad_image, no_face, too_large) before any film is read.
    """
    if settings.neutral is not None:
        from .neutral import neutral_from_photo

        neutral_from_photo(settings.neutral, 0)
    model = MotionModel.load()
    done: list[tuple[str, Figures]] = []
    entries: list[IndexEntry] = []
    failed: list[tuple[Path, VividKeysError]] = []
    for number, (video, name) in enumerate(zip(videos, clip_names(videos), strict=True)):
        part = watch.part(number / len(videos), (number + 1) / len(videos))
        try:
            clip = capture_clip(video, model, settings, part)
        except VividKeysError as error:
            if error.kind in (ErrorKind.CANCELLED, ErrorKind.MISSING_DEPENDENCY):
                raise
            failed.append((video, error))
            continue
        entries.append(save_clip(clip, name, out))
        # After every clip, so that an interrupted run keeps what it has.
        save_index(entries, out)
        if plots is not None:
            from .plot import plot_clip

            plot_clip(clip, name, plots / f"{name}.png")
        done.append((name, clip.figures))
    return done, failed


def figures_table(done: Sequence[tuple[str, Figures]]) -> Table:
    """One row per clip."""
    table = Table(
        *("clip", "frames", "seen", "off mm", "lips mm", "gap mm", "late ms", "sync r", "round r"),
        "head °",
        title="Captured performances",
        caption="off: median distance of a landmark from where the shapes put it; lips: the same "
        "at the lips, without and with the offset fields; gap: between the lips, 5th to 95th "
        "percentile; late: picture behind sound, where the lips agree best (sync r) with the "
        "shipped network's; round r: correlation of lip rounding with the network's; head: range "
        "of pitch, roll and yaw",
        box=SIMPLE,
        padding=(0, 0),
    )
    for name, row in done:
        synced = row.sync_ms is not None
        table.add_row(
            name,
            f"{row.frames} at {row.source_fps:.4g}",
            f"{row.tracked:.0%}",
            f"{row.residual_mm:.2f}",
            f"{row.lip_residual_mm:.2f} to {row.lip_residual_with_offsets_mm:.2f}",
            f"{max(row.gap_low_mm, 0.0):.1f} to {row.gap_high_mm:.1f}",
            f"{row.sync_ms:+.0f}" if synced else "-",
            f"{row.sync_r:.2f}" if synced else "-",
            f"{row.network_rounding_r:.2f}" if synced else "-",
            "/".join(f"{degrees:.0f}" for degrees in row.head_degrees),
        )
    return table


def report(
    done: Sequence[tuple[str, Figures]],
    failed: Sequence[tuple[Path, VividKeysError]],
    out: Path,
) -> int:
    """Print the table, the warnings and the failures; 0 when at least one film worked."""
    console = Console()
    if done:
        console.print(figures_table(done))
    for name, figures in done:
        for warning in figures.warnings:
            console.print(f"note: {name}: {warning}", markup=False)
    errors = Console(stderr=True)
    for video, error in failed:
        errors.print(f"error ({error.kind}): {video}: {error.sentence}", markup=False)
        if error.next_step:
            errors.print(f"  {error.next_step}", markup=False)
    if done:
        console.print(
            f"wrote {len(done)} of {len(done) + len(failed)} clips to {out}", markup=False
        )
        console.print(CONSENT, markup=False)
    return 0 if done else 1
