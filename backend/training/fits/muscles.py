# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit the numbers of `muscles.toml` to reference shapes sampled at the landmarks.

    python -m backend.training.fits.muscles REFERENCE.npz [--pulls 7]

Each shape becomes a rotation of the jaw, where it moves it, and a handful of pulls, found one by
one: the pull that explains most of the residual is added, then all are solved together and their
anchors and reaches are refined (orthogonal matching pursuit; Pati, Rezaiifar and Krishnaprasad,
1993). The reference itself is not kept.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from scipy.optimize import minimize

from backend.face.arkit_basis import jaw_motion
from backend.face.measure import measure_against_reference, read_reference, reference_table
from backend.face.muscles import TABLE_PATH, JawMotion
from backend.face.surface import fade
from backend.face.template import Template, load_template
from shared.arkit import ARKIT_NAMES
from shared.landmarks import (
    EARS,
    INNER_LIP_LOWER,
    INNER_LIP_UPPER,
    LANDMARK_COUNT,
    LOWER_LIP,
    NAMED_LANDMARKS,
    OUTER_LIP_LOWER,
    OUTER_LIP_UPPER,
)

HINGE = (0.0, -12.0, 0.0)  # the jaw joint lies about 12 mm before the ear's tragus
REACHES = (8.0, 11.0, 15.0, 20.0, 27.0, 36.0, 48.0, 64.0, 90.0)
ENOUGH = 0.022  # stop when the rms error is this share of the largest motion
# Penalises long pulls that cancel each other, which fit well but are hard to edit.
RIDGE = 0.012
# Errors at the lips are the most visible.
LIP_WEIGHT = 1.7
# Shapes that need more pulls than the others.
MORE_PULLS = {"jawOpen": 5, "mouthClose": 3}

LIPS = {
    "jawOpen": "apart", "jawForward": "apart", "jaw": "apart", "mouthClose": "sealing",
    "mouthFunnel": "apart", "mouthPucker": "together", "mouth": "together",
    "mouthSmile": "together", "mouthFrown": "together", "mouthDimple": "together",
    "mouthStretch": "together", "mouthRollLower": "under", "mouthRollUpper": "under",
    "mouthShrugLower": "together", "mouthShrugUpper": "apart", "mouthPress": "together",
    "mouthLowerDown": "apart", "mouthUpperUp": "apart", "cheekPuff": "together",
    "cheekSquint": "together", "noseSneer": "apart",
}  # fmt: skip
JAW_SHAPES = ("jawOpen", "jawForward", "jaw")

HEAD = """# SPDX-License-Identifier: GPL-3.0-or-later
# The muscle table: what each ARKit shape does to a face at weight 1.
#
# Lengths are millimetres on the template face (pupils 63 mm apart) and scale with the distance
# of the outer eye corners. x points to the character's left, y away from the viewer, z up.
#
# pulls = [{ at, move, reach }]   the skin around landmark `at` moves by `move`, less and less
#                                 with the distance along the skin, not at all beyond `reach`
# jaw = { degrees, slide, at, core, reach }
#                                 the jaw turns open about its hinge and slides; skin within
#                                 `core` of landmark `at` goes along in full, beyond `reach` not
# lips = "apart"                  the gap between the lips may open, never cross
#        "together"               both edges of the lips move as one
#        "under"                  the lip that rolls in slides behind the other without a gap
#        "sealing"                takes back the gap that jawOpen makes at the same weight
# closes_lid = 1.0                share of the eye's opening that is closed, whatever its size
#
# [middle.*] shapes are symmetric: every pull also acts mirrored on the other side.
# [left.*] shapes are written for the character's left; the right ones are their mirror images.
# Numbers are fitted by `python -m backend.training.fits.muscles`; editing them by hand is fine.
"""


@dataclass
class Fitted:
    """Pulls of one shape: landmark and reach per pull, and their moves in mm."""

    atoms: list[tuple[int, float]]
    moves: Float64[np.ndarray, "N 3"]


class Dictionary:
    """All candidate pulls; for symmetric shapes each includes its mirror image."""

    def __init__(self, template: Template, middle: bool) -> None:
        self.template, self.middle = template, middle
        self.distances = template.distances * 1000.0
        side = template.vertices[:, 0]
        self.anchors = np.flatnonzero(side >= -1e-6) if middle else np.arange(LANDMARK_COUNT)
        self.atoms = [(int(a), r) for r in REACHES for a in self.anchors]
        self.weight = np.ones((LANDMARK_COUNT, 1))
        for ring in (INNER_LIP_UPPER, INNER_LIP_LOWER, OUTER_LIP_UPPER, OUTER_LIP_LOWER):
            self.weight[list(ring)] = LIP_WEIGHT
        self.columns = self.weight * np.stack([self.columns_of(a, r) for a, r in self.atoms])
        self.norms = (self.columns**2).sum(axis=1)

    def columns_of(self, anchor: int, reach: float) -> Float64[np.ndarray, "468 3"]:
        """Weights of a unit pull along x, y and z; its mirror image has the opposite x."""
        weight = fade(self.distances[anchor], reach)
        columns = np.repeat(weight[:, None], 3, axis=1)
        if self.middle:
            partner = int(self.template.mirror[anchor])
            if partner == anchor:
                columns[:, 0] = 0.0
            else:
                other = fade(self.distances[partner], reach)
                columns += other[:, None] * (-1.0, 1.0, 1.0)
        return columns

    def best(self, residual: Float64[np.ndarray, "468 3"]) -> tuple[int, float]:
        """The atom that reduces a residual most."""
        inner = np.einsum("nvc,vc->nc", self.columns, self.weight * residual)
        gain = (inner**2 / np.maximum(self.norms, 1e-9)).sum(axis=1)
        return self.atoms[int(gain.argmax())]


