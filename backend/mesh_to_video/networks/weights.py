# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights of the video's networks on disk: half precision, with the networks' sizes as metadata.

Without a file the video is made by geometry alone, with a warning; a damaged file is an error,
because somebody meant it to be used.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from backend.mesh_to_video.networks.generator import DetailRefiner, Generator, GeneratorShape
from backend.mesh_to_video.networks.motion_vae import DualBranchMotionVAE, MotionShape
from backend.mesh_to_video.settings import Parts
from backend.models import FOLDER
from shared.errors import ErrorKind, VividKeysError
from shared.whole_files import written_whole

MOTION_VAE = "motion_vae"
GENERATOR = "generator"
FORMAT = "1"
_REFINER = "refiner."


@dataclass(frozen=True)
class VideoNetworks:
    """The networks that are available; None for those switched off or without weights."""

    motion_vae: DualBranchMotionVAE | None
    generator: Generator | None
    refiner: DetailRefiner | None
    warnings: tuple[str, ...] = ()


def save_weights(
    tensors: dict[str, Tensor],
    shape: dict[str, object],
    path: Path,
    *,
    name: str,
    about: dict[str, str],
) -> None:
    """Write weights in half precision; `path` is replaced atomically.

    Raises VividKeysError(internal) for weights that are not finite in half precision.
    """
    kept = {key: value.detach().cpu().half().contiguous() for key, value in tensors.items()}
    for key, value in kept.items():
        if not bool(torch.isfinite(value).all()):
            raise VividKeysError(
                ErrorKind.INTERNAL,
                f"The weights '{key}' of {name} are not finite in half precision.",
                "Resume from an earlier checkpoint, or train with a lower learning rate.",
            )
    described = {"name": name, "format": FORMAT, "shape": json.dumps(shape), **about}
    with written_whole(path) as temporary:
        save_file(kept, temporary, described)


def save_motion_vae(network: DualBranchMotionVAE, path: Path, **about: str) -> None:
    """Write a motion-VAE in the form that is shipped."""
    save_weights(network.state_dict(), network.shape.as_dict(), path, name=MOTION_VAE, about=about)


def save_generator(generator: Generator, refiner: DetailRefiner, path: Path, **about: str) -> None:
    """Write a generator and its refiner in the form that is shipped."""
    tensors = dict(generator.state_dict())
    tensors |= {_REFINER + name: value for name, value in refiner.state_dict().items()}
    save_weights(tensors, generator.shape.as_dict(), path, name=GENERATOR, about=about)


def load_motion_vae(path: Path | None = None) -> DualBranchMotionVAE:
    """Read a motion-VAE. Raises VividKeysError(bad_file) when it is missing or damaged."""
    path = path or FOLDER / f"{MOTION_VAE}.safetensors"
    try:
        tensors, shape = _read(path, MOTION_VAE)
        network = DualBranchMotionVAE(MotionShape.from_dict(shape))
        network.load_state_dict(tensors)
    except _UNUSABLE as error:
        raise _bad_file(path, "motion-VAE") from error
    return network.eval()


def load_generator(path: Path | None = None) -> tuple[Generator, DetailRefiner]:
    """Read a generator and its refiner. Raises VividKeysError(bad_file) likewise."""
    path = path or FOLDER / f"{GENERATOR}.safetensors"
    try:
        tensors, values = _read(path, GENERATOR)
        shape = GeneratorShape.from_dict(values)
        generator, refiner = Generator(shape), DetailRefiner(shape)
        refined = {k: v for k, v in tensors.items() if k.startswith(_REFINER)}
        generator.load_state_dict({k: v for k, v in tensors.items() if k not in refined})
        refiner.load_state_dict({k.removeprefix(_REFINER): v for k, v in refined.items()})
    except _UNUSABLE as error:
        raise _bad_file(path, "generator") from error
    return generator.eval(), refiner.eval()


def load_networks(parts: Parts, folder: Path = FOLDER) -> VideoNetworks:
    """The networks that `parts` asks for, as far as `folder` has them.

    Raises VividKeysError(bad_file) for a file that exists but cannot be used.
    """
    warnings: list[str] = []
    motion_vae, generator, refiner = None, None, None
    if parts.motion_vae:
        path = folder / f"{MOTION_VAE}.safetensors"
        if path.is_file():
            motion_vae = load_motion_vae(path)
        else:
            warnings.append(_missing(path, "the face moves by its geometry alone"))
    if parts.generator:
        path = folder / f"{GENERATOR}.safetensors"
        if path.is_file():
            generator, refiner = load_generator(path)
        else:
            warnings.append(_missing(path, "the photo is warped and nothing is painted"))
    for network in (motion_vae, generator, refiner):
        if network is not None:
            # Convolutions of few channels are a sixth faster with interleaved channels.
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return VideoNetworks(motion_vae, generator, refiner, tuple(warnings))


_UNUSABLE = (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError)


def _read(path: Path, name: str) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Weights in single precision and the sizes of their network; raises one of `_UNUSABLE`."""
    with safe_open(path, "pt") as stream:
        about = stream.metadata() or {}
        if about.get("name") != name or about.get("format") != FORMAT:
            raise ValueError("weights of another network, or of another version")
        names: list[str] = stream.keys()
        tensors = {key: stream.get_tensor(key).float() for key in names}
    if not all(bool(torch.isfinite(value).all()) for value in tensors.values()):
        raise ValueError("weights that are not finite")
    return tensors, dict(json.loads(about["shape"]))


def _bad_file(path: Path, what: str) -> VividKeysError:
    return VividKeysError(
        ErrorKind.BAD_FILE,
        f"The weights of the {what} in '{path.name}' are missing, damaged, or of another version.",
        f"Restore the file backend/models/{path.name}, or train the network again.",
    )


def _missing(path: Path, consequence: str) -> str:
    return f"The weights {path.name} are missing: {consequence}."
