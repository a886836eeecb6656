"""Features of image patches without a network: a dictionary learned by K-means, one layer.

Coates, Lee, Ng, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", AISTATS 2011: patches are
normalised for contrast and whitened, K-means gives the dictionary, every patch of an image is encoded by its distances
to the centroids ("triangle"), and the codes are summed over the cells of a grid.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional as F

from dcgan_analysis.core.hashing import hash_array, hash_json, hash_parts
from dcgan_analysis.core.parallel import parallel_map
from dcgan_analysis.core.progress import Progress, silent
from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

PATCHES_VERSION = 1
"""Increased when a change to this file changes the numbers."""

# Patches per step of K-means: scikit-learn chooses the first centroids among those of the first step.
_BATCH = 8192
# Rows of distances computed at once: with 1,600 centroids they stay in the processor's cache.
_ROWS = 384


@dataclass(frozen=True)
class PatchSpec:
    """How a dictionary is learned; the defaults are those of Coates, Lee and Ng.

    Attributes:
        size: Patches are ``size`` x ``size`` pixels, of all channels, and lie one pixel apart.
        centroids: K.
        patches: How many random training patches the dictionary is learned from.
        epochs: How often K-means sees each of them.
        contrast: Added to a patch's variance when it is divided by its deviation; pixels are 0 to 255.
        whitening: Added to the eigenvalues of the covariance.
        grid: Cells per side over which the codes are summed; 2: quadrants.
    """

    size: int = 6
    centroids: int = 1600
    patches: int = 400_000
    epochs: int = 10
    contrast: float = 10.0
    whitening: float = 0.1
    grid: int = 2

    def identity(self) -> dict[str, Any]:
        """Return everything the numbers depend on, as JSON values."""
        return {**asdict(self), "version": PATCHES_VERSION}

    def check(self, shape: tuple[int, int, int]) -> None:
        """Refuse images (C, H, W) that have too few patches for a grid of cells, and too few patches for K.

        Raises:
            AnalysisError: Names the value and what is allowed.
        """
        _, height, width = shape
        largest = min(height, width) - self.grid + 1
        if not 2 <= self.size <= largest:
            msg = (
                f"Patches of {self.size}x{self.size} do not fit: images of {height}x{width} and a grid of "
                f"{self.grid}x{self.grid} cells allow 2 to {max(largest, 2)} pixels. Set size accordingly."
            )
            raise AnalysisError(msg)
        if self.centroids > self.patches:
            msg = f"{self.centroids} centroids cannot be learned from {self.patches} patches; set patches higher."
            raise AnalysisError(msg)


@dataclass(frozen=True)
class PatchDictionary:
    """Contrast normalisation, whitening and centroids.

    Attributes:
        spec: How it was learned.
        mean: (D,) float32, of normalised patches; D is C x size x size.
        whitening: (D, D) float32, symmetric.
        centroids: (K, D) float32, among whitened patches.
    """

    spec: PatchSpec
    mean: NDArray[np.float32]
    whitening: NDArray[np.float32]
    centroids: NDArray[np.float32]

    @property
    def features(self) -> int:
        """Number of features of an image: K x cells."""
        return len(self.centroids) * self.spec.grid**2

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return its arrays by name."""
        return {"mean": self.mean, "whitening": self.whitening, "centroids": self.centroids}

    @classmethod
    def of(cls, spec: PatchSpec, arrays: Mapping[str, NDArray[Any]]) -> PatchDictionary:
        """Return the dictionary from its ``arrays``."""
        return cls(spec, arrays["mean"], arrays["whitening"], arrays["centroids"])

    @property
    def sha256(self) -> str:
        """Hash of everything that determines an image's features."""
        parts = {name: hash_array(array) for name, array in self.arrays().items()}
        return hash_parts({**parts, "spec": hash_json(self.spec.identity())})

    def twin(self, rng: np.random.Generator) -> PatchDictionary:
        """Return its control: the same preparation, centroids of random directions and of the same lengths."""
        directions = rng.standard_normal(self.centroids.shape).astype(np.float32)
        lengths = np.linalg.norm(self.centroids, axis=1, keepdims=True)
        return replace(self, centroids=directions / np.linalg.norm(directions, axis=1, keepdims=True) * lengths)

    def whiten(self, patches: Tensor) -> Tensor:
        """Normalise and whiten patches (P, D), float32 on the scale of bytes."""
        normal = normalise_contrast(patches, self.spec.contrast)
        return (normal - torch.from_numpy(self.mean)) @ torch.from_numpy(self.whitening)

    def encode(self, images: NDArray[np.uint8]) -> Tensor:
        """Return features of images.

        A patch x becomes ``max(0, mean_k |x - c_k| - |x - c_k|)``: about half of its codes are 0.

        Args:
            images: uint8 (N, C, H, W).

        Returns:
            float32 (N, K x grid x grid), cells of one centroid side by side.
        """
        spec = self.spec
        batch = torch.from_numpy(np.require(images, np.uint8, ["C", "W"])).float()
        cells = _cells(batch.shape[2] - spec.size + 1, batch.shape[3] - spec.size + 1, spec.grid)
        centroids = torch.from_numpy(self.centroids)
        # |x - c|^2 = |x|^2 - 2 x.c + |c|^2 as one product: patches get the columns |x|^2 and 1.
        ones = torch.ones(1, len(centroids))
        factor = torch.cat([-2 * centroids.T, ones, centroids.square().sum(1)[None]]).contiguous()

        def pool(image: Tensor) -> Tensor:
            buffer, summed = torch.empty(_ROWS, len(centroids)), torch.zeros(len(cells), len(centroids))
            patches = self.whiten(F.unfold(image[None], spec.size)[0].T)
            rows = torch.cat([patches, patches.square().sum(1, keepdim=True), torch.ones(len(patches), 1)], dim=1)
            for start in range(0, len(rows), _ROWS):
                block = rows[start : start + _ROWS]
                distances = torch.mm(block, factor, out=buffer[: len(block)]).clamp_min_(0).sqrt_()
                codes = torch.sub(distances.mean(1, keepdim=True), distances, out=distances).clamp_min_(0)
                summed.addmm_(cells[:, start : start + _ROWS], codes)
            return summed

        return torch.stack(list(parallel_map(pool, batch))).transpose(1, 2).flatten(1)


