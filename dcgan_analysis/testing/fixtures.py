"""The pytest fixtures that an installation of dcgan-analysis brings along (entry point ``pytest11``).

Every pytest run of the environment imports this module: whatever is heavy is imported inside the fixtures. None of
them acts unless a test asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dcgan_analysis.api import Analysis, RunContext
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.core.registry import Registry
    from dcgan_analysis.data.dataset import Dataset
    from dcgan_analysis.features.store import FeatureStore
    from dcgan_analysis.host.host import PluginHost
    from dcgan_analysis.testing.cli import CommandOutcome


@pytest.fixture
def tiny_checkpoint() -> Checkpoint:
    """Return a ``dcgan32`` of width 8 with random weights, always the same ones: generator and discriminator."""
    from dcgan_analysis.conformance.tiny import make_checkpoint

    return make_checkpoint()


@pytest.fixture
def tiny_conditional_checkpoint() -> Checkpoint:
    """Return a ``dcgan28-conditional`` of width 4 with random weights: 28x28 gray, ten classes."""
    from dcgan_analysis.conformance.tiny import make_checkpoint

    return make_checkpoint(conditional=True)


@pytest.fixture
def synthetic_dataset() -> Dataset:
    """Return 60 training and 30 test images, 32x32 RGB, of three classes that are easy to tell apart."""
    from dcgan_analysis.conformance.images import make_dataset

    return make_dataset()


@pytest.fixture
def tiny_store(tiny_checkpoint: Checkpoint, synthetic_dataset: Dataset, tmp_path: Path) -> FeatureStore:
    """Return a feature store on disk: the training images' features under the tiny checkpoint, 60 x 1792 in float32."""
    import torch

    from dcgan_analysis.features.extractor import FeatureSpec
    from dcgan_analysis.features.pipeline import Extraction

    spec = FeatureSpec(batchnorm="running", precision="float32", dtype="float32")
    device = torch.device("cpu")
    extraction = Extraction(tiny_checkpoint, spec, None, device, folder=tmp_path / "cache")
    return extraction.store("train", synthetic_dataset.split("train"))


@pytest.fixture
def dcgan_context(tiny_checkpoint: Checkpoint, synthetic_dataset: Dataset, tmp_path: Path) -> RunContext:
    """Return a run context: the tiny checkpoint and dataset on the CPU, run folder and cache in ``tmp_path``."""
    from dcgan_analysis.conformance.tiny import make_context

    return make_context(tmp_path, checkpoint=tiny_checkpoint, dataset=synthetic_dataset)


@pytest.fixture
def dcgan_plugins() -> PluginHost:
    """Return a plugin host without any plugin, for ``dcgan_plugins.register(my_plugin, "mine")``."""
    from dcgan_analysis.host.host import PluginHost

    return PluginHost()


@pytest.fixture
def dcgan_registry() -> Registry[Analysis]:
    """Return the analyses of all installed plugins by name, freshly loaded."""
    from dcgan_analysis.host.host import load_plugins

    return load_plugins().analyses


@pytest.fixture
def run_cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CommandOutcome]:
    """Return a function that calls ``dcgan-analyze`` in this process: ``run_cli("run", "hello").assert_success()``.

    For the rest of the test ``tmp_path`` is the working folder and holds the cache.
    """
    from dcgan_analysis.testing.cli import invoke

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DCGAN_ANALYSIS_CACHE", str(tmp_path / "cache"))
    # Tables are as wide wherever the tests run.
    monkeypatch.setenv("COLUMNS", "160")
    return invoke
