from __future__ import annotations

import csv
import io
import json

import pytest

from dcgan_analysis.api.result import Metric
from dcgan_analysis.errors import AnalysisError, ConfigError
from dcgan_analysis.report import export


def test_rows_hold_every_metric_with_fractions_as_they_are(make_result):
    one, other = make_result(), make_result(metrics={"accuracy": Metric(value=0.5)}, seed=3)
    written = list(csv.DictReader(io.StringIO(export([one, other], "csv", ["a", "b"]))))
    lines = [json.loads(line) for line in export([one, other], "jsonl", ["a", "b"]).splitlines()]

    assert [(row["run"], row["metric"]) for row in written] == [
        *(("a", name) for name in one.metrics),
        ("b", "accuracy"),
    ]
    assert float(written[0]["value"]) == lines[0]["value"] == one.metrics["accuracy"].value
    assert (lines[-1]["seed"], lines[-1]["low"], lines[-1]["checkpoint"]) == (3, None, one.checkpoint.name)


def test_tables_for_people_have_a_column_for_each_run_and_for_what_is_published(make_result):
    one = make_result(metrics={"accuracy": Metric(value=0.736, low=0.727, high=0.745, published=0.828)})
    other = make_result(metrics={"accuracy": Metric(value=0.5), "a_b": Metric(value=3, unit="number")})

    assert export([one, other], "markdown", ["wide|r", "narrow"]).splitlines() == [
        r"|  | wide\|r | narrow | published |",
        "| --- | ---: | ---: | ---: |",
        "| Accuracy | 73.6 % [72.7, 74.5] | 50.0 % | 82.8 % |",
        "| A b |  | 3 |  |",
    ]


def test_latex_escapes_what_it_would_take_for_commands(make_result):
    text = export([make_result(metrics={"accuracy": Metric(value=0.5)})], "latex", [r"C_1 & {x}\$ 5 % ~#^"])

    assert r"C\_1 \& \{x\}\textbackslash{}\$ 5 \% \textasciitilde{}\#\textasciicircum{}" in text
    assert r"Accuracy & 50.0 \% \\" in text
    assert text.count(r"\begin{tabular}{lr}") == text.count(r"\end{tabular}") == 1


def test_a_model_index_groups_results_by_checkpoint(make_result):
    document = json.loads(export([make_result(), make_result()], "model-index"))

    (model,) = document["model-index"]
    assert len(model["results"]) == 2
    assert {metric["type"] for metric in model["results"][0]["metrics"]} == set(make_result().metrics)


@pytest.mark.parametrize("format_", ["csv", "jsonl", "latex", "markdown", "model-index"])
def test_smoke_runs_are_labelled_in_every_format(make_result, format_):
    assert "(smoke run)" in export([make_result(smoke=True, limit=10)], format_, ["a"])
    assert "smoke run" not in export([make_result()], format_, ["a"])


def test_unknown_formats_and_no_runs_are_refused(make_result):
    with pytest.raises(ConfigError, match="Unknown format 'tex'"):
        export([make_result()], "tex")
    with pytest.raises(ConfigError, match="at least one run"):
        export([], "csv")


def test_a_frame_has_a_row_for_each_metric_and_its_absence_is_told(make_result, monkeypatch):
    result = make_result()
    try:
        frame = result.to_frame()
    except AnalysisError as error:
        assert "pip install pandas" in str(error)  # noqa: PT017 - pandas is not a dependency
    else:
        assert frame.loc["accuracy", "value"] == result.metrics["accuracy"].value
        assert frame.index.name == "metric"


def test_the_command_prints_or_writes(run_cli, make_result, tmp_path):
    make_result().save(tmp_path)

    printed = run_cli("export", str(tmp_path), "--format", "markdown").assert_success().out
    written = run_cli("export", str(tmp_path), "--format", "markdown", "--out", "table.md").assert_success()
    assert (written.folder / "table.md").read_text() == printed
    assert (
        "does not exist" in run_cli("export", "nowhere").err or "not a run folder" in run_cli("export", "nowhere").err
    )
