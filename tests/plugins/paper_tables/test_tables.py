from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import dcgan_analysis_plugins.paper_tables as paper_tables
import pytest
from dcgan_analysis_plugins.paper_tables import gather
from dcgan_analysis_plugins.paper_tables.gather import PaperTable, Row, make_table
from dcgan_analysis_plugins.paper_tables.published import TABLES, OwnRow, PublishedTable
from dcgan_analysis_plugins.paper_tables.render import (
    as_html,
    as_latex,
    as_markdown,
    as_table,
    as_text,
    write_table,
)

from dcgan_analysis.api.result import Metric, Result
from dcgan_analysis.data.registry import DatasetEntry
from dcgan_analysis.errors import ConfigError, UnknownNameError
from dcgan_analysis.probing.published import PublishedRow
from dcgan_analysis.runs import finished
from dcgan_analysis.runs.request import RunRequest
from dcgan_analysis.runs.run import run
from dcgan_analysis.testing import make_dataset

TOY = PublishedTable(
    title="Toys",
    dataset="toy-images",
    columns=("brightness", "draw"),
    published=(PublishedRow("theirs", (0.5, 0.25), (None, 0.01)),),
    own=(
        OwnRow("ours", "toy", ("brightness", None)),
        OwnRow("twin", "toy", (None, "draw")),
        OwnRow("absent", "not-there", ("brightness", None)),
        OwnRow("{checkpoint}", "toy", ("brightness", None), checkpoint="no-such-network"),
    ),
)


@pytest.fixture
def table(host, tmp_path, monkeypatch):
    """Make the toy table in one folder."""
    monkeypatch.setattr(gather, "TABLES", {1: TOY})

    def make(gather_only=False, **request):
        return make_table(1, tmp_path / "out", RunRequest(**request), gather_only=gather_only, host=host)

    return make


@pytest.fixture
def runs(tmp_path):
    """Names of the runs in the folder."""
    return lambda: sorted(path.parent.name for path in tmp_path.rglob("result.json"))


def own(found):
    return {row.method: row for row in found.rows if row.own}


def test_what_was_not_run_says_so_and_has_no_number(table, runs):
    found = own(table(gather_only=True))
    assert runs() == []
    assert all(metric is None for row in found.values() for metric in row.metrics)
    assert found["ours"].remark.startswith("not run: no finished run of 'toy'")
    assert found["absent"].remark == "not run: analysis 'not-there' is not installed."
    assert found["no-such-network"].remark.startswith("not run: Unknown checkpoint 'no-such-network'")


def test_rows_that_share_a_run_are_run_once_and_the_rest_goes_on(table, runs):
    found = own(table())
    assert len(runs()) == 1
    assert found["ours"].metrics[0].n == 30
    assert found["twin"].metrics[1].unit == "number"
    assert found["ours"].remark == "30 test images"
    assert found["absent"].remark.startswith("not run")


def test_a_finished_run_is_reused(table, runs):
    first = table()
    assert table() == first
    assert own(table(gather_only=True))["ours"] == own(first)["ours"]
    assert len(runs()) == 1


def test_a_run_made_by_hand_in_the_folder_is_found(table, host, tmp_path, runs):
    run("toy", out=tmp_path / "out" / "by-hand", host=host)
    assert own(table(gather_only=True))["ours"].metrics[0] is not None
    assert runs() == ["by-hand"]


@pytest.mark.parametrize("changes", [{"seed": 1}, {"limit": 9}, {"settings": {"toy": {"times": 2}}}])
def test_another_seed_limit_or_setting_is_another_run(table, runs, changes):
    table()
    assert "not run" in own(table(gather_only=True, **changes))["ours"].remark
    table(**changes)
    assert len(runs()) == 2


def test_a_limited_run_is_labelled(table):
    assert own(table(limit=9))["ours"].remark == "smoke run, 9 images a split; 9 test images"


def test_other_images_under_the_same_name_are_another_run(table, runs, host):
    table()
    del host.datasets._items["toy-images"]
    host.datasets.add("toy-images", DatasetEntry("toy-images", "", lambda *_: make_dataset(seed=5)), owner="test")
    assert "not run" in own(table(gather_only=True))["ours"].remark
    table()
    assert len(runs()) == 2


