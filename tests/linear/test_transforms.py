from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.linear import (
    ArrayRows,
    JoinedRows,
    MeanRows,
    RootRows,
    RowSource,
    ScaledRows,
    l2svm_path,
    learn_scaler,
)


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
    ScaledRows(ArrayRows(values), learn_scaler(ArrayRows(values.repeat(2, 1)), np.ones(2, bool))).read(0, 1).zero_()
    assert values.tolist() == [[1.0, -4.0]]


def test_standardised_training_rows_have_mean_0_and_variance_1(counted):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(500, 3, generator=generator) * torch.tensor([1.0, 20.0, 0.1]) + 1000
    source = counted(values, 64)
    scaled = ScaledRows(source, learn_scaler(source, np.ones(500, bool))).read(0, 500)
    torch.testing.assert_close(scaled.mean(0), torch.zeros(3), atol=5e-3, rtol=0)
    torch.testing.assert_close(scaled.std(0, correction=0), torch.ones(3), atol=5e-3, rtol=0)
    assert max(stop - start for start, stop in source.reads) <= 500


def test_the_scaler_sees_the_given_rows_only():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(40, 5, generator=generator)
    used = np.arange(40) % 3 != 0
    found = learn_scaler(ArrayRows(values), used)
    poisoned = values.clone()
    poisoned[torch.from_numpy(~used)] = 1e6
    again = learn_scaler(ArrayRows(poisoned), used)
    assert torch.equal(found.mean, again.mean)
    assert torch.equal(found.scale, again.scale)


def test_a_constant_column_is_not_blown_up():
    values = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    values[:, 1] = 2
    source = ArrayRows(values)
    scaled = ScaledRows(source, learn_scaler(source, np.ones(50, bool))).read(0, 50)
    assert scaled[:, 1].abs().max() == 0
    assert torch.isfinite(scaled).all()


def test_an_svm_on_a_transform_equals_one_on_the_array(make_features):
    features, labels = make_features(300, 40, 3)
    source = ArrayRows(features)
    scaler = learn_scaler(source, np.ones(300, bool))
    held = (features - scaler.mean.numpy()) / scaler.scale.numpy()
    streamed = l2svm_path(ScaledRows(source, scaler), labels, [1e-2])
    np.testing.assert_allclose(streamed.objective, l2svm_path(held, labels, [1e-2]).objective, rtol=1e-5)


def test_matrices_of_other_lengths_and_too_few_rows_are_refused():
    with pytest.raises(AnalysisError, match="1, 2"):
        MeanRows(rows([1.0]), rows([1.0], [2.0]))
    with pytest.raises(AnalysisError, match="learned on 1 rows"):
        learn_scaler(rows([1.0], [2.0]), np.array([True, False]))
