from __future__ import annotations

import numpy as np
import pytest


def pooled_features(rows, columns, classes, seed=0):
    """Features like pooled LeakyReLU activations: large common mean, low-rank correlation."""
    rng = np.random.default_rng(seed)
    scale = np.arange(1, 41) ** -0.5
    labels = rng.integers(classes, size=rows)
    labels[:classes] = np.arange(classes)
    centres = 0.5 * rng.normal(size=(classes, 40)) * scale
    latent = rng.normal(size=(rows, 40)) * scale + centres[labels]
    values = latent @ rng.normal(size=(40, columns)) + 0.5 * rng.normal(size=(rows, columns)) + 2
    return np.where(values > 0, values, 0.2 * values).astype(np.float32), labels


def objective(coef, intercept, features, labels, classes, c, weight=1.0):
    """liblinear's objective, one value per class, in float64."""
    signs = np.where(np.asarray(labels)[:, None] == np.asarray(classes)[-len(coef) :], 1.0, -1.0)
    scores = np.asarray(features, np.float64) @ np.asarray(coef, np.float64).T + intercept
    loss = (np.maximum(0, 1 - signs * scores) ** 2 * np.reshape(weight, (-1, 1))).sum(0)
    return 0.5 * ((np.asarray(coef, np.float64) ** 2).sum(1) + np.asarray(intercept) ** 2) + c * loss


@pytest.fixture(scope="session")
def make_features():
    return pooled_features


@pytest.fixture(scope="session")
def liblinear_objective():
    return objective


@pytest.fixture
def counted():
    """A row source that records what is read from it."""

    class Counted:
        def __init__(self, tensor, chunk_rows):
            self._tensor, self._chunk = tensor, chunk_rows
            self.reads = []

        @property
        def shape(self):
            return tuple(self._tensor.shape)

        @property
        def dtype(self):
            return self._tensor.dtype

        @property
        def chunk_rows(self):
            return self._chunk

        def read(self, start, stop):
            self.reads.append((start, stop))
            return self._tensor[start:stop]

    return Counted
