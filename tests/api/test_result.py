from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from dcgan_analysis.api import Figure, Metric, Needs, Result, Section, Table
from dcgan_analysis.api.result import RESULT_FILE, SCHEMA_VERSION, Gallery
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.features.extractor import FeatureSpec
from dcgan_analysis.probing import ProbeSettings


def test_the_headline_must_be_among_the_metrics(make_result):
    with pytest.raises(ValidationError, match="headline 'auc' is not among the metrics: accuracy"):
        make_result(headline="auc")


@pytest.mark.parametrize("ends", [(0.81, 0.83), (0.7, 0.79), (0.9, 0.7)])
def test_an_interval_must_enclose_its_value(ends):
    low, high = ends
    with pytest.raises(ValidationError, match=r"interval \[.*\] does not enclose the value 0\.8"):
        Metric(value=0.8, low=low, high=high)


def test_an_interval_may_end_at_its_value():
    assert Metric(value=1.0, low=0.9, high=1.0).high == 1.0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_metric_is_a_finite_number(value):
    with pytest.raises(ValidationError, match="finite number"):
        Metric(value=value)


def test_rows_are_as_long_as_there_are_columns():
    with pytest.raises(ValidationError, match="table 'sizes': a row has 1 cells, there are 2 columns"):
        Table(name="sizes", title="Sizes", columns=["split", "n"], rows=[["train", 1], ["test"]])


def test_percent_names_columns():
    with pytest.raises(ValidationError, match=r"table 'sizes': percent names no column: \['share'\]"):
        Table(name="sizes", title="Sizes", columns=["split"], rows=[], percent=["share"])


def test_cells_keep_their_types(tmp_path, make_result):
    cells = ["a", 1, 0.5, 1.0, True, None]
    table = Table(name="t", title="T", columns=list("uvwxyz"), rows=[cells])
    make_result(tables=[table]).save(tmp_path)
    row = Result.load(tmp_path).tables[0].rows[0]
    assert row == cells
    assert [type(cell) for cell in row[:5]] == [str, int, float, float, bool]


def test_unknown_fields_are_refused_when_a_result_is_made(make_result):
    with pytest.raises(ValidationError, match="Extra inputs"):
        make_result(colour="red")


def test_a_saved_result_reads_back_as_it_was(tmp_path, make_result):
    result = make_result()
    result.save(tmp_path)
    again = Result.load(tmp_path)
    assert again.folder == tmp_path
    assert again.model_copy(update={"folder": None}) == result


def test_the_document_holds_fractions_and_its_schema_version_and_no_folder(tmp_path, make_result):
    make_result(folder=tmp_path).save(tmp_path)
    document = json.loads((tmp_path / RESULT_FILE).read_text(encoding="utf-8"))
    assert document["schema_version"] == SCHEMA_VERSION
    assert document["metrics"]["accuracy"]["value"] == 0.8
    assert "folder" not in document


def test_a_folder_without_result_is_no_run(tmp_path):
    with pytest.raises(AnalysisError, match=r"is not a run folder: it holds no result\.json\."):
        Result.load(tmp_path)


def unsealed(path):
    """Return a document as a release without checksums wrote it."""
    document = json.loads(path.read_text(encoding="utf-8"))
    del document["manifest"], document["checksum"]
    return json.dumps(document, indent=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:100], r"cannot be read: .*\. Run the analysis again\."),
        (lambda text: "[]", r"has schema version None; this release reads version 1\. Run the analysis again\."),
        (
            lambda text: text.replace('"schema_version": 1', '"schema_version": 2'),
            r"version 2; .* Update dcgan-analysis",
        ),
        (lambda text: text.replace('"value": 0.8', '"value": "high"'), r"is damaged: metrics\.accuracy\.value: "),
        (lambda text: text.replace('"seed": 0,', ""), r"is damaged: seed: Field required\."),
        (lambda text: text.replace('"headline": "accuracy"', '"headline": "x"'), r"is damaged: document: .*headline"),
    ],
    ids=["truncated", "no object", "newer", "wrong type", "field missing", "no headline"],
)
def test_a_damaged_document_is_named_in_one_line(change, message, tmp_path, make_result):
    make_result().save(tmp_path)
    path = tmp_path / RESULT_FILE
    path.write_text(change(unsealed(path)), encoding="utf-8")
    with pytest.raises(AnalysisError, match=message) as caught:
        Result.load(tmp_path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["accuracy", "twin_accuracy", "test_error"])
@pytest.mark.parametrize("value", [-5, 1.01])
def test_an_accuracy_is_a_fraction(name, value, make_result):
    metrics = {"accuracy": Metric(value=0.5), name: Metric(value=value)}
    with pytest.raises(ValidationError, match=f"metric '{name}' is {value}: accuracies and errors are fractions"):
        make_result(metrics=metrics)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/dev/zero", "a/../../b", "C:\\secret"])
