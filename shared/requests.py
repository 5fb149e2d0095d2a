# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters and arrays of each kind of job.

The client builds `params` with `as_params`, the server reads them with `from_params`; both sides
check, so a wrong value is refused before anything is sent and again before anything is run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, get_args, get_type_hints

import numpy as np

from . import checks
from .arkit import ARKIT_NAMES
from .arrays import Arrays, checked_floats
from .dialled import Dialled
from .dials import DIALS, Applied, applied
from .errors import ErrorKind, VividKeysError
from .face import FaceMesh, face_from_arrays, face_to_arrays
from .style_dials import StyleDials
from .take import Take, take_from_arrays, take_to_arrays

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8

FACE_PREFIX = "face."
TAKE_PREFIX = "take."
BACKGROUNDS = ("keep", "blur", "green", "alpha")
CONTAINERS = ("mp4", "mov")
FILM_SIDES = (64, 4096)


@dataclass(frozen=True)
class AnimateRequest(Dialled, dials=DIALS):
    """Parameters of the job `animate`: audio → Take.

    `audio` is the SHA-256 of an upload (any sound or video file); `audio_name` is only used in
    sentences. `face_job` is the id of a finished `reconstruct` job whose face is animated; a face
    may also be sent as arrays (see `face_arrays`); without either the template is used.
    `stream` asks for chunks of motion while it is made; without it only the result is sent.
    The dials are those of `dials.DIALS`. The speaker's dials are inputs of the networks and cannot
    be applied to finished curves; a client that applies the others itself leaves them out.
    """

    audio: Annotated[str, checks.sha256]
    audio_name: Annotated[str, checks.file_label] = ""
    face_job: Annotated[str, checks.no_or_job_id] = ""
    seed: Annotated[int, checks.integer(0, 2**32 - 1)] = 0
    fps: Annotated[float, checks.number(1.0, 120.0)] = 60.0
    stream: Annotated[bool, checks.flag] = False

    @property
    def style(self) -> StyleDials:
        """The dials for the finished curves, without those that are applied to the motion."""
        return StyleDials(**self.dial_values(applied(Applied.CURVES)))


@dataclass(frozen=True)
class ReconstructRequest:
    """Parameters of the job `reconstruct`: photo → FaceMesh; `image` is the SHA-256 of a file.

    `head` names one of the backend's installed heads; without it VividKeys' own is built.
    """

    image: Annotated[str, checks.sha256]
    image_name: Annotated[str, checks.file_label] = ""
    head: Annotated[str, checks.file_label] = ""


@dataclass(frozen=True)
class TransferRequest:
    """Parameters of the job `transfer`: character → FaceKeys; the arrays are a `Character`'s.

    `only_landmarks` finds the face and makes no keys (`rows` is empty). `style` says what kind of
    face it is; "auto" decides by its proportions. `surface_only` also makes keys for a face whose
    mouth cannot open, which is an error otherwise. `shapes_of` names an installed head whose shapes
    the keys take, instead of the muscle table's.
    """

    only_landmarks: Annotated[bool, checks.flag] = False
    style: Annotated[str, checks.one_of("auto", "human", "stylised")] = "auto"
    surface_only: Annotated[bool, checks.flag] = False
    shapes_of: Annotated[str, checks.file_label] = ""


def film_size(value: object) -> int:
    """The longer side of a film in pixels, or 0 for the photo's own."""
    if value == 0 and type(value) is int:
        return 0
    try:
        return int(checks.integer(*FILM_SIDES)(value))
    except ValueError as error:
        raise ValueError(f"{error}, or 0 for the photo's own size") from error


@dataclass(frozen=True)
class RenderRequest:
    """Parameters of the job `render`: photo and Take → a film of the talking face.

    `image` and `audio` are SHA-256 of uploads; without `audio` the film is silent. `take_job` is
    the id of a finished `animate` job; a Take may also be sent as arrays (see `take_arrays`); one
    of the two is required.
    `size` is the film's longer side in pixels, 0 for the photo's own. `container` "mp4" holds
    H.264, "mov" ProRes, which the background "alpha" needs. `mark` writes a visible note into the
    picture that it is generated. `preview` makes a small, quick film instead.
    """

    image: Annotated[str, checks.sha256]
    image_name: Annotated[str, checks.file_label] = ""
    audio: Annotated[str, checks.no_or_sha256] = ""
    audio_name: Annotated[str, checks.file_label] = ""
    take_job: Annotated[str, checks.no_or_job_id] = ""
    size: Annotated[int, film_size] = 0
    fps: Annotated[float, checks.number(1.0, 120.0)] = 25.0
    background: Annotated[str, checks.one_of(*BACKGROUNDS)] = "keep"
    container: Annotated[str, checks.one_of(*CONTAINERS)] = "mp4"
    mark: Annotated[bool, checks.flag] = False
    preview: Annotated[bool, checks.flag] = False


Request = AnimateRequest | ReconstructRequest | TransferRequest | RenderRequest
_Request = TypeVar("_Request", AnimateRequest, ReconstructRequest, TransferRequest, RenderRequest)


def as_params(request: Request) -> dict[str, Any]:
    """The JSON object for `Submit.params`."""
    return dataclasses.asdict(request)


