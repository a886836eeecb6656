from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.api.result import SplitRecord
from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.report import paired_table

IDS = np.array([f"test/{number}.png" for number in range(20)])
LABELS = np.arange(20) % 2
# Wrong where it says so.
WRONG_ON = {"never": [], "first ten": range(10), "last one": [19]}


@pytest.fixture
def run(make_result, tmp_path):
    """Make a run whose predictions are wrong on some images."""

    def make(name, wrong, *, order=slice(None), kind="predictions", **changes):
        predictions = LABELS.copy()
        predictions[list(wrong)] = 1 - LABELS[list(wrong)]
        predictions = predictions[order]
        extra = {}
        if kind == "draws":
            predictions = np.stack([predictions] * 3)
            extra["drawn"] = np.array(["a", "b", "c"])
        folder = tmp_path / name
        folder.mkdir()
        arrays = {"learned features": predictions, **extra}
        np.savez(folder / f"{kind}.npz", ids=IDS[order], labels=LABELS[order], **arrays)
        return make_result(folder=folder, files={kind: f"{kind}.npz"}, **changes)

    return make


def cells(table):
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_the_better_run_is_named(run):
    table = paired_table([run("a", WRONG_ON["never"]), run("b", WRONG_ON["first ten"])], ["a", "b"])
    (row,) = cells(table)
    assert row["A"] == "a (learned features)"
    assert row["difference"] == 0.5
    assert float(row["p"]) == pytest.approx(2 / 2**10, rel=0.05)
    assert row["verdict"] == "A is better"
    assert row["images"] == 20


def test_one_image_is_no_difference(run):
    (row,) = cells(paired_table([run("a", WRONG_ON["last one"]), run("b", WRONG_ON["never"])], ["a", "b"]))
    assert row["difference"] == -0.05
    assert row["verdict"] == "no difference found"


def test_images_are_matched_by_id_whatever_their_order(run):
    first = run("a", WRONG_ON["first ten"])
    second = run("b", WRONG_ON["first ten"], order=slice(None, None, -1))
    (row,) = cells(paired_table([first, second], ["a", "b"]))
    assert row["difference"] == 0
    assert row["p"] == "1"


def test_each_run_is_compared_with_the_first(run):
    runs = [run("a", WRONG_ON["never"]), run("b", WRONG_ON["last one"]), run("c", WRONG_ON["first ten"])]
    rows = cells(paired_table(runs, ["a", "b", "c"]))
    assert [row["B"] for row in rows] == ["b (learned features)", "c (learned features)"]


def test_draws_of_few_labels_are_compared_over_draws_and_images(run):
    first, second = (run(name, WRONG_ON[wrong], kind="draws") for name, wrong in (("a", "never"), ("b", "first ten")))
    (row,) = cells(paired_table([first, second], ["a", "b"]))
    assert row["trained with"] == "few labels"
    assert row["difference"] == 0.5
    assert row["verdict"] == "A is better"


def test_other_test_images_are_not_paired(run):
    first = run("a", WRONG_ON["never"])
    splits = {"test": SplitRecord(n=1000, sha256="12" * 32)}
    second = run("b", WRONG_ON["never"], dataset=first.dataset.model_copy(update={"splits": splits}))
    table = paired_table([first, second], ["a", "b"])
    assert not table.rows
    assert table.note == (
        "Not paired: a and b: the test images differ: 10,000 images (abababababab) against 1,000 images (121212121212)."
    )


def test_runs_without_predictions_are_not_paired(run, make_result):
    for other in (make_result(), run("b", WRONG_ON["never"], kind="draws")):
        table = paired_table([run(f"a{other.files}", WRONG_ON["never"]), other], ["a", "b"])
        assert "saved no predictions of the same kind" in table.note


def test_other_ids_are_not_paired(run):
    first, second = run("a", WRONG_ON["never"]), run("b", WRONG_ON["never"])
    np.savez(
        second.folder / "predictions.npz",
        ids=np.roll(IDS, 1)[::-1].astype("U20") + np.array(["x"]),
        labels=LABELS,
        w=LABELS,
    )
    assert "ids of the test images do not match" in paired_table([first, second], ["a", "b"]).note


def test_damaged_predictions_are_named(run):
    first, second = run("a", WRONG_ON["never"]), run("b", WRONG_ON["never"])
    (second.folder / "predictions.npz").write_bytes(b"no archive")
    with pytest.raises(AnalysisError, match=r"predictions.npz' cannot be read"):
        paired_table([first, second], ["a", "b"])
    np.savez(second.folder / "predictions.npz", ids=IDS, labels=LABELS[:3], w=LABELS)
    with pytest.raises(AnalysisError, match="do not fit"):
        paired_table([first, second], ["a", "b"])
