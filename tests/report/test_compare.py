from __future__ import annotations

from pathlib import Path

import pytest

import dcgan_analysis as da
from dcgan_analysis.api.result import Metric
from dcgan_analysis.errors import ConfigError
from dcgan_analysis.report import comparison_table
from dcgan_analysis.report.compare import run_names


def test_differing_settings_are_named_and_equal_ones_are_not(make_result):
    one = make_result()
    other = make_result(config={"C": [0.001, 0.01], "draws": 3, "twin": False}, seed=1)
    table = comparison_table([one, other])
    rows = {row[0]: row[1:] for row in table.rows}
    assert table.columns == ["", "run 1", "run 2"]
    assert rows["config.draws"] == ["10", "3"]
    assert rows["config.twin"] == [None, "false"]
    assert rows["seed"] == ["0", "1"]
    assert "config.C" not in rows
    assert "checkpoint" not in rows
    assert table.note == "Differences between the runs: config.draws, seed, config.twin."


def test_metrics_of_all_runs_come_first(make_result):
    one = make_result()
    other = make_result(metrics={"accuracy": Metric(value=0.5), "extra": Metric(value=0.25)})
    rows = comparison_table([one, other], ["a", "b"]).rows
    assert rows == [
        ["accuracy", "73.6 % [72.7, 74.5]", "50.0 %"],
        ["twin_accuracy", "61.0 % [60.0, 62.0]", None],
        ["fit_seconds", "1 min 05 s", None],
        ["extra", None, "25.0 %"],
    ]


def test_another_content_under_the_same_name_is_a_difference(make_result):
    one = make_result()
    split = one.dataset.splits["test"].model_copy(update={"sha256": "00" * 32})
    other = make_result(
        checkpoint=one.checkpoint.model_copy(update={"sha256": "11" * 32}),
        dataset=one.dataset.model_copy(update={"splits": {"test": split}}),
    )
    differences = [row[0] for row in comparison_table([one, other]).rows[3:]]
    assert differences == ["checkpoint", "dataset.test"]


def test_equal_runs_are_said_to_be_equal(make_result):
    assert "are the same" in comparison_table([make_result(), make_result()]).note


def test_a_comparison_needs_two_runs_with_distinct_names(make_result):
    with pytest.raises(ConfigError, match="two runs or more, got 1"):
        comparison_table([make_result()])
    with pytest.raises(ConfigError, match="distinct names"):
        comparison_table([make_result(), make_result()], ["a", "a"])


def test_runs_are_called_by_as_much_of_their_folders_as_tells_them_apart():
    assert run_names([Path("runs/pixels"), Path("other/svm")]) == ["pixels", "svm"]
    assert run_names([Path("a/x/run"), Path("b/x/run"), Path("b/y/run")]) == ["a/x/run", "b/x/run", "b/y/run"]
    assert run_names([Path("a"), Path("a")]) is None


def test_compare_takes_results_and_folders_and_shows_itself(make_result, tmp_path):
    folders = [tmp_path / "wide", tmp_path / "narrow"]
    for seed, folder in enumerate(folders):
        folder.mkdir()
        make_result(seed=seed).save(folder)

    comparison = da.compare(*folders)
    assert comparison.table.columns == ["", "wide", "narrow"]
    assert "seed: wide 0; narrow 1" in str(comparison)
    assert "<th>seed</th><td>wide 0; narrow 1</td>" in comparison._repr_html_()
    assert da.compare(make_result(), make_result(seed=1)).table.columns == ["", "run 1", "run 2"]
