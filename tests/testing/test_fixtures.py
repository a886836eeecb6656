"""The kit as a plugin author meets it: pytest in a project of its own, where dcgan-analysis is only installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "sklearn", "captum", "matplotlib", "h5py", "numpy", "pydantic", "rich")


@pytest.fixture
def run_pytest(tmp_path):
    """Write one test file into an empty project and run pytest there."""

    def run(source):
        (tmp_path / "test_plugin.py").write_text(f"from __future__ import annotations\n{source}", encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
            ".",
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def test_pytest_does_not_become_slow_by_the_installation(run_pytest):
    run_pytest(f"import sys\ndef test_nothing_heavy_is_imported():\n    assert not set(sys.modules) & set({HEAVY!r})\n")


def test_an_author_tests_a_plugin_with_the_kit(run_pytest):
    run_pytest("""
import pytest
from dcgan_analysis import hookimpl
from dcgan_analysis.api import AnalysisConfig, Metric, Needs
from dcgan_analysis.errors import RegistrationError
from dcgan_analysis.testing import check_analysis


class Mean:
    name = "mean"
    summary = "Mean pixel"
    question = "How bright are images?"
    reference = "none"
    config_type = AnalysisConfig
    needs = Needs(checkpoint="any", dataset="any", splits=("test",))

    def run(self, context, config):
        metrics = {"mean": Metric(value=float(context.split("test").images.mean()) / 255)}
        return context.result(title="Mean", headline="mean", metrics=metrics)


class Plugin:
    @hookimpl
    def dcgan_register_analyses(self, register):
        register(Mean())


def test_contract(dcgan_context):
    check_analysis(Mean(), dcgan_context)


def test_registration(dcgan_plugins):
    assert dcgan_plugins.plugins == []
    dcgan_plugins.register(Plugin(), "mean-plugin")
    assert dcgan_plugins.analyses.names() == ["mean"]
    with pytest.raises(RegistrationError, match="registered twice"):
        dcgan_plugins.register(Plugin(), "another")


def test_installed_analyses(dcgan_registry):
    assert "mean" not in dcgan_registry


def test_command_line(run_cli, tmp_path):
    assert run_cli("list", "datasets", "--json").assert_success().json()["datasets"]
    refused = run_cli("show", tmp_path / "absent.h5")
    assert (refused.exit_code, refused.out) == (1, "")
    with pytest.raises(AssertionError, match="'dcgan-analyze show .*absent.h5' exited with 1: .*does not exist"):
        refused.assert_success()
""")


def test_the_tiny_checkpoint_is_small_and_always_the_same(tiny_checkpoint):
    from dcgan_analysis.checkpoints.checkpoint import Checkpoint
    from dcgan_analysis.testing import make_checkpoint

    assert tiny_checkpoint.architecture.name == "dcgan32"
    assert tiny_checkpoint.sample(2, seed=0).shape == (2, 3, 32, 32)
    assert tiny_checkpoint.sha256() == make_checkpoint().sha256()
    fresh = Checkpoint.random(tiny_checkpoint.architecture, seed=0)
    assert tiny_checkpoint.sha256("discriminator") == fresh.sha256("discriminator")
    assert tiny_checkpoint.sample(16, seed=0).std(dim=0).mean() > 100 * fresh.sample(16, seed=0).std(dim=0).mean()


def test_the_synthetic_classes_can_be_told_apart_by_their_mean_images(synthetic_dataset):
    import numpy as np

    train, test = synthetic_dataset.split("train"), synthetic_dataset.split("test")
    assert synthetic_dataset.image_shape == (3, 32, 32)
    assert np.bincount(train.labels).tolist() == [20, 20, 20]
    centred = [s.images.mean(axis=1) - s.images.mean(axis=(1, 2, 3))[:, None, None] for s in (train, test)]
    means = np.stack([centred[0][train.labels == k].mean(axis=0) for k in range(3)])
    guesses = np.tensordot(centred[1], means, axes=([1, 2], [1, 2])).argmax(axis=1)
    assert (guesses == test.labels).mean() > 0.9


def test_the_synthetic_dataset_depends_on_its_seed_only():
    from dcgan_analysis.testing import make_dataset

    hashes = [make_dataset(seed=seed).split("test").sha256 for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_the_context_computes_on_the_cpu_and_writes_to_a_temporary_folder(dcgan_context, tmp_path):
    assert dcgan_context.device.type == "cpu"
    assert dcgan_context.output_dir.is_dir()
    assert {dcgan_context.output_dir.parent, dcgan_context.cache_dir.parent} == {tmp_path}


def test_the_command_line_leaves_what_it_wrote_in_a_temporary_folder(cli, tmp_path):
    outcome = cli("run", "toy").assert_success()
    assert outcome.result.folder.is_relative_to(tmp_path / "runs")
    assert outcome.result.metrics.keys() == cli("run", "toy", "--json").result.metrics.keys()


def test_output_that_is_not_json_is_shown(cli):
    with pytest.raises(AssertionError, match=r"Standard output of 'dcgan-analyze run toy' is not JSON .*Brightness"):
        cli("run", "toy").json()


def test_a_command_that_ran_nothing_has_no_result(cli):
    with pytest.raises(AssertionError, match="'dcgan-analyze list' left no run below"):
        _ = cli("list").result
