"""Two tabs of one browser, or two browsers, in front of one workspace: neither loses what the other drew."""

from __future__ import annotations

import pytest

pytest.importorskip("nicegui", reason="the extra 'annotate' is needed")

from dcgan_analysis_annotate import boxes_view, views
from dcgan_analysis_annotate.boxes_view import BoxesView

from dcgan_analysis.annotations import read_boxes


@pytest.fixture
def make_tab(workspace):
    """Make a view of the boxes without a page: what it would show is left out."""

    def make():
        tab = object.__new__(BoxesView)
        tab.workspace, tab.object, tab.sample, tab.chosen = workspace, "window", 0, -1
        tab.shown, tab.changes = [], []
        tab.refresh = lambda: setattr(tab, "shown", tab.boxes_shown())
        return tab

    return make


def test_undo_takes_back_what_this_tab_did_and_nothing_that_another_did_since(make_tab, workspace):
    first, second = make_tab(), make_tab()
    first.draw([1, 1, 2, 2])
    second.draw([3, 3, 2, 2])
    first.draw([5, 5, 2, 2])
    second.undo()
    assert workspace.boxes("window").by_sample() == {0: [(1, 1, 2, 2), (5, 5, 2, 2)]}
    second.undo()
    assert workspace.boxes("window").by_sample() == {0: [(1, 1, 2, 2), (5, 5, 2, 2)]}
    first.undo()
    first.undo()
    assert workspace.boxes("window").by_sample() == {}


def test_a_box_that_another_tab_removed_is_not_taken_for_the_one_that_stands_in_its_place(make_tab, workspace):
    first, second = make_tab(), make_tab()
    for box in ([1, 1, 2, 2], [3, 3, 2, 2]):
        first.draw(box)
    second.refresh()
    second.chosen, first.chosen = 0, 0
    first.remove()
    second.remove()
    assert workspace.boxes("window").by_sample() == {0: [(3, 3, 2, 2)]}
    first.undo()
    assert sorted(workspace.boxes("window").by_sample()[0]) == [(1, 1, 2, 2), (3, 3, 2, 2)]


def test_what_a_full_disk_refuses_is_said_to_be_unsaved_and_what_it_holds_stays(
    make_tab, workspace, small_files, monkeypatch
):
    messages, tab = [], make_tab()
    monkeypatch.setattr(boxes_view.ui, "notify", lambda text, **_: messages.append(text))
    tab.draw([1, 1, 2, 2])
    with small_files(50):
        tab.draw([3, 3, 2, 2])
        tab.remove()
        tab.undo()
    assert len(messages) == 3
    assert all(text.startswith("Not saved: ") for text in messages)
    assert tab.shown == [(1, 1, 2, 2)]
    tab.draw([5, 5, 2, 2])
    assert read_boxes(workspace.path_of("window")).by_sample() == {0: [(1, 1, 2, 2), (5, 5, 2, 2)]}
    tab.undo()
    tab.undo()
    assert read_boxes(workspace.path_of("window")).by_sample() == {}


def test_pages_that_are_asked_for_and_never_opened_are_few(monkeypatch):
    class Page:
        def __init__(self, number):
            self.created, self.has_socket_connection = number, number == 3

        def delete(self):
            pages.pop(self.created)

    pages = {}
    monkeypatch.setattr(views.Client, "instances", pages)
    for number in range(600):
        pages[number] = Page(number)
        views._forget_unopened()
        assert len(pages) <= 9
    assert sorted(pages) == [3, *range(592, 600)]