def solve(
    dictionary: Dictionary, atoms: list[tuple[int, float]], target: Float64[np.ndarray, "468 3"]
) -> Fitted:
    """Least-squares moves of given pulls, rounded as they will be written."""
    columns = dictionary.weight * np.stack([dictionary.columns_of(*atom) for atom in atoms])
    target = dictionary.weight * target
    moves = np.zeros((len(atoms), 3))
    for axis in range(3):
        k = columns[:, :, axis].T
        normal = k.T @ k
        size = np.trace(normal) / len(atoms)
        moves[:, axis] = np.linalg.solve(
            normal + (RIDGE * size + 1e-9) * np.eye(len(atoms)), k.T @ target[:, axis]
        )
    return Fitted(atoms, np.round(moves, 2))


def rebuild(dictionary: Dictionary, fitted: Fitted) -> Float64[np.ndarray, "468 3"]:
    """The field that the pulls produce, mm."""
    columns = np.stack([dictionary.columns_of(*atom) for atom in fitted.atoms])
    return np.asarray((columns * fitted.moves[:, None]).sum(axis=0))


def fit_pulls(
    dictionary: Dictionary, target: Float64[np.ndarray, "468 3"], most: int, largest: float
) -> Fitted:
    """At most `most` pulls for a field in mm."""

    def error(fitted: Fitted) -> float:
        return float(((dictionary.weight * (rebuild(dictionary, fitted) - target)) ** 2).sum())

    goal = (ENOUGH * largest) ** 2 * LANDMARK_COUNT
    fitted = Fitted([], np.zeros((0, 3)))
    residual = target
    while len(fitted.atoms) < most and (residual**2).sum() > goal:
        fitted = solve(dictionary, [*fitted.atoms, dictionary.best(residual)], target)
        fitted = refine(dictionary, fitted, target, error)
        residual = target - rebuild(dictionary, fitted)
    return fitted


def refine(
    dictionary: Dictionary,
    fitted: Fitted,
    target: Float64[np.ndarray, "468 3"],
    error: Callable[[Fitted], float],
) -> Fitted:
    """Try neighbouring landmarks and other reaches for each pull while that reduces the error."""
    best = error(fitted)
    for _ in range(3):
        before = best
        for index in range(len(fitted.atoms)):
            anchor, reach = fitted.atoms[index]
            near = np.argsort(dictionary.distances[anchor])[1:8]
            if dictionary.middle:
                near = near[np.isin(near, dictionary.anchors)]
            options = [(anchor, round(reach * f, 1)) for f in (0.8, 0.9, 1.1, 1.25)]
            options += [(int(a), reach) for a in near]
            for option in options:
                if not 6.0 <= option[1] <= 110.0 or option in fitted.atoms:
                    continue
                atoms = [*fitted.atoms]
                atoms[index] = option
                trial = solve(dictionary, atoms, target)
                value = error(trial)
                if value < best * 0.999:
                    best, fitted = value, trial
        if best > before * 0.99:
            break
    return fitted


def fit_jaw(
    target: Float64[np.ndarray, "468 3"], template: Template, turns: bool, middle: bool
) -> JawMotion:
    """Rotation, slide and region of the jaw that explain most of a field in mm."""
    hinge = template.vertices[list(EARS)].mean(axis=0) * (0, 1, 1) + np.array(HINGE) / 1000
    best: tuple[float, JawMotion] | None = None
    for at in (200, 199, 18, LOWER_LIP):
        distance = template.distances[at] * 1000.0

        def motion(p: Float64[np.ndarray, " 6"], at: int = at) -> JawMotion:
            slide = (0.0 if middle else float(p[1]), float(p[2]), float(p[3]))
            core = float(abs(p[4]))
            return JawMotion(float(p[0]) * turns, slide, at, core, core + float(abs(p[5])) + 5)

        def cost(
            p: Float64[np.ndarray, " 6"],
            at: int = at,
            distance: Float64[np.ndarray, " 468"] = distance,
        ) -> float:
            jaw = motion(p, at)
            share = fade(distance, jaw.reach, jaw.core)
            field = share[:, None] * jaw_motion(jaw, template.vertices, hinge, 1.0) * 1000
            return float(((field - target) ** 2).sum())

        slide = np.zeros(3) if turns else target[at]
        start = np.array([15.0, *slide, 15.0, 50.0])
        found = minimize(cost, start, method="Nelder-Mead", options={"maxiter": 2500})
        if best is None or found.fun < best[0]:
            best = (float(found.fun), motion(found.x))
    assert best is not None
    jaw = best[1]
    slide = (round(jaw.slide[0], 1), round(jaw.slide[1], 1), round(jaw.slide[2], 1))
    return JawMotion(round(jaw.degrees, 1), slide, jaw.at, round(jaw.core), round(jaw.reach))


