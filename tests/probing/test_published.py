from __future__ import annotations

import pytest

from dcgan_analysis.probing.published import TABLE_1, TABLE_2, TABLE_3, PublishedRow


def test_a_number_has_the_interval_that_was_published_with_it():
    row = PublishedRow("a method", (0.5, 0.25, None), (0.125, None, None))
    first, second, third = (row.metric(column) for column in range(3))
    assert (first.value, first.low, first.high, first.interval) == (0.5, 0.375, 0.625, "as published")
    assert (second.value, second.low, second.high) == (0.25, None, None)
    assert third is None


@pytest.mark.parametrize("table", [TABLE_1, TABLE_2, TABLE_3])
def test_every_row_has_both_columns_and_a_number(table):
    for row in table:
        assert len(row.values) == 2
        assert any(value is not None for value in row.values)
        assert all(value is None or 0 < value < 1 for value in row.values)
        assert len(row.spread) in (0, 2)
