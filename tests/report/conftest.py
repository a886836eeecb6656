from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from dcgan_analysis.api.result import (
    CheckpointRecord,
    DatasetRecord,
    Environment,
    Figure,
    Gallery,
    Metric,
    Result,
    SplitRecord,
    Stage,
    Table,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def make_result() -> Callable[..., Result]:
    """Build a small complete result; keyword arguments replace its fields."""

    def make(**changes: object) -> Result:
        return Result.model_validate({**_FIELDS, **changes})

    return make


HOSTILE = """<script>alert("x")</script>'"><img src=x onerror=y> {{ 7 * 7 }}"""


@pytest.fixture
def hostile_result(make_result: Callable[..., Result]) -> Result:
    """Give a result that says something hostile wherever a text may stand."""
    clean = make_result()
    metrics = {
        "accuracy": Metric(value=0.5, description=HOSTILE, interval=HOSTILE, source=HOSTILE),
        HOSTILE: Metric(value=0.5),
    }
    checkpoint = clean.checkpoint.model_copy(update={"name": HOSTILE, "training": {HOSTILE: HOSTILE}})
    split = clean.dataset.splits["test"].model_copy(update={"source": HOSTILE, "sha256": HOSTILE})
    return make_result(
        title=HOSTILE,
        question=HOSTILE,
        reference=HOSTILE + ' https://evil.example/"onclick="x',
        metrics=metrics,
        tables=[Table(name="t", title=HOSTILE, columns=[HOSTILE], rows=[[HOSTILE]], note=HOSTILE)],
        figures=[Figure(name="f", file="figures/matrix.png", title=HOSTILE, caption=HOSTILE)],
        galleries=[
            Gallery(
                name=HOSTILE,
                file="figures/matrix.png",
                title=HOSTILE,
                caption=HOSTILE,
                columns=1,
                classes=[HOSTILE, "b"],
                ids=[HOSTILE],
                labels=[0],
                predictions=[1],
            )
        ],
        notes=[HOSTILE],
        warnings=[HOSTILE, HOSTILE],
        config={HOSTILE: {HOSTILE: [HOSTILE]}},
        files={HOSTILE: HOSTILE},
        checkpoint=checkpoint,
        dataset=clean.dataset.model_copy(update={"splits": {HOSTILE: split}, "note": HOSTILE}),
        command=HOSTILE,
    )


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """Give a run folder that holds the one figure of the small result."""
    (tmp_path / "figures").mkdir()
    pixels = np.zeros((4, 6, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "figures" / "matrix.png")
    return tmp_path


_FIELDS = {
    "analysis": "svm-cifar",
    "title": "Features under test",
    "question": "Do the features carry the classes?",
    "reference": "Radford et al., section 5.1: https://arxiv.org/abs/1511.06434.",
    "plugin": "svm-cifar (dcgan-analysis 0.1.0)",
    "headline": "accuracy",
    "metrics": {
        "accuracy": Metric(
            value=0.736,
            low=0.7273,
            high=0.7446,
            interval="95 % Wilson",
            n=10000,
            published=0.828,
            source="Table 1",
        ),
        "twin_accuracy": Metric(value=0.61, low=0.6, high=0.62, n=10000),
        "fit_seconds": Metric(value=65, unit="seconds", higher_is_better=False),
    },
    "tables": [
        Table(
            name="taps",
            title="Accuracy by layer",
            columns=["features", "D", "accuracy"],
            rows=[["all", 28672, 0.736], ["conv1", 2048, None]],
            percent=["accuracy"],
        )
    ],
    "figures": [Figure(name="matrix", file="figures/matrix.png", title="Matrix", caption="Who is who.")],
    "notes": ["The test images were used once."],
    "config": {"C": [0.001, 0.01], "draws": 10},
    "seed": 0,
    "dataset": DatasetRecord(
        name="cifar10",
        classes=["cat", "dog"],
        image_shape=(3, 32, 32),
        splits={"test": SplitRecord(n=10000, sha256="ab" * 32, source="cifar10.zip, test/")},
    ),
    "checkpoint": CheckpointRecord(
        name="cifar10-dcgan32", sha256="cd" * 32, architecture="dcgan32", parameters={"width": 64}
    ),
    "environment": Environment(
        dcgan_analysis="0.1.0",
        code_sha256="ef" * 32,
        python="3.11",
        platform="Linux",
        packages={"torch": "2.6"},
        device="cpu",
        device_name="a processor",
        threads=2,
    ),
    "stages": [Stage(name="extract", seconds=412), Stage(name="fit", seconds=65, note="7 values")],
    "started": "2026-01-02T03:04:05Z",
    "elapsed_seconds": 477,
    "command": "dcgan-analyze run svm-cifar --seed 0",
}
