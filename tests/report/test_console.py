from __future__ import annotations

import io
import os

from rich.console import Console

from dcgan_analysis.api.result import Metric, Table
from dcgan_analysis.report import print_result, print_table


def _printed(function, *arguments, width=100):
    stream = io.StringIO()
    function(*arguments, Console(file=stream, width=width))
    return stream.getvalue()


def test_every_metric_and_the_path_of_the_report_are_printed(make_result, tmp_path):
    text = _printed(print_result, make_result(), tmp_path)
    lines = [line.split() for line in text.splitlines()]
    assert ["accuracy", "73.6", "%", "[72.7,", "74.5]", "10,000", "82.8", "%"] in lines
    assert ["fit_seconds", "1", "min", "05", "s"] in lines
    assert text.splitlines()[-1] == str(tmp_path / "report.html")


def test_the_path_is_never_broken_over_lines(make_result, tmp_path):
    folder = tmp_path / ("long" * 30)
    assert f"{folder}{os.sep}report.html\n" in _printed(print_result, make_result(), folder)


def test_smoke_runs_and_warnings_are_printed(make_result, tmp_path):
    text = _printed(print_result, make_result(smoke=True, limit=50, warnings=["Few images."]), tmp_path)
    assert "Smoke run: the data were cut to 50 images" in text
    assert "Warning: Few images." in text


def test_square_brackets_are_not_markup(make_result, tmp_path):
    result = make_result(title="[red]x[/blue]", metrics={"accuracy": Metric(value=0.5)})
    assert "[red]x[/blue]" in _printed(print_result, result, tmp_path)


def test_a_table_is_printed_with_its_fractions_in_percent():
    table = Table(name="a", title="A", columns=["[x]", "y"], rows=[["[b]", 0.5]], percent=["y"], note="so")
    lines = [line.split() for line in _printed(print_table, table).splitlines()]
    assert ["[x]", "y"] in lines
    assert ["[b]", "50.0", "%"] in lines
    assert ["so"] in lines
