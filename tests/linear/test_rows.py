from __future__ import annotations

import numpy as np
import pytest
import torch

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.linear.rows import ArrayRows, RowSource, as_rows, check_finite, gather, spans


def test_arrays_are_wrapped_without_a_copy():
    array = np.arange(12, dtype=np.float32).reshape(4, 3)
    rows = as_rows(array)
    assert isinstance(rows, RowSource)
    assert rows.shape == (4, 3)
    assert rows.read(1, 2).data_ptr() == array[1:].ctypes.data


def test_columns_are_a_slice():
    rows = ArrayRows(torch.arange(6.0).reshape(2, 3), columns=slice(1, 3))
    assert rows.shape == (2, 2)
    assert rows.read(0, 2).tolist() == [[1, 2], [4, 5]]


def test_a_row_source_stays_itself(counted):
    source = counted(torch.zeros(3, 2), 1)
    assert as_rows(source) is source


def test_read_only_and_foreign_arrays_are_accepted():
    array = np.arange(4, dtype=">f8").reshape(2, 2)[::-1]
    array.flags.writeable = False
    assert as_rows(array).read(0, 2).tolist() == [[2, 3], [0, 1]]


def test_other_shapes_are_refused():
    with pytest.raises(AnalysisError, match=r"3 dimensions, shape \(2, 3, 4\)"):
        as_rows(np.zeros((2, 3, 4)))


@pytest.mark.parametrize("chunk", [1, 7, 100, 5000])
def test_spans_cover_every_row_once_within_chunks(counted, chunk):
    source = counted(torch.zeros(1000, 60_000, dtype=torch.bfloat16).expand(1000, 60_000), chunk)
    pieces = list(spans(source))
    assert [start for start, _ in pieces] == [0, *(stop for _, stop in pieces[:-1])]
    assert pieces[-1][1] == 1000
    assert max(stop - start for start, stop in pieces) <= 256


def test_the_first_infinity_is_named():
    values = torch.zeros(5, 4, dtype=torch.bfloat16)
    values[3, 2] = -torch.inf
    with pytest.raises(AnalysisError, match="-inf at row 3, column 2"):
        check_finite(as_rows(values))


def test_selections_are_gathered_in_one_pass(counted):
    values = torch.arange(40.0).reshape(20, 2)
    source = counted(values, 5)
    chosen = [np.array([17, 3, 3, 0]), np.array([12])]
    got = gather(source, chosen)
    assert all(torch.equal(part, values[index]) for part, index in zip(got, chosen, strict=True))
    assert len(source.reads) == len(set(source.reads))


def test_indices_outside_the_matrix_are_refused():
    with pytest.raises(AnalysisError, match=r"rows 2 to 9 .* \[0, 5\)"):
        gather(as_rows(np.zeros((5, 2))), [np.array([9, 2])])
