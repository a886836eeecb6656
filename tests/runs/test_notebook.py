"""Progress in a notebook, with a stand-in for IPython that records what the page shows."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from dcgan_analysis.core.progress import silent
from dcgan_analysis.runs import notebook
from dcgan_analysis.runs.notebook import notebook_progress


@pytest.fixture
def page(monkeypatch):
    """What a notebook showed, in order; time goes on by a second with every look at the clock."""
    shown = []
    now = iter(range(10_000))
    monkeypatch.setattr(notebook, "time", SimpleNamespace(monotonic=lambda: next(now)))
    modules = ModuleType("IPython"), ModuleType("IPython.display")
    modules[0].get_ipython = lambda: SimpleNamespace(kernel=object())
    modules[0].version_info = (9, 0)
    modules[1].HTML = str

    def display(html, *, display_id):
        shown.append(html)
        return SimpleNamespace(update=shown.append)

    modules[1].display = display
    for module in modules:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return shown


def test_a_notebook_shows_a_bar_that_goes_when_the_work_is_done(page):
    with notebook_progress(None) as progress:
        progress("<images>", 500, 2000)
        progress("solver", 3, 0)
    assert page == [
        '<progress value="500" max="2000"></progress> 25 % &lt;images&gt;: 500 of 2,000',
        "<progress> solver: 3",
        "",
    ]


def test_a_run_shows_it_by_itself(page, host, make_toy, tmp_path):
    from dcgan_analysis.runs.run import run

    def count(context, config):
        context.progress("images", 1, 4)
        return make_toy().run(context, config)

    run(make_toy(name="counting", run=count), host=host, out=tmp_path / "run")
    assert any("images: 1 of 4" in html for html in page)
    assert page[-1] == ""


def test_what_the_caller_gave_is_used_instead(page):
    calls = []
    with notebook_progress(lambda *call: calls.append(call)) as progress:
        progress("images", 1, 2)
    assert (calls, page) == ([("images", 1, 2)], [])


@pytest.mark.parametrize("shell", [None, SimpleNamespace()], ids=["a program", "IPython at a terminal"])
def test_elsewhere_nothing_is_shown(shell, page):
    sys.modules["IPython"].get_ipython = lambda: shell
    with notebook_progress(None) as progress:
        assert progress is silent


def test_a_training_shows_it_by_itself(page, tmp_path, unrendered):
    import dcgan_analysis as da

    settings = {"dataset": "digits", "images": 32, "batch_size": 16, "epochs": 1, "parameters": {"width": 2}}
    da.train(settings, tmp_path / "net")
    assert any("dcgan32 on digits (steps): 2 of 2" in html for html in page)
    assert page[-1] == ""
