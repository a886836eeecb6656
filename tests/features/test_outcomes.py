from __future__ import annotations

import numpy as np
import pytest

from dcgan_analysis.errors import StoreError
from dcgan_analysis.features.outcomes import find_outcome, keep_outcome, outcome_path

KEY = {"seed": 1, "settings": {"rate": 0.1}}


def test_what_was_kept_is_found_by_its_key_whatever_the_order_of_its_parts(tmp_path):
    arrays = {"errors": np.array([0.5, 0.25]), "matrix": np.arange(6, dtype=np.float32).reshape(2, 3).T}
    path = keep_outcome("trials", KEY, arrays, tmp_path)
    assert path.parent == tmp_path / "trials"
    found = find_outcome("trials", {"settings": {"rate": 0.1}, "seed": 1}, tmp_path)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_another_key_or_kind_finds_nothing(tmp_path):
    keep_outcome("trials", KEY, {"a": np.zeros(1)}, tmp_path)
    assert find_outcome("trials", KEY | {"seed": 2}, tmp_path) is None
    assert find_outcome("dictionaries", KEY, tmp_path) is None


@pytest.mark.parametrize("damage", ["truncated", "foreign"])
def test_a_damaged_file_counts_as_absent_and_is_replaced(tmp_path, damage, caplog):
    path = keep_outcome("trials", KEY, {"a": np.zeros(100)}, tmp_path)
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:50])
    else:
        keep_outcome("trials", KEY | {"seed": 2}, {"a": np.ones(1)}, tmp_path).replace(path)
    assert find_outcome("trials", KEY, tmp_path) is None
    assert str(path) in caplog.text
    keep_outcome("trials", KEY, {"a": np.ones(1)}, tmp_path)
    assert find_outcome("trials", KEY, tmp_path)["a"] == 1


def test_a_folder_that_cannot_be_written_is_named_and_nothing_is_left(tmp_path):
    (tmp_path / "trials").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot be written: .*Free some space, or set DCGAN_ANALYSIS_CACHE"):
        keep_outcome("trials", KEY, {"a": np.zeros(1)}, tmp_path)
    assert outcome_path("trials", KEY, tmp_path).parent.read_text() == "in the way"
