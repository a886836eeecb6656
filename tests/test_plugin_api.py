"""The public API is what docs/plugin-api.md lists, and the built-in analyses use nothing that a stranger cannot."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "plugin-api.md").read_text(encoding="utf-8")
PUBLIC = re.findall(r"^\| `(dcgan_analysis[\w.]*)` \|", PAGE, re.MULTILINE)
FOLDER = ROOT / "plugins" / "dcgan_analysis_plugins"
BUILT_IN = [*sorted(FOLDER.glob("*.py")), *sorted(FOLDER.glob("*/analysis.py"))]
EXAMPLE = ROOT / "examples" / "dcgan-analysis-hello" / "dcgan_analysis_hello.py"


def imported(path):
    """Yield (module, name) for everything that a file imports of the framework, under TYPE_CHECKING as well."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names if alias.name.split(".")[0] == "dcgan_analysis")
        elif isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "dcgan_analysis":
            yield from ((node.module, alias.name) for alias in node.names)


def test_the_page_lists_modules():
    assert "dcgan_analysis.api" in PUBLIC
    assert len(PUBLIC) == len(set(PUBLIC))


def test_the_public_names_are_few_enough_to_keep_and_each_has_one_home():
    names = [name for module in PUBLIC for name in importlib.import_module(module).__all__]
    assert len(names) <= 224
    # Those of the package itself are the short way to what the rooms offer.
    homes = Counter(name for module in PUBLIC[1:] for name in importlib.import_module(module).__all__)
    assert [name for name, times in homes.items() if times > 1] == []


@pytest.mark.parametrize("module", PUBLIC)
def test_a_public_module_says_what_it_offers_and_has_it(module):
    loaded = importlib.import_module(module)
    assert loaded.__doc__
    assert loaded.__all__
    assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []
    kinds = [
        name
        for name in loaded.__all__
        if inspect.isclass(getattr(loaded, name)) or inspect.isfunction(getattr(loaded, name))
    ]
    assert [name for name in kinds if not inspect.getdoc(getattr(loaded, name))] == []


def test_the_field_reference_documents_every_public_name_and_every_setting():
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs" / "site.py")
    site = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(site)
    pages = site.reference_pages()
    for module in PUBLIC:
        page = pages[f"reference/{module}.md"]
        names = importlib.import_module(module).__all__
        assert [name for name in names if not re.search(rf"^(::: [\w.]+\.|## ){name}$", page, re.MULTILINE)] == []
        # What a line names is what the module offers.
        for full in re.findall(r"^::: ([\w.]+)$", page, re.MULTILINE):
            home, _, name = full.rpartition(".")
            assert getattr(importlib.import_module(home), name) is getattr(importlib.import_module(module), name)
    # Field, type, default, meaning: none is left open.
    assert "| `labels_per_class` |" in pages["reference/settings.md"]
    assert not re.search(r"\| +\|$", pages["reference/settings.md"], re.MULTILINE)


@pytest.mark.parametrize("path", [*BUILT_IN, EXAMPLE], ids=lambda path: path.name)
def test_a_built_in_analysis_uses_public_names_only(path):
    """A module that is meant for strangers gets a row in docs/plugin-api.md; any other is not for analyses."""
    for module, name in imported(path):
        if f"{module}.{name}" in PUBLIC:
            continue
        assert module in PUBLIC, f"{path.name} imports {module}, which docs/plugin-api.md does not list"
        offered = importlib.import_module(module).__all__
        assert name is None or name in offered, f"{path.name} imports {name}, which {module}.__all__ does not name"


@pytest.mark.parametrize("path", [*BUILT_IN, EXAMPLE], ids=lambda path: path.name)
def test_a_built_in_analysis_reads_no_private_member(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            assert isinstance(node.value, ast.Name), f"{path.name}: {ast.unparse(node)}"
            assert node.value.id == "self", f"{path.name}: {ast.unparse(node)}"
