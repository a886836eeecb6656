from __future__ import annotations

import ast
import re
from pathlib import Path

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


# Of these rooms the command line alone hears; importers' settings are its own.
COMMAND_LINE = ("dcgan_analysis/cli", "dcgan_analysis/testing", "dcgan_analysis/checkpoints/importers")
# The training was begun on a command line, and the message repeats that.
STOPPED = "Go on:"


def texts(path):
    """Yield the line and the text of every string of a source file but docstrings; X stands for what is filled in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    passed_over = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            passed_over.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            passed_over |= {id(part) for part in node.values}
            yield (
                node.lineno,
                "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed_over:
            yield node.lineno, node.value


def test_messages_of_the_library_name_settings_not_options_of_the_command_line():
    root = Path(__file__).parent.parent
    found = [
        f"{path.relative_to(root)}:{line}: {text}"
        for folder in ("dcgan_analysis", "plugins/dcgan_analysis_plugins")
        for path in sorted((root / folder).rglob("*.py"))
        if not path.relative_to(root).as_posix().startswith(COMMAND_LINE)
        for line, text in texts(path)
        if re.search(r"(?<![\w-])--[a-z]", text) and " " in text and "\n" not in text and STOPPED not in text
    ]
    assert found == []
