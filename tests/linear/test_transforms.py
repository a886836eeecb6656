from __future__ import annotations

import pytest
import torch

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.linear import ArrayRows, JoinedRows, MeanRows, RootRows, RowSource


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
