from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dcgan_analysis_plugins.mnist_nn.analysis import MnistNN, MnistNNConfig, counts_up_to

from dcgan_analysis.checkpoints.checkpoint import Checkpoint
from dcgan_analysis.checkpoints.sampling import with_sample_statistics
from dcgan_analysis.data.dataset import Dataset, DatasetSplit
from dcgan_analysis.errors import AnalysisError, CheckpointError, DatasetError, UnknownNameError
from dcgan_analysis.models.tables import dcgan28_conditional, mlp_conditional
from dcgan_analysis.testing import check_analysis

BARE = {"samples": 600, "cas_samples": 0, "coverage_images": 0}


def make_split(n, seed, size=8):
    """Make images of three classes, by the third of the image that is bright."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n, dtype=np.int64) % 3
    pixels = rng.integers(0, 60, (n, 1, size, size))
    for number in range(3):
        pixels[labels == number, :, 2 * number : 2 * number + 3] += 150
    return DatasetSplit(pixels.astype(np.uint8), labels, [f"{i}" for i in range(n)], classes=["top", "middle", "low"])


@pytest.fixture
def thirds():
    return Dataset.from_splits("thirds", {"train": make_split(120, 1), "test": make_split(30, 2)})


def random_generator(seed):
    architecture = dcgan28_conditional(width=2, hidden=4, image_size=8, z_size=3, classes=3)
    return with_sample_statistics(Checkpoint.random(architecture, seed, "tiny"), batches=1)


@pytest.fixture
def conditional():
    return random_generator(5)


def test_mnist_nn_keeps_the_contract(dcgan_context, thirds, conditional):
    context = replace(dcgan_context, _checkpoint=conditional, _dataset=thirds)
    result = check_analysis(MnistNN(), context, {"samples": 1500, "cas_samples": 60, "coverage_images": 60})
    assert list(result.metrics) == [
        "test_error",
        "error_1000",
        "error_1500",
        "real_error",
        "cas_accuracy",
        "real_cas_accuracy",
        "coverage",
        "real_coverage",
    ]
    assert [figure.name for figure in result.figures] == ["curve", "pairs", "classes", "confusion", "samples"]
    assert result.metrics["test_error"] == result.metrics["error_1500"]


def test_real_images_need_no_checkpoint_and_leave_the_last_ones_out(run, thirds, saved):
    result = run(MnistNN(), thirds, checkpoint=None, **(BARE | {"source": "real", "cas_samples": 100}))
    assert result.checkpoint is None
    assert result.dataset.splits["train"].n == 100  # a sixth of 120 is less than 10,000
    assert list(result.metrics) == ["test_error", "error_100", "cas_accuracy", "real_cas_accuracy"]
    assert result.metrics["test_error"].value == 0
    # Each test image's nearest by hand, among the images that take part.
    train, test = thirds.split("train").images[:100].astype(int), thirds.split("test").images.astype(int)
    distances = ((test[:, None] - train) ** 2).sum((2, 3, 4))
    np.testing.assert_array_equal(saved(result, "neighbours")["squared_distance"][-1], distances.min(1))
    assert result.metrics["cas_accuracy"].value == result.metrics["real_cas_accuracy"].value


def test_deformed_images_are_of_their_class(run, thirds):
    result = run(MnistNN(), thirds, checkpoint=None, **(BARE | {"source": "elastic", "alpha": 3.0}))
    assert result.metrics["test_error"].value < 0.1
    # The control: what real images in their place come to.
    assert result.metrics["real_error"].value == 0
    assert result.metrics["real_error"].description.endswith("nearest of 100 real training images")
    assert result.metrics["test_error"].published is None


def test_random_generators_are_no_better_than_guessing(run, thirds):
    # One alone may happen to match its classes with those of the images.
    checkpoints = [random_generator(seed) for seed in range(8)]
    errors = [run(MnistNN(), thirds, checkpoint=one, **BARE).metrics["test_error"].value for one in checkpoints]
    assert np.mean(errors) == pytest.approx(2 / 3, abs=0.2)


def test_shuffled_test_labels_change_the_error_and_not_the_neighbours(run, thirds, shuffle_test_labels, saved):
    settings = BARE | {"source": "real"}
    results = [run(MnistNN(), one, checkpoint=None, **settings) for one in (thirds, shuffle_test_labels(thirds))]
    first, second = (saved(result, "neighbours")["nearest"] for result in results)
    np.testing.assert_array_equal(first, second)
    assert results[1].metrics["test_error"].value > 0.3


def test_a_longer_run_goes_on_from_a_shorter_one_and_says_so(run, thirds, conditional):
    run(MnistNN(), thirds, checkpoint=conditional, **BARE)
    # 600 was a count of the first run; it is none of the second.
    longer = run(MnistNN(), thirds, checkpoint=conditional, **(BARE | {"samples": 1200}))
    assert any("first 600 samples had been compared by an earlier run" in note for note in longer.notes)
    assert list(longer.metrics) == ["test_error", "error_1000", "error_1200", "real_error"]


@pytest.mark.slow
def test_published_figures_stand_beside_whole_runs_on_mnist_with_as_many_samples(run, thirds, conditional):
    mnist = Dataset.from_splits("mnist", {name: thirds.split(name) for name in thirds.split_names})
    settings = BARE | {"samples": 50_000}
    whole = run(MnistNN(), mnist, checkpoint=conditional, **settings)
    assert whole.metrics["test_error"].published == whole.metrics["error_50000"].published == 0.0298
    assert whole.metrics["error_1000"].published is None
    assert whole.tables[0].name == "table-3"
    for other in (
        run(MnistNN(), thirds, checkpoint=conditional, **BARE),
        run(MnistNN(), mnist, checkpoint=conditional, limit=20, **BARE),
    ):
        assert other.metrics["test_error"].published is None
        assert "table-3" not in [table.name for table in other.tables]


@pytest.mark.parametrize(("samples", "counts"), [(1, (1,)), (1000, (1000,)), (50_001, (1000, 10_000, 50_000, 50_001))])
def test_the_error_is_measured_at_round_counts_and_at_the_end(samples, counts):
    assert counts_up_to(samples) == counts


@pytest.mark.parametrize(("source", "checkpoint"), [("dcgan", "mnist-conditional"), ("mlp", "mnist-conditional-mlp")])
def test_each_generator_has_its_checkpoint(source, checkpoint):
    needs = MnistNN().requires(MnistNNConfig(source=source))
    assert (needs.checkpoint, needs.generator) == (checkpoint, True)


def test_an_unconditional_generator_is_refused(run, thirds, network):
    with pytest.raises(AnalysisError, match="needs networks conditioned on classes; those of checkpoint 'tiny' are"):
        run(MnistNN(), thirds, checkpoint=network, **BARE)


def test_images_of_another_shape_are_refused_or_resized(run, thirds, conditional):
    fresh = Checkpoint.random(mlp_conditional(width=4, image_size=12, z_size=3, classes=3), 0, "large")
    other = with_sample_statistics(fresh, batches=1)
    with pytest.raises(DatasetError, match=r"'thirds' has images of 1x8x8, checkpoint 'large' takes 1x12x12"):
        run(MnistNN(), thirds, checkpoint=other, **BARE)
    assert run(MnistNN(), thirds, checkpoint=other, fit="resize", **BARE).metrics["test_error"].n == 30


def test_a_checkpoint_without_generator_is_refused(run, thirds, conditional):
    lonely = replace(conditional, weights={"discriminator": conditional.weights["discriminator"]})
    with pytest.raises((AnalysisError, CheckpointError), match="needs a generator"):
        run(MnistNN(), thirds, checkpoint=lonely, **BARE)


def test_an_unknown_checkpoint_is_refused_before_anything_is_read(run, thirds):
    with pytest.raises(UnknownNameError, match="no-such-network"):
        run(MnistNN(), thirds, checkpoint="no-such-network", **BARE)


def test_more_samples_than_real_images_are_said_to_be_fewer(run, thirds):
    result = run(MnistNN(), thirds, checkpoint=None, **(BARE | {"source": "real", "samples": 101}))
    assert result.warnings == ["101 samples were asked for; there are 100 images."]
