"""Checkpoints: one safetensors file with both networks and everything needed to use them.

The header's metadata holds one JSON document (``CheckpointMetadata``). Tensors are called
``generator.<parameter>`` and ``discriminator.<parameter>``; half precision is stored where asked and read back
as float32. Nothing is ever pickled.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch
from safetensors import SafetensorError

from dcgan_analysis.checkpoints.metadata import CheckpointMetadata, read_metadata
from dcgan_analysis.checkpoints.sampling import Sampler
from dcgan_analysis.core.checksums import crc32_file, found_whole
from dcgan_analysis.core.device import choose_device
from dcgan_analysis.core.documents import parse_json, read_document
from dcgan_analysis.core.hashing import hash_array, hash_json, hash_parts
from dcgan_analysis.core.randomness import derive_seed, torch_generator
from dcgan_analysis.core.tensor_files import Weights, read_weights, write_tensors
from dcgan_analysis.core.text import Described, count, short_hash
from dcgan_analysis.errors import ArchitectureError, CheckpointError, UnknownNameError
from dcgan_analysis.models.architecture import ROLES, Role
from dcgan_analysis.models.builder import build
from dcgan_analysis.models.initialisation import initialise, unchanged_parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import numpy as np
    from torch import Tensor, nn

    from dcgan_analysis.checkpoints.inversion import Inversion
    from dcgan_analysis.core.registry import Registry
    from dcgan_analysis.data.dataset import DatasetSplit
    from dcgan_analysis.features.extractor import FeatureSpec
    from dcgan_analysis.models.architecture import Architecture
    from dcgan_analysis.models.registry import ArchitectureEntry

LISTED = "checksums.json"
"""Name of the file with the checksums of the shipped checkpoints."""


@dataclass(frozen=True, repr=False)
class Checkpoint(Described):
    """A pretrained DCGAN: architecture, weights, and what is known of their origin.

    Attributes:
        name: What it is called in messages and reports; never part of its identity.
        architecture: The architecture, ready to build its networks.
        weights: State dicts by role; a role may be missing (a file with a discriminator alone).
        metadata: What the checkpoint says of itself.
        path: The file it was read from, or None.

    Example:
        >>> from dcgan_analysis.models.tables import dcgan32
        >>> checkpoint = Checkpoint.random(dcgan32(width=8), seed=0)
        >>> checkpoint.sample(4, seed=1).shape
        torch.Size([4, 3, 32, 32])
    """

    name: str
    architecture: Architecture
    weights: Mapping[Role, Mapping[str, Tensor]]
    metadata: CheckpointMetadata
    path: Path | None = None
    # Not an argument: a copy with other weights (dataclasses.replace) must not take over the old hashes.
    _hashes: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def random(
        cls,
        architecture: Architecture,
        seed: int,
        name: str = "random",
        *,
        trained: Mapping[Role, Mapping[str, Tensor]] | None = None,
    ) -> Checkpoint:
        """Return a checkpoint with freshly initialised weights, the same for the same seed.

        Args:
            architecture: What to build.
            seed: Decides all weights.
            name: What it is called.
            trained: Weights none of which may be left.

        Raises:
            ArchitectureError: If a parameter cannot be drawn, or is still the trained one.
            ConfigError: If the seed is negative.
        """
        source = torch_generator(seed)
        weights: dict[Role, Mapping[str, Tensor]] = {}
        for role in filter(architecture.has, ROLES):
            network = build(partial(architecture.network, role), seed)
            initialise(network, source)
            kept = unchanged_parameter(network, (trained or {}).get(role, {}))
            if kept is not None:
                msg = (
                    f"Parameter '{kept}' of the {role} of '{architecture.name}' is still the trained one after random "
                    "initialisation. Choose another seed, or let reset_parameters() of its module draw it with torch."
                )
                raise ArchitectureError(msg)
            weights[role] = network.state_dict()
        metadata = CheckpointMetadata(
            architecture=architecture.name,
            parameters=dict(architecture.parameters),
            image_range=architecture.image_range,
            provenance={"origin": "random initialisation", "seed": seed},
        )
        return cls(name, architecture, weights, metadata)

    def twin(self, seed: int) -> Checkpoint:
        """Return its random-weight twin: the same architecture, freshly initialised.

        Twins have seeds of their own: that of seed 0 is not ``Checkpoint.random(architecture, 0)``, which a network
        that was trained from seed 0 was at its start.

        Raises:
            ArchitectureError: If a parameter cannot be drawn, or is still the trained one.
            ConfigError: If the seed is negative.
        """
        name = f"{self.name} (random twin)"
        twin = Checkpoint.random(self.architecture, derive_seed("twin", seed), name, trained=self.weights)
        provenance = {"origin": "random twin", "seed": seed}
        known = {"z_prior": self.metadata.z_prior, "provenance": provenance}
        return replace(twin, metadata=twin.metadata.model_copy(update=known))

    def with_new_statistics(self, reference: DatasetSplit | None = None) -> Checkpoint:
        """Return it with the statistics of batch normalisation estimated anew, missing ones as well.

        The generator's on latent vectors, the discriminator's on ``reference`` or else on samples; those of a
        discriminator that takes labels stay as they are. See ``checkpoints.statistics``.

        Raises:
            CheckpointError: If the discriminator needs images and there are none; if batch normalisation keeps no
                statistics.
        """
        from dcgan_analysis.checkpoints.statistics import with_new_statistics

        return with_new_statistics(self, reference)[0]

    def sha256(self, role: Role | None = None) -> str:
        """Return the content hash of the weights (of one network or both) with the architecture."""
        key = role or "all"
        if key not in self._hashes:
            parts = {
                f"{one}.{name}": _hash_tensor(tensor)
                for one in ROLES
                if role in (None, one)
                for name, tensor in self.weights.get(one, {}).items()
            }
            parts["architecture"] = hash_json(self.architecture.identity())
            self._hashes[key] = hash_parts(parts)
        return self._hashes[key]

    def has(self, role: Role) -> bool:
        """Whether it holds this network."""
        return role in self.weights

    def generator(self) -> nn.Module:
        """Return the generator in evaluation mode, a new module every time.

        Raises:
            CheckpointError: If it holds no generator.
        """
        return self.network("generator")

    def discriminator(self) -> nn.Module:
        """Return the discriminator in evaluation mode, a new module every time.

        Raises:
            CheckpointError: If it holds no discriminator.
        """
        return self.network("discriminator")

    def network(self, role: Role) -> nn.Module:
        """Return one of the two networks in evaluation mode, a new module every time.

        Raises:
            CheckpointError: If it does not hold this one.
        """
        if role not in self.weights:
            msg = f"Checkpoint '{self.name}' holds no {role}. Use one that has it."
            raise CheckpointError(msg)
        network = build(partial(self.architecture.network, role))
        _load(network, self.weights[role], f"Checkpoint '{self.name}', {role}")
        return network.eval()

    def latents(self, n: int, seed: int) -> Tensor:
        """Draw latent vectors of shape (n, Z) from the prior it was trained with.

        Vector i depends on the seed and on i alone, never on n: seed and index name a sample for good.

        Raises:
            ConfigError: If the seed is negative.
        """
        source = torch_generator(seed)
        # torch makes normal numbers in groups of 16 and draws the last group anew where it is not full.
        shape = (-(-n // 16) * 16, self.architecture.z_size)
        if self.metadata.z_prior == "uniform":
            return torch.rand(shape, generator=source)[:n] * 2 - 1
        return torch.randn(shape, generator=source)[:n]

    def sample(self, n: int, seed: int, labels: Tensor | None = None) -> Tensor:
        """Draw ``n`` samples on the CPU; ``save_samples`` writes them to files, ``Sampler`` has more ways.

        Args:
            n: How many.
            seed: Of the latent vectors, see ``latents``.
            labels: Class numbers (n,), for a conditional generator; None: sample i is of class i modulo the number of
                classes.

        Returns:
            Images (n, C, H, W) in float32, in ``metadata.image_range``.

        Example:
            >>> from dcgan_analysis.models.tables import dcgan32
            >>> Checkpoint.random(dcgan32(width=4), seed=0).sample(2, seed=1).shape
            torch.Size([2, 3, 32, 32])
        """
        return Sampler(self).images(self.latents(n, seed), labels)

    def save_samples(
        self, path: str | Path, n: int, seed: int = 0, *, start: int = 0, label: int | None = None
    ) -> Path:
        """Write samples as a sheet (.png), pictures (.zip or a folder) or arrays (.npz); see ``sample_files``.

        Example:
            >>> from dcgan_analysis.models.tables import dcgan32
            >>> Checkpoint.random(dcgan32(width=4), seed=0).save_samples("sheet.png", 4).name
            'sheet.png'
        """
        from dcgan_analysis.checkpoints.sample_files import save_samples

        return save_samples(self, path, n, seed, start=start, label=label)

    def directions(
        self,
        method: Literal["sefa", "pca", "boundary"] = "sefa",
        k: int = 10,
        *,
        scores: Callable[[np.ndarray], np.ndarray] | None = None,
        layer: str | None = None,
        samples: int = 4000,
        tail: float = 0.2,
        seed: int = 0,
        label: int = 0,
    ) -> Tensor:
        """Find directions in latent space along which images change.

        Args:
            method: ``sefa``, right singular vectors of the projection from z (arXiv 2007.06600); ``pca``, principal
                components of activations over samples, regressed to z (GANSpace, arXiv 2004.02546); ``boundary``,
                normals of linear SVMs between the samples of lowest and of highest scores (InterFaceGAN, arXiv
                1907.10786).
            k: How many; of boundaries there are as many as scores.
            scores: Of ``boundary``: maps images uint8 (N, C, H, W) to (N,) or (N, A), higher is more of an attribute.
            layer: Of ``pca``: whose activations; None: the projection's, after normalisation and activation.
            samples: Of ``pca`` and ``boundary``: how many are drawn.
            tail: Of ``boundary``: share of the samples at either end.
            seed: Of the samples.
            label: Class of the samples, of a conditional generator.

        Returns:
            Directions (k, Z) of length one, those that matter most first; of boundaries (A, Z), pointing to higher
            scores.

        Raises:
            AnalysisError: If there are not so many directions, no scores for ``boundary``, or too few samples at its
                ends.
            ArchitectureError: If the generator has no projection that is a linear module.
            CheckpointError: If there is no generator.
            UnknownNameError: If there is no such method, or layer.

        Example:
            >>> from dcgan_analysis.models.tables import dcgan32
            >>> checkpoint = Checkpoint.random(dcgan32(width=4), seed=0)
            >>> checkpoint.directions("sefa", 3).shape
            torch.Size([3, 256])
        """
        from dcgan_analysis.checkpoints.directions import find_directions

        return find_directions(
            self, method, k, scores=scores, layer=layer, samples=samples, tail=tail, seed=seed, label=label
        )

    def invert(
        self,
        images: np.ndarray | Tensor,
        labels: Tensor | None = None,
        *,
        seed: int = 0,
        steps: int = 200,
        candidates: int = 2048,
        device: str = "auto",
    ) -> Inversion:
        """Find latent vectors whose samples come nearest to given images, by Adam on the pixels within the prior.

        Args:
            images: Bytes, uint8 (N, C, H, W), or floats (N, C, H, W) in ``metadata.image_range``.
            labels: Class numbers (N,), for a conditional generator; None: an image gets the class of the sample
                nearest to it.
            seed: Of the samples that starting points are taken from.
            steps: Of Adam.
            candidates: Samples among which starting points are looked for, and by which an encoder is fitted that
                gives others.
            device: ``auto``, ``cpu`` or ``cuda``.

        Returns:
            ``latents`` (N, Z); ``images``, uint8 (N, C, H, W), that they give; ``errors`` (N,), root mean square
            differences of pixels in [0, 1]; ``labels`` (N,) or None. What is found for an image does not depend on the
            others.

        Raises:
            AnalysisError: If there is no image, labels do not fit, or the generator gives no gradient.
            CheckpointError: If there is no generator.
            DatasetError: If the images are neither bytes nor floats in the image range, or of another shape.

        Example:
            >>> from dcgan_analysis.models.tables import dcgan32
            >>> checkpoint = Checkpoint.random(dcgan32(width=4), seed=0)
            >>> checkpoint.invert(checkpoint.sample(2, seed=1), steps=5, candidates=32).latents.shape
            torch.Size([2, 256])
        """
        from dcgan_analysis.checkpoints.inversion import invert

        chosen = choose_device(device)
        return invert(self, images, labels=labels, seed=seed, steps=steps, candidates=candidates, device=chosen)

    def features(
        self,
        images: np.ndarray | Tensor | DatasetSplit,
        *,
        reference: DatasetSplit | None = None,
        spec: FeatureSpec | None = None,
        device: str = "auto",
    ) -> Tensor:
        """Return the discriminator's pooled features (N, D) of images; see ``features.pipeline.extract``."""
        from dcgan_analysis.features.pipeline import extract

        return extract(self, images, reference=reference, spec=spec, device=device)

    def _describe(self) -> tuple[str, dict[str, str]]:
        architecture = self.architecture
        parameters = ", ".join(f"{name} {value}" for name, value in architecture.parameters.items())
        networks: dict[str, str] = {
            role: f"{count(_parameters(self.weights[role]))} parameters" for role in ROLES if self.has(role)
        }
        return f"Checkpoint '{self.name}'", {
            "architecture": f"{architecture.name} ({parameters})" if parameters else architecture.name,
            **networks,
            "images": "x".join(map(str, architecture.image_shape)),
            "weights": self.metadata.trained,
            "sha256": short_hash(self.sha256()),
            "path": "" if self.path is None else str(self.path),
        }

    def save(self, path: Path, *, half: bool = False) -> None:
        """Write it as one safetensors file, whole or not at all.

        Args:
            path: The file to write.
            half: Whether kernels and matrices are stored in float16. Vectors (BatchNorm) are small and stay in
                float32: a variance may lie outside the range of float16.

        Raises:
            CheckpointError: If it was wrapped: a file holds weights and the name of an architecture, but no code.
        """
        if self.architecture.in_memory:
            msg = (
                f"Checkpoint '{self.name}' wraps modules in memory; a file cannot hold their code. Register classes by "
                "register_module_architecture in a plugin file, or import the weights: dcgan-analyze import."
            )
            raise CheckpointError(msg)
        tensors = {
            f"{role}.{name}": (tensor.half() if half and tensor.dim() > 1 else tensor).contiguous()
            for role, state in self.weights.items()
            for name, tensor in state.items()
        }
        header = {"dcgan_analysis": self.metadata.model_dump_json()}
        write_tensors(path, tensors, header)


