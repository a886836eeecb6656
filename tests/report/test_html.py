from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dcgan_analysis.api.result import Figure, Metric, Table
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.report import render_report, write_report
from dcgan_analysis.report.format import label, metric_interval, metric_value


class _Page(HTMLParser):
    """Collects tags with their attributes and notices tags that are left open."""

    VOID = frozenset({"meta", "img", "input"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_page_is_well_formed_and_says_its_title(make_result, run_folder):
    text = render_report(make_result(), run_folder)
    assert _Page(text).open == []
    assert "<title>Features under test: 73.6 % [72.7, 74.5]</title>" in text


def test_nothing_is_fetched_from_anywhere(make_result, run_folder):
    text = render_report(make_result(), run_folder)
    page = _Page(text)
    assert page.all("script") == [{}]
    assert not {"link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    assert [anchor["href"] for anchor in page.all("a")] == ["https://arxiv.org/abs/1511.06434"]
    assert re.findall(r"https?://[^\s<\"]+", text) == ["https://arxiv.org/abs/1511.06434"] * 2
    assert all(address.startswith("data:") for address in re.findall(r"url\(([^)]*)", text))
    assert "@import" not in text
    assert any("default-src 'none'" in meta.get("content", "") for meta in page.all("meta"))


def test_hostile_strings_are_escaped_wherever_they_come_from(hostile_result, run_folder):
    text = render_report(hostile_result, run_folder)
    page = _Page(text)
    assert page.open == []
    assert page.all("script") == [{}]
    assert len(page.all("img")) == 1
    assert not any("onerror" in attributes or "onclick" in attributes for _, attributes in page.tags)
    assert "{{ 7 * 7 }}" in text
    assert html.escape(hostile_result.title, quote=False).split("alert")[0] in text


def test_analyses_write_no_html_of_their_own():
    # Their texts reach pages through the escaping templates; the paper's tables are escaped, and tested, beside them.
    folder = Path(__file__).parents[2] / "plugins" / "dcgan_analysis_plugins"
    writers = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if re.search(r"<(?:a|b|div|h[1-6]|img|p|script|span|t[adhr][a-z]*)[ >]", path.read_text(encoding="utf-8"))
    }
    assert writers == {"paper_tables/render.py"}


def test_every_metric_is_shown_with_value_and_interval(make_result, run_folder):
    result = make_result()
    text = render_report(result, run_folder)
    for name, metric in result.metrics.items():
        assert label(name) in text
        assert metric_value(metric) in text
        assert metric_interval(metric) in text


def test_the_headline_stands_beside_its_control_and_the_published_figure(make_result, run_folder):
    text = render_report(make_result(), run_folder)
    assert [card["class"] for card in _Page(text).all("div") if "card" in card.get("class", "")] == [
        "card headline",
        "card control",
        "card published",
    ]
    assert "accuracy is 12.6 points above" in text
    assert "this run is 9.2 points below" in text


def test_a_headline_without_control_or_published_figure_stands_alone(make_result, run_folder):
    result = make_result(headline="distance", metrics={"distance": Metric(value=12.5, unit="number")})
    text = render_report(result, run_folder)
    assert text.count('<div class="card ') == 1
    assert 'class="meter"' not in text.split("<h2>")[0]


def test_only_a_smoke_run_is_labelled_so(make_result, run_folder):
    assert "Smoke run" not in render_report(make_result(), run_folder)
    text = render_report(make_result(smoke=True, limit=1500), run_folder)
    assert "Smoke run" in text
    assert "1,500 images" in text


def test_figures_are_inside_the_page_with_their_size_and_words(make_result, run_folder):
    (image,) = _Page(render_report(make_result(), run_folder)).all("img")
    assert (image["width"], image["height"]) == ("6", "4")
    assert image["alt"] == "Matrix. Who is who."


def test_a_missing_figure_is_named(make_result, run_folder):
    (run_folder / "figures" / "matrix.png").unlink()
    with pytest.raises(AnalysisError, match=r"Figure 'matrix' .* 'figures/matrix.png', .* not in"):
        render_report(make_result(), run_folder)


def test_a_figure_outside_the_run_folder_is_refused(make_result, run_folder):
    (run_folder / "far.png").symlink_to(run_folder.parent / "far.png")
    figure = Figure(name="far", file="far.png", title="Far")
    with pytest.raises(AnalysisError, match="outside the run folder"):
        render_report(make_result(figures=[figure]), run_folder)


def test_a_figure_that_is_no_picture_is_named(make_result, run_folder):
    (run_folder / "figures" / "matrix.png").write_text("no picture")
    with pytest.raises(AnalysisError, match=r"Figure 'matrix' .* not a picture"):
        render_report(make_result(), run_folder)


def test_table_headers_say_what_they_head_and_tables_have_captions(make_result, run_folder):
    page = _Page(render_report(make_result(), run_folder))
    assert all(header.get("scope") in {"col", "row"} for header in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))


def test_a_table_that_half_of_the_page_would_cut_spans_it(make_result, run_folder):
    def table(*columns):
        return Table(name=columns[0], title="T", columns=list(columns), rows=[[1] * len(columns)])

    narrow = table("class", "test images", "best", "low", "high", "paper")
    wide = table("classes", "test images", "learned features", "low", "high", "random weights")
    page = _Page(render_report(make_result(tables=[narrow, wide]), run_folder))
    found = [div["class"] for div in page.all("div") if "table" in div.get("class", "").split()]
    assert found == ["table", "table wide"]


def test_a_long_table_is_folded(make_result, run_folder):
    rows = [[position] for position in range(60)]
    table = Table(name="long", title="Long", columns=["position"], rows=rows)
    assert "<summary>60 rows" in render_report(make_result(tables=[table]), run_folder)


def test_many_metrics_are_folded_after_the_first(make_result, run_folder):
    metrics = make_result().metrics | {f"layer_{position}": Metric(value=0.5) for position in range(30)}
    text = render_report(make_result(metrics=metrics), run_folder)
    shown, folded = text.split("<summary>21 more metrics")
    assert "Layer 8" in shown
    assert "Layer 9" in folded
    assert "Layer 29" in folded


def test_the_provenance_names_checkpoint_splits_settings_stages_and_command(make_result, run_folder):
    text = render_report(make_result(), run_folder)
    for part in (
        "cd" * 32,
        "abababababab",
        "cifar10.zip, test/",
        "[0.001, 0.01]",
        "6 min 52 s",
        "7 min 57 s",
        "dcgan-analyze run svm-cifar --seed 0",
        "a processor",
    ):
        assert part in text


def test_a_result_without_optional_parts_still_makes_a_page(make_result, tmp_path):
    result = make_result(
        checkpoint=None,
        dataset=None,
        figures=[],
        tables=[],
        notes=[],
        stages=[],
        config={},
        command="",
        question="",
        reference="",
    )
    assert _Page(render_report(result, tmp_path)).open == []


def test_the_report_is_written_whole_and_alone(make_result, run_folder):
    path = write_report(make_result(), run_folder)
    assert path == run_folder / "report.html"
    assert path.read_text(encoding="utf-8") == render_report(make_result(), run_folder)
    assert sorted(item.name for item in run_folder.iterdir()) == ["figures", "report.html"]