def _cells(height: int, width: int, grid: int) -> Tensor:
    """Return which positions each cell of a grid sums: (grid x grid, height x width) of 0 and 1.

    Where the positions cannot be divided evenly the first cells are the larger ones, as in the authors' quadrants.
    """

    def share(size: int) -> Tensor:
        return F.one_hot(torch.arange(size) * grid // size, grid).T.float()

    return torch.kron(share(height), share(width))


def normalise_contrast(patches: Tensor, added: float) -> Tensor:
    """Subtract each patch's mean and divide by ``sqrt(variance + added)``; (P, D), variance with D - 1.

    Example:
        >>> normalise_contrast(torch.tensor([[0.0, 2.0]]), 2.0)
        tensor([[-0.5000,  0.5000]])
    """
    variance, mean = torch.var_mean(patches, dim=1, keepdim=True)
    return (patches - mean) / (variance + added).sqrt()


def sample_patches(images: NDArray[np.uint8], size: int, count: int, rng: np.random.Generator) -> Tensor:
    """Cut patches out of images (N, C, H, W) at random places: float32 (count, C x size x size), values 0 to 255."""
    n, channels, height, width = images.shape
    image, top = rng.integers(n, size=count), rng.integers(height - size + 1, size=count)
    left = rng.integers(width - size + 1, size=count)
    windows = np.lib.stride_tricks.sliding_window_view(images, (size, size), axis=(2, 3))
    patches = torch.empty(count, channels * size * size)
    for start in range(0, count, _BATCH):
        part = slice(start, start + _BATCH)
        patches[part] = torch.from_numpy(windows[image[part], :, top[part], left[part]]).flatten(1)
    return patches


def learn_dictionary(
    images: NDArray[np.uint8], spec: PatchSpec, rng: np.random.Generator, progress: Progress = silent
) -> PatchDictionary:
    """Learn a dictionary from images.

    Args:
        images: uint8 (N, C, H, W).
        spec: What to learn.
        rng: For the patches and for K-means.
        progress: Called with the steps of K-means.

    Raises:
        AnalysisError: If images are too small, or patches too few.

    K-means is scikit-learn's ``MiniBatchKMeans``, fed ``spec.epochs`` times with all patches in random order.
    """
    from sklearn.cluster import MiniBatchKMeans

    _, channels, height, width = images.shape
    spec.check((channels, height, width))
    normal = normalise_contrast(sample_patches(images, spec.size, spec.patches, rng), spec.contrast)
    mean = normal.mean(0)
    centred = normal.sub_(mean)
    values, vectors = torch.linalg.eigh((centred.T @ centred).double() / (len(centred) - 1))
    # Rounding may leave an eigenvalue slightly below 0: the mean of each patch is gone.
    matrix = ((vectors * (values.clamp_min(0) + spec.whitening).rsqrt()) @ vectors.T).float()
    whitened = (centred @ matrix).numpy()
    kmeans = MiniBatchKMeans(spec.centroids, n_init=1, random_state=int(rng.integers(2**31)))
    size = min(max(_BATCH, 2 * spec.centroids), len(whitened))
    count = len(whitened) // size
    for epoch in range(spec.epochs):
        order = rng.permutation(len(whitened))
        for step in range(count):
            kmeans.partial_fit(whitened[order[step * size : (step + 1) * size]])
            progress("K-means (steps)", epoch * count + step + 1, spec.epochs * count)
    centroids = np.ascontiguousarray(kmeans.cluster_centers_, dtype=np.float32)
    return PatchDictionary(spec, mean.numpy(), matrix.numpy(), centroids)