def test_a_number_of_something_else_does_not_stand_in_the_column(table, monkeypatch):
    monkeypatch.setattr(gather, "TABLES", {1: replace(TOY, says={"brightness": "400 labels per class"})})
    row = own(table())["ours"]
    assert row.metrics == (None, None)
    assert "30 test images; instead: " in row.remark


@pytest.mark.parametrize("labels", [10, 2100])
def test_the_table_of_1000_labels_has_numbers_from_1000_labels_alone(labels):
    def fitting(per_class):
        metrics = [Metric(value=0.5, description=f"learned features, {per_class} labels per class")] * 2
        return gather._fitting(TABLES[2], SimpleNamespace(limit=None, dataset=None), metrics)

    assert fitting(100)[0] == (Metric(value=0.5, description="learned features, 100 labels per class"),) * 2
    metrics, remark = fitting(labels)
    assert metrics == (None, None)
    assert f"instead: 50.0 %, learned features, {labels} labels per class" in remark


def test_a_damaged_run_is_no_finished_run_and_is_named(table, tmp_path, caplog):
    table()
    (path,) = tmp_path.rglob("result.json")
    path.write_text("{", encoding="utf-8")
    assert "not run" in own(table(gather_only=True))["ours"].remark
    assert f"'{path}' cannot be read" in caplog.text
    assert "It is not used." in caplog.text


def test_a_run_with_a_changed_file_is_left_out(table, tmp_path, caplog):
    table()
    (path,) = tmp_path.rglob("report.html")
    path.write_bytes(path.read_bytes() + b" ")
    assert "not run" in own(table(gather_only=True))["ours"].remark
    assert "file 'report.html' is damaged" in caplog.text


def test_an_absent_dataset_is_the_reason(table):
    found = own(table(dataset="nowhere"))
    assert found["ours"].remark.startswith("not run: Unknown dataset 'nowhere'")


def test_settings_of_a_foreign_analysis_are_refused(table, tmp_path):
    with pytest.raises(UnknownNameError, match="analysis in table 1 'svm-cifar'"):
        table(settings={"svm-cifar": {}})
    with pytest.raises(ConfigError, match="tables 1"):
        make_table(4, tmp_path)


@pytest.mark.parametrize("number", TABLES)
def test_published_rows_have_a_value_for_each_column(number):
    one = TABLES[number]
    for row in one.published:
        assert len(row.values) == len(one.columns)
        assert len(row.spread) in (0, len(one.columns))
        assert all(value is None or 0 < value < 1 for value in row.values)
    assert all(len(row.metrics) == len(one.columns) for row in one.own)


def test_the_papers_own_figures_are_those_of_the_protocols():
    cifar = next(row for row in TABLES[1].published if row.method == "DCGAN + L2-SVM")
    assert cifar.values == (0.828, 0.738)
    assert {row.method: row.values for row in TABLES[3].published}["DCGAN"] == (0.0298, 0.0148)
    assert 0.2248 in [row.values[0] for row in TABLES[2].published]


SHOWN = PaperTable(
    1,
    "Cats & dogs",
    ("error",),
    (
        Row("a_b", (Metric(value=0.738, low=0.734, high=0.742, interval="as published"),), "published", False, "pets"),
        Row("<ours> | 50%", (Metric(value=0.5, low=0.4, high=0.6),), "", own=True, data="pets"),
        Row("none", (None,), "not run: why", own=True, data="pets"),
    ),
    "A note.",
)


def test_every_form_shows_the_same_and_escapes_it():
    assert "73.8 % ±0.4" in as_text(SHOWN)
    assert "50.0 % [40.0, 60.0]" in as_text(SHOWN)
    assert "| **<ours> \\| 50%** | pets | 50.0 % [40.0, 60.0] |" in as_markdown(SHOWN)
    latex = as_latex(SHOWN)
    assert r"a\_b & pets & 73.8 \% $\pm$0.4 & published \\" in latex
    # LaTeX numbers tables itself.
    assert r"\caption{Cats \& dogs (Table 1 of arXiv 1511.06434). A note.}" in latex
    assert r"none & pets & -- & not run: why \\" in latex
    page = as_html(SHOWN)
    assert "&lt;ours&gt; | 50%" in page
    HTMLParser().feed(page)