def from_params(request: type[_Request], params: Mapping[str, Any]) -> _Request:
    """The checked request. Raises VividKeysError(bad_request).

    An unknown parameter is refused, not ignored: a setting that silently does nothing is worse
    than an error.
    """
    hints = get_type_hints(request, include_extras=True)
    unknown = sorted(set(params) - {item.name for item in dataclasses.fields(request)})
    if unknown:
        raise _bad(f"There is no parameter '{unknown[0][:40]}'.")
    values: dict[str, Any] = {}
    for item in dataclasses.fields(request):
        if item.name in params:
            try:
                values[item.name] = get_args(hints[item.name])[1](params[item.name])
            except ValueError as error:
                raise _bad(f"The parameter '{item.name}' {error}.") from error
        elif item.default is dataclasses.MISSING:
            raise _bad(f"The parameter '{item.name}' is missing.")
    return request(**values)


def face_arrays(face: FaceMesh) -> Arrays:
    """A face as arrays of a submit message: those of `face_to_arrays`, named 'face.…'."""
    return {FACE_PREFIX + name: array for name, array in face_to_arrays(face).items()}


def face_of(arrays: Mapping[str, Any]) -> FaceMesh | None:
    """The face in a submit message's arrays, None without arrays.

    Raises VividKeysError(bad_array) for a face that does not fit and for any other array.
    """
    return face_from_arrays(_without_prefix(arrays, FACE_PREFIX)) if arrays else None


def take_arrays(take: Take) -> Arrays:
    """A Take as arrays of a submit message: those of `take_to_arrays`, named 'take.…'."""
    return {TAKE_PREFIX + name: array for name, array in take_to_arrays(take).items()}


def take_of(arrays: Mapping[str, Any]) -> Take | None:
    """The Take in a submit message's arrays, None without arrays.

    Raises VividKeysError(bad_array) for an invalid Take and for any other array.
    """
    return take_from_arrays(_without_prefix(arrays, TAKE_PREFIX)) if arrays else None


def _without_prefix(arrays: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    for name in arrays:
        if not name.startswith(prefix):
            raise VividKeysError(ErrorKind.BAD_ARRAY, f"This job takes no array '{name}'.")
    return {name.removeprefix(prefix): array for name, array in arrays.items()}


@dataclass(frozen=True, eq=False)
class FirstPicture:
    """The chunk of a job `render`: a thumbnail of its first finished picture.

    `pixels` are RGB, the top row first; at most `SIDE` pixels wide and high.
    """

    pixels: UInt8[np.ndarray, "H W 3"]

    SIDE: ClassVar[int] = 256

    def info(self) -> dict[str, Any]:
        return {}

    def arrays(self) -> Arrays:
        return {"picture": self.pixels}


def first_picture(arrays: Mapping[str, Any]) -> FirstPicture:
    """The picture in a chunk's arrays. Raises VividKeysError(bad_array)."""
    pixels = np.asarray(arrays.get("picture", np.zeros(0)))
    side = FirstPicture.SIDE
    fits = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[-1:] == (3,)
    if not fits or not (0 < len(pixels) <= side and 0 < pixels.shape[1] <= side):
        raise VividKeysError(
            ErrorKind.BAD_ARRAY, f"The first picture of a film is not [h, w, 3] within {side}."
        )
    return FirstPicture(pixels)


@dataclass(frozen=True, eq=False)
class MotionSlice:
    """The chunk of a job `animate`: T frames from `start_frame` on, at `fps`.

    `head_rotation` is in radians, `head_translation` in metres. `offset_weights` are those of the
    lip fields that the finished Take has as `offset_basis`.
    """

    start_frame: int
    fps: float
    weights: Float32[np.ndarray, "T 52"]
    head_rotation: Float32[np.ndarray, "T 3"]
    head_translation: Float32[np.ndarray, "T 3"]
    offset_weights: Float32[np.ndarray, "T K"]

    def info(self) -> dict[str, Any]:
        return {"start_frame": self.start_frame, "fps": self.fps}

    def arrays(self) -> Arrays:
        return {
            "weights": self.weights,
            "head_rotation": self.head_rotation,
            "head_translation": self.head_translation,
            "offset_weights": self.offset_weights,
        }


def motion_slice(info: Mapping[str, Any], arrays: Mapping[str, Any]) -> MotionSlice:
    """The slice in a chunk's `info` and `arrays`; without lip fields K is 0.

    Raises VividKeysError(bad_array, bad_request).
    """
    missing = sorted({"weights", "head_rotation", "head_translation"} - set(arrays))
    if missing:
        raise VividKeysError(ErrorKind.BAD_ARRAY, f"A piece of motion lacks {', '.join(missing)}.")
    weights = checked_floats("weights", arrays["weights"], (None, len(ARKIT_NAMES)))
    shape = (len(weights), 3)
    offsets = arrays.get("offset_weights", np.zeros((len(weights), 0), np.float32))
    try:
        start_frame = checks.integer(0, 2**31)(info.get("start_frame"))
        fps = checks.number(1.0, 1000.0)(info.get("fps"))
    except ValueError as error:
        raise _bad(f"The start or the frame rate of a piece of motion {error}.") from error
    return MotionSlice(
        start_frame=start_frame,
        fps=fps,
        weights=weights,
        head_rotation=checked_floats("head_rotation", arrays["head_rotation"], shape),
        head_translation=checked_floats("head_translation", arrays["head_translation"], shape),
        offset_weights=checked_floats("offset_weights", offsets, (len(weights), None)),
    )


def _bad(sentence: str) -> VividKeysError:
    return VividKeysError(ErrorKind.BAD_REQUEST, sentence, "Correct the request and send it again.")
