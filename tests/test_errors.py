from __future__ import annotations

import pytest

from dcgan_analysis import errors
from dcgan_analysis.errors import DcganAnalysisError, unknown_name


def test_all_errors_have_one_base():
    named = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]

    assert len(named) > 8
    assert all(issubclass(error, DcganAnalysisError) for error in named)


@pytest.mark.parametrize(
    ("name", "available", "text"),
    [
        ("svm-cifr", ["svm-cifar", "knn"], "Unknown analysis 'svm-cifr'. Did you mean 'svm-cifar'? "),
        ("xyz", ["svm-cifar", "knn"], "Unknown analysis 'xyz'. Available: knn, svm-cifar."),
        ("xyz", [], "Unknown analysis 'xyz'. Available: none."),
    ],
)
def test_the_nearest_name_is_offered_only_where_one_is_near(name, available, text):
    assert str(unknown_name("analysis", name, available)).startswith(text)


def test_a_long_list_is_cut():
    message = str(unknown_name("dataset", "zzz", [f"set-{i:02d}" for i in range(25)]))

    assert "set-19 and 5 more." in message
    assert "set-20" not in message
