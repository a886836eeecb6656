from __future__ import annotations

from dcgan_analysis.api.result import Metric, Table
from dcgan_analysis.report import format as text


def test_a_metric_is_shown_with_its_interval():
    assert text.metric_text(Metric(value=0.736, low=0.7273, high=0.7446)) == "73.6 % [72.7, 74.5]"
    assert text.metric_text(Metric(value=0.736)) == "73.6 %"
    assert text.metric_text(Metric(value=65, low=60, high=70, unit="seconds")) == (
        "1 min 05 s [1 min 00 s, 1 min 10 s]"
    )
    assert text.metric_text(Metric(value=3.5, low=3, high=4, unit="number")) == "3.5 [3, 4]"


def test_a_second_decimal_needs_a_narrow_interval_or_a_published_one():
    assert text.metric_text(Metric(value=0.0298, low=0.028, high=0.032)) == "2.98 % [2.80, 3.20]"
    assert text.metric_text(Metric(value=0.0298, low=0.02, high=0.04)) == "3.0 % [2.0, 4.0]"
    assert text.metric_value(Metric(value=0.2218, published=0.2248)) == "22.18 %"
    assert text.metric_value(Metric(value=0.2218, published=0.225)) == "22.2 %"


def test_the_distance_to_another_figure_is_given_in_points():
    metric = Metric(value=0.736)
    assert text.difference(metric, 0.828) == "9.2 points below"
    assert text.difference(metric, 0.61) == "12.6 points above"
    assert text.difference(metric, 0.73601) == "equal"
    assert text.difference(Metric(value=90, unit="seconds"), 30) == "1 min 00 s above"
    assert text.difference(Metric(value=7, unit="number"), 9.5) == "2.5 below"


def test_a_column_of_fractions_has_one_number_of_decimals():
    table = Table(
        name="a",
        title="A",
        columns=["by", "exact", "measured", "n", "done"],
        rows=[["DCGAN", 0.2248, 0.2248, 0.5, True], ["KNN", 0.779, 0.123456, None, False]],
        percent=["exact", "measured"],
    )
    assert text.table_cells(table) == [
        ["DCGAN", "22.48 %", "22.5 %", "0.5", "yes"],
        ["KNN", "77.90 %", "12.3 %", text.ABSENT, "no"],
    ]


def test_columns_of_numbers_are_told_from_columns_of_words_and_truth_values():
    table = Table(
        name="a",
        title="A",
        columns=["word", "number", "truth", "empty"],
        rows=[["x", 1, True, None], ["y", None, False, None]],
    )
    columns = [text.is_number_column(table, position) for position in range(4)]
    assert columns == [False, True, False, False]


def test_a_table_without_rows_has_no_cells():
    assert text.table_cells(Table(name="a", title="A", columns=["x"], rows=[])) == []
