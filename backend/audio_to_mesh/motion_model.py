# SPDX-License-Identifier: GPL-3.0-or-later
"""The trained motion network with its decoder settings, ready to use."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from safetensors import SafetensorError, safe_open

from backend.audio_to_mesh.channels import CLASSES, EVENTS
from backend.audio_to_mesh.decoder_settings import DecoderSettings, decoder_of
from backend.audio_to_mesh.heard import Heard
from backend.audio_to_mesh.network import MotionNetwork, NetworkShape
from shared.errors import ErrorKind, VividKeysError

SHIPPED = Path(__file__).resolve().parents[1] / "models" / "motion.safetensors"
# Phones that are evidence of each event, beside the event head and the class head.
_EVENT_PHONES = (("p", "b", "m"), ("f", "v"), ("sil",))


@dataclass(frozen=True)
class PhonePoses:
    """The teacher's pose of each phone, and how frequent the phone is.

    `poses` are zero for contacts and silence; `share` is the phone's share of the training frames
    (0 for phones without a pose).
    """

    poses: Float32[np.ndarray, "P C"]
    share: Float32[np.ndarray, " P"]


class MotionModel:
    """Weights in memory. `MotionModel.load()` reads the shipped ones."""

    def __init__(
        self,
        network: MotionNetwork,
        phones: tuple[str, ...],
        poses: PhonePoses,
        decoder: DecoderSettings,
        name: str,
        version: str,
    ) -> None:
        self.network = network.eval()
        self.decoder = decoder
        self.name = name
        self.version = version
        self.profile: Float32[np.ndarray, " bands"] = self.network.profile.numpy()
        self._poses = torch.from_numpy(poses.poses)
        # The network underestimates phones that are rare in training; this undoes half of that.
        rarity = np.where(poses.share > 0.0, np.maximum(poses.share, 1e-5) ** -0.5, 0.0)
        self._rarity = torch.from_numpy(rarity.astype(np.float32))
        self._phones = [[phones.index(p) for p in group] for group in _EVENT_PHONES]
        self._classes = [CLASSES.index(event) for event in EVENTS]

    @classmethod
    def load(cls, path: Path | None = None) -> MotionModel:
        """Read weights, and the decoder settings that belong to them.

        Raises VividKeysError(bad_file) when either is missing or damaged.
        """
        path = SHIPPED if path is None else path
        try:
            with safe_open(path, "pt") as stream:
                about, names = stream.metadata() or {}, stream.keys()
                tensors = {name: stream.get_tensor(name).float() for name in names}
            sizes = json.loads(about["shape"])
            sizes["dilations"] = tuple(sizes["dilations"])
            network = MotionNetwork(NetworkShape(**sizes))
            poses = PhonePoses(
                tensors.pop("phones.poses").numpy(), tensors.pop("phones.share").numpy()
            )
            network.load_state_dict(tensors)
            phones = tuple(json.loads(about["phones"]))
            decoder = decoder_of(path, about.get("decoder", ""))
            return cls(network, phones, poses, decoder, about["name"], about["version"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise VividKeysError(
                ErrorKind.BAD_FILE,
                f"The motion weights '{path.name}' are missing or damaged.",
                "Install VividKeys again, or check out the file backend/models/"
                "motion.safetensors again.",
            ) from error

    @property
    def context(self) -> int:
        """Frames at 100 Hz that the network needs on either side of a frame."""
        return self.network.shape.context + 1

    def listen(
        self, windows: Float32[np.ndarray, "B T bands"], style: Float32[np.ndarray, " D"]
    ) -> list[Heard]:
        """Run the network on windows of normalised features, T even, with one style.

        The edges of a window count as the edges of a clip.
        """
        with torch.inference_mode():
            styles = torch.from_numpy(style).expand(len(windows), -1)
            outputs = self.network(torch.from_numpy(windows), styles)
            classes = torch.log_softmax(outputs.classes, dim=-1)
            phones = torch.log_softmax(outputs.phones, dim=-1)
            odds = [outputs.events]
            for log_shares, groups in (
                (classes, [[number] for number in self._classes]),
                (phones, self._phones),
            ):
                columns = [torch.logsumexp(log_shares[..., group], dim=-1) for group in groups]
                chosen = torch.stack(columns, dim=-1).clamp(max=-1e-6)
                odds.append(chosen - torch.log1p(-torch.exp(chosen)))
            score = torch.sigmoid(torch.stack(odds).clamp(-12.0, 12.0).mean(dim=0))
            likely = phones.exp() * self._rarity
            expected = (likely @ self._poses) / likely.sum(dim=-1, keepdim=True).clamp(min=1e-6)
            arrays = (outputs.curves, expected, score, outputs.offsets)
            return [Heard(*parts) for parts in zip(*(a.numpy() for a in arrays), strict=True)]
