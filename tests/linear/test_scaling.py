from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.linear import ArrayRows, RowSource, l2svm_path
from dcgan_analysis.linear.rows import gather
from dcgan_analysis.linear.scaling import JoinedRows, MeanRows, RootRows, learn_standardisation


class Blocks(ArrayRows):
    """An array that is read three rows at a time."""

    chunk_rows = 3


@pytest.fixture
def features():
    return torch.randn(10, 4, generator=torch.Generator().manual_seed(0)) * 3 + torch.tensor([0.0, 1e3, -5.0, 7.0])


def test_mean_and_deviation_are_those_of_numpy_however_rows_are_read(features):
    for rows in (features, Blocks(features)):
        scaling = learn_standardisation(rows)
        np.testing.assert_allclose(scaling.mean, features.numpy().mean(0, dtype=np.float64), rtol=1e-6)
        np.testing.assert_allclose(scaling.deviation, features.numpy().std(0, dtype=np.float64), rtol=1e-5)


def test_training_rows_get_mean_0_and_deviation_1_and_others_are_moved_alike(features):
    scaling = learn_standardisation(Blocks(features))
    scaled = scaling(Blocks(features), memory=0)
    assert isinstance(scaled, RowSource)
    assert (scaled.shape, scaled.dtype, scaled.chunk_rows) == ((10, 4), torch.float32, 3)
    block = scaled.read(0, 10)
    torch.testing.assert_close(block.mean(0), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(block.std(0, correction=0), torch.ones(4), atol=1e-4, rtol=0)
    other = scaling(features[:1] + scaling.deviation).read(0, 1)
    torch.testing.assert_close(other, block[:1] + 1, atol=1e-3, rtol=0)


def test_rows_are_the_same_whether_they_are_kept_or_standardised_when_read():
    features = torch.randn(100, 3, generator=torch.Generator().manual_seed(1))
    scaling = learn_standardisation(features)
    kept, streamed = scaling(features, memory=1200), scaling(features, memory=1199)
    assert isinstance(kept, ArrayRows)
    assert not isinstance(streamed, ArrayRows)
    torch.testing.assert_close(kept.read(10, 90), streamed.read(10, 90), rtol=0, atol=0)


def test_the_source_is_left_as_it_was(features):
    before = features.clone()
    learn_standardisation(features)(features).read(2, 5)
    torch.testing.assert_close(features, before, rtol=0, atol=0)


def test_a_constant_column_becomes_0_and_what_is_added_damps_one_that_hardly_varies():
    features = torch.tensor([[5.0, 0.01], [5.0, -0.01]])
    assert learn_standardisation(features)(features).read(0, 2)[:, 0].tolist() == [0, 0]
    assert learn_standardisation(features, 1.0)(features).read(0, 2)[:, 1].abs().max() < 0.011


def test_half_precision_is_standardised_in_float32(features):
    scaled = learn_standardisation(features.half())(features.half(), memory=0)
    assert scaled.read(0, 3).dtype == torch.float32


def test_the_svm_and_gather_read_standardised_rows(features):
    labels = np.arange(10) % 2
    scaled = learn_standardisation(features)(Blocks(features), memory=0)
    plain = scaled.read(0, 10)
    torch.testing.assert_close(gather(scaled, [np.array([7, 1])])[0], plain[[7, 1]])
    paths = [l2svm_path(rows, labels, [0.1], solver="primal") for rows in (scaled, plain)]
    np.testing.assert_allclose(paths[0].coef, paths[1].coef, rtol=1e-3, atol=1e-4)


def test_another_number_of_columns_is_refused(features):
    with pytest.raises(AnalysisError, match=r"Features have 3 columns, the standardisation was learned on 4\."):
        learn_standardisation(features)(features[:, :3])


def test_rows_that_do_not_take_part_are_not_looked_at():
    values = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    used = np.arange(40) % 3 != 0
    found = learn_standardisation(Blocks(values), used=used)
    poisoned = values.clone()
    poisoned[torch.from_numpy(~used)] = 1e6
    again = learn_standardisation(Blocks(poisoned), used=used)
    assert torch.equal(found.mean, again.mean)
    assert torch.equal(found.deviation, again.deviation)
    torch.testing.assert_close(found.mean, values[torch.from_numpy(used)].mean(0))


def test_a_column_that_hardly_varies_is_not_blown_up():
    values = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    values[:, 1] = 2 + 1e-7 * values[:, 0]
    assert learn_standardisation(values)(values).read(0, 50)[:, 1].abs().max() < 1e-3


def test_standardisation_on_one_row_is_refused():
    with pytest.raises(AnalysisError, match="learned on 1 rows"):
        learn_standardisation(torch.tensor([[1.0], [2.0]]), used=np.array([True, False]))


def rows(*values):
    return ArrayRows(torch.tensor(values))


def test_transforms_are_row_sources_that_read_what_they_say():
    a, b = rows([1.0, -4.0], [9.0, 0.0]), rows([3.0, 0.0], [1.0, 2.0])
    for source, expected in (
        (JoinedRows(a, b), [[9.0, 0.0, 1.0, 2.0]]),
        (MeanRows(a, b), [[5.0, 1.0]]),
        (RootRows(a), [[3.0, 0.0]]),
    ):
        assert isinstance(source, RowSource)
        assert source.read(1, 2).tolist() == expected
        assert source.shape == (2, len(expected[0]))
    assert RootRows(a).read(0, 1).tolist() == [[1.0, -2.0]]


def test_nothing_is_written_into_the_source():
    values = torch.tensor([[1.0, -4.0]])
    for source in (RootRows, MeanRows, JoinedRows):
        source(ArrayRows(values)).read(0, 1).zero_()
    assert values.tolist() == [[1.0, -4.0]]


def test_matrices_of_other_lengths_and_too_few_rows_are_refused():
    with pytest.raises(AnalysisError, match="1, 2"):
        MeanRows(rows([1.0]), rows([1.0], [2.0]))
