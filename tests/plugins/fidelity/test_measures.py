from __future__ import annotations

import pytest
import torch
from dcgan_analysis_plugins.fidelity.measures import (
    among,
    extrapolate,
    frechet_distance,
    kernel_distance,
    measure,
    vendi_score,
)

from dcgan_analysis.errors import AnalysisError


def normal(n, d, seed, scale=1.0, shift=0.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale + shift


@pytest.fixture(scope="module")
def real():
    """Two kinds of images, far from each other: 100 rows around (0, ...) and 100 around (20, ...)."""
    return torch.cat([normal(100, 8, 0), normal(100, 8, 1, shift=20)])


def test_distances_of_a_set_to_itself_are_those_of_equal_distributions(real):
    same = measure(real, real)

    assert same.frechet_distance == pytest.approx(0, abs=1e-9)
    assert (same.precision, same.recall, same.coverage) == (1, 1, 1)


def test_the_frechet_distance_of_known_normals_is_that_of_the_formula():
    rows = normal(400, 3, 0)
    # Whitened, so that mean and covariance are exactly 0 and 1: then the formula gives |m|^2 + sum (s - 1)^2.
    rows = rows - rows.mean(0)
    rows = rows @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(rows.T))).T
    scale, shift = torch.tensor([1.0, 2.0, 5.0]).double(), torch.tensor([3.0, 0.0, 4.0]).double()

    assert frechet_distance(rows, rows * scale + shift) == pytest.approx(25 + 0 + 1 + 16)


def test_more_features_than_rows_give_a_finite_distance():
    assert frechet_distance(normal(10, 50, 0), normal(12, 50, 1)) > 0


@pytest.fixture(scope="module")
def floor(real):
    """Other rows of the same two kinds."""
    return measure(real, torch.cat([normal(100, 8, 10), normal(100, 8, 11, shift=20)]))


def test_a_collapsed_generator_loses_recall_and_not_precision(real, floor):
    collapsed = measure(real, normal(200, 8, 2))  # one of the two kinds

    assert collapsed.precision == pytest.approx(floor.precision, abs=0.05)
    assert collapsed.recall == pytest.approx(floor.recall / 2, abs=0.05)
    assert collapsed.coverage == pytest.approx(0.5, abs=0.05)
    assert collapsed.vendi_score < floor.vendi_score


def test_noise_loses_precision_and_not_recall(real, floor):
    kinds = torch.cat([normal(50, 8, 10), normal(50, 8, 11, shift=20)])
    noisy = measure(real, torch.cat([kinds, normal(100, 8, 3, scale=8, shift=60)]))  # every second row is noise

    assert noisy.precision == pytest.approx(floor.precision / 2, abs=0.05)
    assert noisy.recall == pytest.approx(floor.recall, abs=0.1)
    assert noisy.frechet_distance > 10 * floor.frechet_distance


def test_the_kernel_distance_is_unbiased():
    values = [kernel_distance(normal(40, 4, seed), normal(40, 4, 1000 + seed)) for seed in range(60)]

    mean, error = torch.tensor(values).mean(), torch.tensor(values).std() / len(values) ** 0.5
    assert abs(mean) < 3 * error
    assert kernel_distance(normal(40, 4, 0), normal(40, 4, 1, shift=1)) > 10 * error


def test_the_frechet_distance_of_equal_distributions_extrapolates_to_zero():
    sizes = [100, 200, 400, 800]
    values = [frechet_distance(normal(size, 8, size), normal(size, 8, size + 1)) for size in sizes]

    assert values[0] > 5 * values[-1] > 0
    assert abs(extrapolate(sizes, values)) < values[-1]


def test_a_row_on_the_rim_of_a_neighbourhood_lies_in_it():
    rows = torch.tensor([[0.0], [1.0], [3.0]])

    assert among(rows, torch.tensor([[-1.0], [-1.01], [5.0], [5.01]]), k=1).tolist() == [True, False, True, False]


def test_the_vendi_score_counts_directions_with_their_weights():
    three = torch.eye(4)[[0, 0, 1, 1, 2, 2]]

    assert vendi_score(three) == pytest.approx(3)
    assert 1 < vendi_score(torch.eye(4)[[0, 0, 0, 0, 0, 1]]) < 2


def test_values_equal_those_of_torch_fidelity_on_the_same_features(real):
    pytest.importorskip("torch_fidelity")
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    generated = torch.cat([normal(120, 8, 5, scale=1.3), normal(80, 8, 6, shift=19)])
    measured = measure(real, generated)

    statistics = [fid_features_to_statistics(rows) for rows in (real, generated)]
    (fid,) = fid_statistics_to_metric(*statistics, verbose=False).values()
    kid, _ = kid_features_to_metric(real, generated, kid_subsets=1, kid_subset_size=200, verbose=False).values()
    precision, recall, _ = prc_features_to_metric(generated, real, verbose=False, save_cpu_ram=False).values()
    assert measured.frechet_distance == pytest.approx(fid, rel=1e-6)
    assert measured.kernel_distance == pytest.approx(kid, rel=1e-6)
    assert (measured.precision, measured.recall) == (
        pytest.approx(precision, abs=1e-6),
        pytest.approx(recall, abs=1e-6),
    )


def test_too_few_rows_and_values_that_are_not_finite_are_refused(real):
    with pytest.raises(AnalysisError, match="needs at least 8 generated images, got 7"):
        measure(real, real[:7])
    with pytest.raises(AnalysisError, match="Features of generated images are not finite"):
        measure(real, real * torch.nan)
