"""The result document: everything an analysis measured and everything needed to reproduce it.

``result.json`` is this model as JSON. Fractions, never percent. The schema version grows when a field changes its
meaning or goes away; a reader must ignore fields it does not know.
"""

from __future__ import annotations

import html
import json
import os
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, ValidationError, model_validator

from dcgan_analysis.core.documents import parse_json, read_document
from dcgan_analysis.core.files import write_text
from dcgan_analysis.core.hashing import hash_file, hash_json
from dcgan_analysis.core.settings import DeferredModel
from dcgan_analysis.core.text import Described, count, duration, number, percent
from dcgan_analysis.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas

SCHEMA_VERSION: Final = 1
RESULT_FILE = "result.json"
REPORT_FILE = "report.html"

_SHOWN = 6  # metrics named at a prompt


def _inside(name: str) -> str:
    if PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or ".." in Path(name).parts:
        msg = f"'{name}' does not lie in the run folder"
        raise ValueError(msg)
    return name


RunFile = Annotated[str, AfterValidator(_inside)]
Cell = str | int | float | bool | None


class _Document(DeferredModel):
    model_config = ConfigDict(allow_inf_nan=False, validate_default=True)


class Metric(_Document):
    """One measured number with its interval.

    Example:
        >>> Metric(value=0.8, low=0.77, high=0.83, n=1000, higher_is_better=True).value
        0.8
    """

    value: float = Field(description="the number itself; accuracies and errors are fractions")
    low: float | None = Field(default=None, description="lower end of the interval")
    high: float | None = Field(default=None, description="upper end of the interval")
    interval: str | None = Field(default=None, description="what the interval is: '95 % Wilson', '1.96 std over draws'")
    n: int | None = Field(default=None, ge=0, description="number of test images, or of draws")
    higher_is_better: bool | None = Field(default=True, description="None: neither is better")
    published: float | None = Field(default=None, description="the paper's figure, if it gives one")
    source: str | None = Field(default=None, description="where the figure is published")
    description: str = Field(default="", description="one line for the report")
    unit: Literal["fraction", "number", "seconds"] = "fraction"

    @model_validator(mode="after")
    def _ends_enclose_value(self) -> Metric:
        if self.low is not None and self.high is not None and not self.low <= self.value <= self.high:
            msg = f"interval [{self.low}, {self.high}] does not enclose the value {self.value}"
            raise ValueError(msg)
        return self


class Table(_Document):
    """A table of the report: each row is as long as ``columns``; columns named in ``percent`` hold fractions."""

    name: str
    title: str
    columns: list[str]
    rows: list[list[Cell]]
    percent: list[str] = Field(default_factory=list, description="columns that hold fractions, shown as percent")
    note: str = ""

    @model_validator(mode="after")
    def _rows_fit_columns(self) -> Table:
        for row in self.rows:
            if len(row) != len(self.columns):
                msg = f"table '{self.name}': a row has {len(row)} cells, there are {len(self.columns)} columns"
                raise ValueError(msg)
        if unknown := set(self.percent) - set(self.columns):
            msg = f"table '{self.name}': percent names no column: {sorted(unknown)}"
            raise ValueError(msg)
        return self


class Figure(_Document):
    """A picture in the run folder, shown in the report with its caption."""

    name: str
    file: RunFile = Field(description="path relative to the run folder")
    title: str
    caption: str = ""


class Gallery(_Document):
    """Test images on one sheet, each with its class and what was predicted; the report filters them by both.

    Images stand on the sheet row by row, without gaps, each as large as the others.
    """

    name: str
    file: RunFile = Field(description="path of the sheet relative to the run folder")
    title: str
    caption: str = ""
    columns: int = Field(ge=1, description="images in a row of the sheet")
    classes: list[str]
    ids: list[str] = Field(description="names of the images, as in the dataset")
    labels: list[int] = Field(description="class number of each image")
    predictions: list[int] = Field(description="predicted class number of each image")

    @model_validator(mode="after")
    def _every_image_is_labelled_and_predicted(self) -> Gallery:
        sizes = {len(self.ids), len(self.labels), len(self.predictions)}
        known = range(len(self.classes))
        if len(sizes) > 1 or not self.ids or not {*self.labels, *self.predictions} <= set(known):
            msg = (
                f"gallery '{self.name}': each image takes one id, one label and one prediction, numbers of the classes"
            )
            raise ValueError(msg)
        return self


class Section(_Document):
    """A section that a plugin adds to the report of any analysis: text, tables, figures.

    Example:
        >>> Section(title="Energy", text="This run took 3 Wh.").title
        'Energy'
    """

    title: str
    text: str = Field(default="", description="plain text, shown verbatim; an empty line starts a paragraph")
    tables: list[Table] = Field(default_factory=list)
    figures: list[Figure] = Field(default_factory=list, description="what context.save_figure(...) returned")
    owner: str = Field(default="", description="plugin and distribution that added it; filled in by the program")