def test_rows_on_other_images_name_them_and_stand_apart_in_every_form():
    rows = tuple(replace(row, data="sha_pes" if row.own else "pets") for row in SHOWN.rows)
    apart = replace(SHOWN, rows=rows, apart="Not the paper's experiment: measured on sha_pes, not on pets")
    lines = as_text(apart).splitlines()
    at = lines.index(apart.apart)
    assert lines[at - 2].startswith("a_b")
    assert lines[at + 2].startswith("<ours>")
    assert "sha_pes" in lines[at + 2]
    assert f"| *{apart.apart}* |" in as_markdown(apart)
    assert r"\multicolumn{4}{l}{Not the paper's experiment: measured on sha\_pes, not on pets} \\" in as_latex(apart)
    assert '<th colspan="4">Not the paper&#x27;s experiment: measured on sha_pes' in as_html(apart)
    shown = as_table(apart)
    assert shown.columns == ["method", "data", "error", "remark"]
    assert [row[0] for row in shown.rows][1:3] == ["", apart.apart]


def test_numbers_of_a_users_own_images_are_no_row_of_the_papers_experiment(table, host):
    shapes = DatasetEntry("shapes", "", lambda *_: make_dataset(seed=5))
    host.datasets.add("shapes", shapes, owner="test")
    made = table(dataset="shapes")
    assert made.apart == "Not the paper's experiment: measured on shapes, not on toy-images"
    assert {(row.own, row.data) for row in made.rows} == {(False, "toy-images"), (True, "shapes")}
    assert own(made)["ours"].metrics[0] is not None


def test_part_of_the_images_is_not_the_papers_experiment_and_all_of_them_are(table):
    assert table(limit=9).apart == "Not the paper's experiment: 9 images a split"
    assert table().apart == ""


def test_a_long_remark_goes_on_in_its_column_of_the_plain_text():
    long = replace(SHOWN, rows=(*SHOWN.rows, Row("last", (None,), "word " * 30 + "end", own=True)))
    lines = as_text(long).splitlines()
    at = lines[2].index("remark")
    assert max(map(len, lines)) <= at + 60
    rest = lines[next(number for number, line in enumerate(lines) if line.startswith("last")) :]
    assert " ".join(line[at:] for line in rest[:3]).split() == ["word"] * 30 + ["end"]
    assert not rest[1][:at].strip()


@pytest.fixture
def cli(cli, host):
    """The command line with the command ``table``."""
    host.register(paper_tables, "paper-tables")
    return cli


def test_all_forms_are_written(tmp_path):
    paths = write_table(SHOWN, tmp_path / "new")
    assert [path.suffix for path in paths] == [".txt", ".md", ".tex", ".html", ".json"]
    document = json.loads(paths[-1].read_text(encoding="utf-8"))
    assert document["rows"][1]["metrics"][0]["value"] == 0.5
    assert document["rows"][2]["metrics"] == [None]


def test_the_command_prints_the_table_and_writes_it(cli, host, monkeypatch, tmp_path):
    monkeypatch.setattr(gather, "TABLES", {1: TOY})
    monkeypatch.setattr(finished, "default_host", lambda hook=None: host)
    outcome = cli("table", "1", "--out", tmp_path / "t", "--limit", "6", "--set", "toy.times=3").assert_success()
    assert "Table 1: Toys" in outcome.out
    assert "Written: table-1.txt" in outcome.err
    made = Result.load(next(tmp_path.rglob("result.json")).parent)
    assert made.config["times"] == 3
    document = cli("table", "1", "--out", tmp_path / "t", "--gather-only", "--json").assert_success().json()
    assert document["title"] == "Toys"


def test_a_setting_without_an_analysis_is_refused(cli, tmp_path):
    outcome = cli("table", "1", "--out", tmp_path / "t", "--set", "times=3")
    assert outcome.exit_code == 1
    assert "names no analysis" in outcome.err