def test_a_result_names_only_files_in_its_folder(name, make_result):
    with pytest.raises(ValidationError, match="does not lie in the run folder"):
        make_result(files={"predictions": name})
    with pytest.raises(ValidationError, match="does not lie in the run folder"):
        Figure(name="curve", file=name, title="Curve")
    with pytest.raises(ValidationError, match="does not lie in the run folder"):
        gallery(name)


def gallery(file):
    return Gallery(
        name="some", file=file, title="Some", columns=1, classes=["a"], ids=["0"], labels=[0], predictions=[0]
    )


@pytest.mark.parametrize("named", [{"files": {"sheet": "sheet.jpg"}}, {"galleries": [gallery("sheet.jpg")]}])
def test_a_link_that_leads_out_of_the_run_folder_is_refused(named, make_result, tmp_path):
    (tmp_path / "sheet.jpg").symlink_to("/dev/zero")
    result = make_result(**named)
    (tmp_path / RESULT_FILE).write_text(result.model_dump_json(exclude={"manifest", "checksum"}))
    with pytest.raises(AnalysisError, match=r"'sheet\.jpg' is a link that leads out of the folder"):
        Result.load(tmp_path)


def test_bytes_that_are_no_text_are_named(tmp_path):
    (tmp_path / RESULT_FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AnalysisError, match="cannot be read"):
        Result.load(tmp_path)


@pytest.mark.parametrize("where", [[], ["metrics", "accuracy"], ["environment"]])
def test_a_reader_ignores_fields_it_does_not_know(where, tmp_path, make_result):
    make_result().save(tmp_path)
    path = tmp_path / RESULT_FILE
    document = json.loads(unsealed(path))
    inner = document
    for key in where:
        inner = inner[key]
    inner["added_later"] = 1
    path.write_text(json.dumps(document), encoding="utf-8")
    assert Result.load(tmp_path).metrics["accuracy"].value == 0.8


@pytest.mark.parametrize("kind", [Metric, Table, Section, Figure, Result, FeatureSpec, Needs, ProbeSettings])
def test_signatures_show_the_fields(kind):
    fields = kind.model_fields if hasattr(kind, "model_fields") else kind.__dataclass_fields__
    parameters = inspect.signature(kind).parameters
    assert list(parameters) == list(fields)
    assert {name for name, part in parameters.items() if part.default is part.empty} == {
        "Metric": {"value"},
        "Table": {"name", "title", "columns", "rows"},
        "Section": {"title"},
        "Figure": {"name", "file", "title"},
        "Result": {"title", "headline", "metrics", "seed", "environment", "stages", "started", "elapsed_seconds"},
    }.get(kind.__name__, set())


def test_a_result_shows_itself_in_a_few_lines(make_result, tmp_path):
    metrics = {"accuracy": Metric(value=0.8, low=0.7702, high=0.8301, n=1000)}
    metrics |= {f"accuracy_{n}": Metric(value=0.5) for n in range(8)}
    result = make_result(metrics=metrics, smoke=True, warnings=["few images"], folder=tmp_path / "one")
    assert repr(result) == str(result)
    assert repr(result).splitlines() == [
        "Result of svm-cifar: Accuracy",
        "  of: tiny on digits",
        "  accuracy: 80.0 % [77.0 %, 83.0 %], n 1,000",
        "  other metrics: accuracy_0, accuracy_1, accuracy_2, accuracy_3, accuracy_4, accuracy_5 and 2 more",
        "  smoke run: yes: do not quote these numbers",
        "  warnings: 1",
        f"  folder: {tmp_path / 'one'}",
    ]


def test_a_result_in_a_notebook_shows_its_report_where_that_is_there(make_result, tmp_path):
    result = make_result(folder=tmp_path)
    assert "<iframe" not in result._repr_html_()
    (tmp_path / "report.html").write_text('<p class="a">80 % "right"</p>', encoding="utf-8")
    page = result._repr_html_()
    assert page.startswith("<table>")
    assert 'srcdoc="&lt;p class=&quot;a&quot;&gt;80 % &quot;right&quot;&lt;/p&gt;"></iframe>' in page


def test_the_table_of_a_result_in_a_notebook_escapes_names(make_result):
    page = make_result(title="<script>alert(1)</script>")._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_the_published_schema_is_that_of_the_document(make_result):
    path = Path(__file__).parents[2] / "docs" / "result.schema.json"
    # To write it anew: json.dumps(Result.json_schema(), indent=2)
    schema = json.loads(path.read_text(encoding="utf-8"))

    assert schema == Result.json_schema()
    assert set(json.loads(make_result().model_dump_json())) == set(schema["properties"])
    assert {"title", "headline", "metrics", "seed"} <= set(schema["required"])