def targets(path: Path, template: Template) -> dict[str, Float64[np.ndarray, "468 3"]]:
    """Reference motions in mm by table entry: middle shapes symmetric, sided ones for the left.

    The reference's right rim was sampled at the wrong positions, so only its left is used.
    """
    _, offsets, names = read_reference(path)
    fields = dict(zip(names, offsets * 1000.0, strict=True))
    partner = template.mirror[:LANDMARK_COUNT]
    rim = template.vertices[:, 1] > -0.035

    def flip(field: Float64[np.ndarray, "468 3"]) -> Float64[np.ndarray, "468 3"]:
        return np.asarray(field[partner] * (-1, 1, 1))

    found = {}
    for name in ARKIT_NAMES:
        if name not in fields or name.endswith("Right"):
            continue
        stem = name.removesuffix("Left")
        own, other = fields[name], flip(fields[stem + "Right" if stem != name else name])
        mean = (own + other) / 2
        left_side = template.vertices[:, 0] > 0
        mean[rim & left_side] = own[rim & left_side]
        mean[rim & ~left_side] = other[rim & ~left_side]
        found[stem] = mean
    return found


def nearest_name(landmark: int, template: Template) -> str:
    """The named landmark closest to a landmark, for the comments of the table."""
    distance = template.distances[landmark]
    return min(NAMED_LANDMARKS, key=lambda name: float(distance[NAMED_LANDMARKS[name]]))


def write_entry(stem: str, middle: bool, jaw: JawMotion | None, fitted: Fitted,
                template: Template) -> list[str]:  # fmt: skip
    """One shape as TOML lines, largest pulls first."""
    lines = [f"[{'middle' if middle else 'left'}.{stem}]"]
    if stem in LIPS:
        lines.append(f'lips = "{LIPS[stem]}"')
    if stem == "eyeBlink":
        lines.append("closes_lid = 1.0")
    if jaw is not None:
        x, y, z = jaw.slide
        lines.append(
            f"jaw = {{ degrees = {jaw.degrees}, slide = [{x}, {y}, {z}], "
            f"at = {jaw.at}, core = {float(jaw.core)}, reach = {float(jaw.reach)} }}"
        )
    if fitted.atoms:
        order = np.argsort(-np.linalg.norm(fitted.moves, axis=1))
        lines.append("pulls = [")
        for index in order:
            (anchor, reach), move = fitted.atoms[index], fitted.moves[index]
            if middle and template.mirror[anchor] == anchor:
                move = move * (0, 1, 1)
            x, y, z = (float(value) + 0.0 for value in move)
            lines.append(
                f"  {{ at = {anchor:3d}, move = [{x:6.2f}, {y:6.2f}, {z:6.2f}], "
                f"reach = {reach:5.1f} }},  # {nearest_name(anchor, template)}"
            )
        lines.append("]")
    return [*lines, ""]


def main(arguments: list[str]) -> None:
    """Fit, write the table, print how close it is."""
    if not arguments:
        raise SystemExit(__doc__)
    most = int(arguments[arguments.index("--pulls") + 1]) if "--pulls" in arguments else 7
    template = load_template()
    sided, middle = Dictionary(template, False), Dictionary(template, True)
    hinge = template.vertices[list(EARS)].mean(axis=0) * (0, 1, 1) + np.array(HINGE) / 1000
    lines = [HEAD, "[jaw]", f"hinge = [{HINGE[0]}, {HINGE[1]}, {HINGE[2]}]", ""]
    for stem, target in targets(Path(arguments[0]), template).items():
        largest = float(np.linalg.norm(target, axis=1).max())
        is_middle = stem in ARKIT_NAMES
        jaw = None
        if stem in JAW_SHAPES:
            jaw = fit_jaw(target, template, stem == "jawOpen", is_middle)
            share = fade(template.distances[jaw.at] * 1000.0, jaw.reach, jaw.core)
            moved = jaw_motion(jaw, template.vertices, hinge, 1.0) * 1000
            target = target - share[:, None] * moved
        dictionary = middle if is_middle else sided
        fitted = fit_pulls(dictionary, target, most + MORE_PULLS.get(stem, 0), largest)
        rest = np.sqrt(((rebuild(dictionary, fitted) - target) ** 2).sum(axis=1).mean())
        print(f"{stem:18s} {len(fitted.atoms)} pulls, rms {100 * rest / largest:4.1f} %")
        lines += write_entry(stem, is_middle, jaw, fitted, template)
    lines += ["# The tongue is an inner part; the skin does not move.", "[middle.tongueOut]", ""]
    TABLE_PATH.write_text("\n".join(lines), "utf-8")
    print(reference_table(measure_against_reference(Path(arguments[0]))))


if __name__ == "__main__":
    main(sys.argv[1:])
