from __future__ import annotations

import pytest

from dcgan_analysis.api import Figure, Metric, Result, Stage, Table
from dcgan_analysis.api.result import CheckpointRecord, DatasetRecord, Environment, SplitRecord


@pytest.fixture
def make_result():
    """Make a complete result; keyword arguments replace its fields."""

    def make(**changes):
        environment = Environment(
            dcgan_analysis="0.1.0",
            code_sha256="ab",
            python="3.11.9",
            platform="Linux x86_64",
            packages={"torch": "2.6"},
            device="cpu",
            device_name="a processor",
            threads=1,
        )
        fields = {
            "analysis": "svm-cifar",
            "title": "Accuracy",
            "headline": "accuracy",
            "metrics": {"accuracy": Metric(value=0.8, low=0.77, high=0.83, n=1000, published=0.828)},
            "tables": [Table(name="t", title="T", columns=["class", "share"], rows=[["cat", 0.5]], percent=["share"])],
            "figures": [Figure(name="curve", file="figures/curve.png", title="Curve")],
            "config": {"draws": 5},
            "seed": 0,
            "dataset": DatasetRecord(
                name="digits",
                classes=["0", "1"],
                image_shape=(3, 32, 32),
                splits={"train": SplitRecord(n=10, sha256="cd")},
            ),
            "checkpoint": CheckpointRecord(name="tiny", sha256="ef", architecture="dcgan32"),
            "environment": environment,
            "stages": [Stage(name="fit", seconds=1.5)],
            "started": "2025-01-01T00:00:00+00:00",
            "elapsed_seconds": 2.0,
        }
        return Result(**(fields | changes))

    return make