class Stage(_Document):
    """One timed part of a run."""

    name: str
    seconds: float
    note: str = ""


class SplitRecord(_Document):
    """Size and content hash of one split, as used."""

    n: int
    sha256: str
    source: str = Field(default="", description="where the images came from: 'cifar10.zip, train/'")


class DatasetRecord(_Document):
    """The dataset a run worked on."""

    name: str
    classes: list[str]
    image_shape: tuple[int, int, int]
    splits: dict[str, SplitRecord]
    taken: dict[str, str] = Field(
        default_factory=dict, description="hash of each split as taken from the dataset, before the analysis divided it"
    )
    note: str = ""


class CheckpointRecord(_Document):
    """The checkpoint a run worked on."""

    name: str
    sha256: str
    architecture: str
    parameters: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    downloaded: str = Field(default="", description="where from, with the commit: hf:USER/NAME@COMMIT")


class Environment(_Document):
    """Where the numbers were made."""

    dcgan_analysis: str
    code_sha256: str = Field(
        description="hash of the code that computes: the plugin's and the framework's, without docstrings and comments"
    )
    python: str
    platform: str
    packages: dict[str, str]
    device: str
    device_name: str
    threads: int


class Result(Described, _Document):
    """Everything that one run measured, and how.

    ``metrics[headline]`` is the number to quote. ``smoke`` is true if ``--limit`` cut the data: such numbers
    are only for trying things out and are labelled wherever they are shown. ``context.result(...)`` leaves it to the
    runner to record which analysis ran, with which settings, and how to repeat it.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    analysis: str = Field(default="", description="name of the analysis; filled in by the runner")
    title: str
    question: str = Field(default="", description="the question that the analysis answers, one sentence")
    reference: str = Field(default="", description="paper section and URL")
    plugin: str = Field(default="", description="plugin and distribution that own the analysis")
    headline: str
    metrics: dict[str, Metric]
    tables: list[Table] = Field(default_factory=list)
    figures: list[Figure] = Field(default_factory=list)
    galleries: list[Gallery] = Field(default_factory=list, description="test images to filter in the report")
    sections: list[Section] = Field(default_factory=list, description="what other plugins added to the report")
    files: dict[str, RunFile] = Field(default_factory=dict, description="name -> file in the run folder")
    notes: list[str] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    config: dict[str, Any] = Field(default_factory=dict, description="settings of the analysis, all of them")
    seed: int
    limit: int | None = None
    smoke: bool = False
    dataset: DatasetRecord | None = None
    checkpoint: CheckpointRecord | None = None
    environment: Environment
    stages: list[Stage]
    started: str = Field(description="UTC, ISO 8601")
    elapsed_seconds: float
    command: str = Field(default="", description="a command line that repeats the run")
    manifest: dict[RunFile, str] = Field(default_factory=dict, description="file in the run folder -> its SHA-256")
    checksum: str = Field(default="", description="SHA-256 of the document without this field")
    folder: Path | None = Field(default=None, exclude=True, description="the run folder; not part of the document")

    def save(self, folder: Path) -> None:
        """Write it as ``result.json`` into a folder, whole or not at all, with hashes of the other files there."""
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / RESULT_FILE)
        self.manifest = {path.relative_to(folder).as_posix(): hash_file(path) for path in files}
        self.checksum = hash_json(_without_checksum(json.loads(self.model_dump_json())))
        write_text(folder / RESULT_FILE, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema of ``result.json``, which docs/result.schema.json holds."""
        document = cls.model_json_schema(mode="serialization")
        document["properties"].pop("folder", None)
        return {"$schema": "https://json-schema.org/draft/2020-12/schema", **document}

    def to_frame(self) -> pandas.DataFrame:
        """Return the metrics as a pandas data frame: one row each, by name; fractions stay fractions.

        Raises:
            AnalysisError: If pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            msg = "to_frame() needs pandas, which is not installed: pip install pandas. Or: dcgan-analyze export"
            raise AnalysisError(msg) from None
        table = {name: metric.model_dump() for name, metric in self.metrics.items()}
        return pandas.DataFrame.from_dict(table, orient="index").rename_axis("metric")

    @classmethod
    def load(cls, folder: Path) -> Result:
        """Read the ``result.json`` of a run folder.

        Raises:
            AnalysisError: If the folder holds none, or it is damaged or of another schema version, or another file
                there is not as it was written. Files that were removed are not missed here, but by ``verify``.
        """
        path = folder / RESULT_FILE
        try:
            document = parse_json(read_document(path))
        except FileNotFoundError:
            msg = f"'{folder}' is not a run folder: it holds no {RESULT_FILE}."
            raise AnalysisError(msg) from None
        except (OSError, ValueError) as error:
            msg = f"'{path}' cannot be read: {error}. Run the analysis again."
            raise AnalysisError(msg) from None
        version = document.get("schema_version") if isinstance(document, dict) else None
        if version != SCHEMA_VERSION:
            newer = isinstance(version, int) and version > SCHEMA_VERSION
            step = "Update dcgan-analysis" if newer else "Run the analysis again"
            msg = f"'{path}' has schema version {version!r}; this release reads version {SCHEMA_VERSION}. {step}."
            raise AnalysisError(msg)
        if absent := [name for name in ("analysis", "config") if name not in document]:
            # They have defaults only for as long as the runner has not filled them in.
            msg = f"'{path}' is damaged: {absent[0]}: Field required. Run the analysis again."
            raise AnalysisError(msg)
        sealed = "manifest" in document or "checksum" in document  # both, unless an earlier release wrote it
        if sealed and hash_json(_without_checksum(document)) != document.get("checksum"):
            msg = f"'{path}' is damaged: it is not as it was written. Run the analysis again."
            raise AnalysisError(msg)
        try:
            result = cls.model_validate({**document, "folder": folder}, extra="ignore")
            result._check_links(folder)
            for name, recorded in result.manifest.items():
                file = folder / name
                if file.is_file() and hash_file(file) != recorded:
                    msg = f"Run '{folder}': file '{name}' is damaged, it is not as it was written. Run again."
                    raise AnalysisError(msg)
            return result
        except ValidationError as error:
            item = error.errors()[0]
            where = ".".join(map(str, item["loc"])) or "document"
            msg = f"'{path}' is damaged: {where}: {item['msg']}. Run the analysis again."
            raise AnalysisError(msg) from None

    def _check_links(self, folder: Path) -> None:
        """Refuse links that lead out of the run folder: whoever shows a run opens its files.

        Raises:
            AnalysisError: If a file that the document names is one, or lies behind one.
        """
        top = os.path.realpath(folder)
        figures = [*self.figures, *(figure for section in self.sections for figure in section.figures)]
        pictures = {*(figure.file for figure in figures), *(gallery.file for gallery in self.galleries)}
        for name in {*self.files.values(), *self.manifest, *pictures}:
            if not Path(os.path.realpath(Path(top, name))).is_relative_to(top):
                msg = f"Run '{folder}': '{name}' is a link that leads out of the folder. Run the analysis again."
                raise AnalysisError(msg)

    def _describe(self) -> tuple[str, dict[str, str]]:
        subject = " on ".join(part.name for part in (self.checkpoint, self.dataset) if part is not None)
        cut = "" if not self.smoke else "yes: do not quote these numbers"
        others = [name for name in self.metrics if name != self.headline]
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        return f"Result of {self.analysis or 'an analysis'}: {self.title}", {
            "of": subject,
            self.headline: _value(self.metrics[self.headline]),
            "other metrics": ", ".join(others[:_SHOWN]) + more,
            "smoke run": cut,
            "warnings": str(len(self.warnings) or ""),
            "folder": "" if self.folder is None else str(self.folder),
        }

    def _repr_html_(self) -> str:
        table = super()._repr_html_()
        try:
            report = "" if self.folder is None else (self.folder / REPORT_FILE).read_text(encoding="utf-8")
        except OSError:
            return table
        # In a frame of its own, so that neither page's style or script touches the other.
        frame = (
            '<iframe title="Report" style="width: 100%; height: 40em; border: 1px solid #ccc" '
            'sandbox="allow-popups allow-scripts"'
        )
        return f'{table}{frame} srcdoc="{html.escape(report)}"></iframe>' if report else table

    @model_validator(mode="after")
    def _headline_is_a_metric(self) -> Result:
        if self.headline not in self.metrics:
            msg = f"headline '{self.headline}' is not among the metrics: {', '.join(sorted(self.metrics))}"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _accuracies_are_fractions(self) -> Result:
        for name, metric in self.metrics.items():
            share = metric.unit == "fraction" and name.endswith(("accuracy", "error"))
            if share and not 0 <= metric.value <= 1:
                msg = f"metric '{name}' is {metric.value:g}: accuracies and errors are fractions between 0 and 1"
                raise ValueError(msg)
        return self


def _without_checksum(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "checksum"}


def _value(metric: Metric) -> str:
    """Show a metric with its interval and what it rests on."""
    shown: dict[str, Callable[[float], str]] = {
        "fraction": lambda share: percent(share, 1),
        "seconds": duration,
        "number": number,
    }
    show = shown[metric.unit]
    interval = "" if metric.low is None or metric.high is None else f" [{show(metric.low)}, {show(metric.high)}]"
    return f"{show(metric.value)}{interval}{'' if metric.n is None else f', n {count(metric.n)}'}"