def _parameters(state: Mapping[str, Tensor]) -> int:
    """Count what is learned: statistics of batch normalisation are not."""
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    return sum(tensor.numel() for name, tensor in state.items() if name.rpartition(".")[2] not in statistics)


def _hash_tensor(tensor: Tensor) -> str:
    # As float32: the same weights hash alike whether they were stored in half precision or not.
    values = tensor.detach().cpu()
    return hash_array(values.float().numpy() if values.is_floating_point() else values.numpy())


def _load(network: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    _check(network, state, what)
    network.load_state_dict(dict(state))


def _check(network: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    expected = network.state_dict()
    missing = [name for name in expected if name not in state]
    extra = [name for name in state if name not in expected]
    if missing:
        msg = f"{what}: tensor '{missing[0]}' of shape {tuple(expected[missing[0]].shape)} is missing."
        raise CheckpointError(msg)
    if extra:
        msg = f"{what}: tensor '{extra[0]}' belongs to no layer of this architecture."
        raise CheckpointError(msg)
    for name, tensor in expected.items():
        if state[name].shape != tensor.shape:
            msg = (
                f"{what}: tensor '{name}' has shape {tuple(state[name].shape)}, "
                f"the architecture expects {tuple(tensor.shape)}."
            )
            raise CheckpointError(msg)
        if tensor.is_floating_point() and not state[name].is_floating_point():
            msg = f"{what}: tensor '{name}' has type {state[name].dtype}, the architecture expects real numbers."
            raise CheckpointError(msg)


def listed_checksum(path: Path) -> str | None:
    """Return the CRC-32 that ``checksums.json`` above a checkpoint's folder records for its file, if it does.

    The shipped checkpoints are older than the checksums in headers, and have theirs there.
    """
    try:
        listed = parse_json(read_document(path.absolute().parents[1] / LISTED))
        return str(listed[path.absolute().parent.name]) if path.name == "model.safetensors" else None
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def _check_contents(path: Path, weights: Weights) -> None:
    if weights.damaged is not None:
        msg = (
            f"Checkpoint file '{path}' is damaged: tensor '{weights.damaged}' is not as it was written. Copy it again."
        )
        raise CheckpointError(msg)
    recorded = listed_checksum(path)
    if recorded is not None and f"{crc32_file(path) if weights.crc32 is None else weights.crc32:08x}" != recorded:
        place = path.absolute().parents[1] / LISTED
        msg = (
            f"Checkpoint file '{path}' is damaged: its CRC-32 is not {recorded}, as '{place}' has it. Fetch it again; "
            "if it was replaced on purpose, correct its line there."
        )
        raise CheckpointError(msg)
    if weights.not_finite is not None:
        what = f"tensor '{weights.not_finite}' holds values that are not finite"
        msg = f"Checkpoint file '{path}': {what}. Train or import again."
        raise CheckpointError(msg)
    for name, tensor in weights.tensors.items():
        if name.endswith("running_var") and bool((tensor < 0).any()):
            msg = f"Checkpoint file '{path}': tensor '{name}' holds negative variances. Train or import again."
            raise CheckpointError(msg)


def read_checkpoint(path: Path, architectures: Registry[ArchitectureEntry], *, name: str | None = None) -> Checkpoint:
    """Read a checkpoint file.

    Args:
        path: A safetensors file written by ``Checkpoint.save``.
        architectures: Where its architecture is looked up.
        name: What to call it; the file's name without suffix by default.

    Raises:
        CheckpointError: If the file is absent, no checkpoint, of a newer version, or does not fit its architecture.
    """
    metadata = read_metadata(path)
    try:
        whole = found_whole(path)
        read = read_weights(path, check=not whole[0])
    except (SafetensorError, OSError, ValueError) as error:
        msg = f"Checkpoint file '{path}' cannot be read as safetensors: {error}."
        raise CheckpointError(msg) from None
    if not whole[0]:
        _check_contents(path, read)
        whole[0] = True
    weights: dict[Role, dict[str, Tensor]] = {}
    for key, tensor in read.tensors.items():
        role, _, parameter = key.partition(".")
        if role not in ROLES:
            msg = f"Checkpoint file '{path}': tensor '{key}' belongs neither to generator nor to discriminator."
            raise CheckpointError(msg)
        weights.setdefault(role, {})[parameter] = tensor
    try:
        architecture = architectures[metadata.architecture].create(**metadata.parameters)
    except (ArchitectureError, UnknownNameError) as error:
        msg = f"Checkpoint file '{path}': {error}"
        raise CheckpointError(msg) from None
    checkpoint = Checkpoint(name or path.stem, architecture, weights, metadata, path)
    for role in weights:
        # Tables may say large networks: none takes memory before its weights have been seen to be there.
        with torch.device("meta") if architecture.layers(role) else nullcontext():
            network = build(partial(architecture.network, role))
        _check(network, weights[role], f"Checkpoint '{checkpoint.name}', {role}")
    return checkpoint
