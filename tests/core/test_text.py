from __future__ import annotations

from xml.etree import ElementTree

import pytest

from dcgan_analysis.core import text as numbers
from dcgan_analysis.core.text import Described


@pytest.mark.parametrize(
    ("fraction", "digits", "shown"),
    [
        (0.73614, 1, "73.6 %"),
        (0.73614, 2, "73.61 %"),
        (0.2248, None, "22.48 %"),
        (0.828, None, "82.8 %"),
        (1, None, "100.0 %"),
        (0, None, "0.0 %"),
        (-0.012, None, "-1.2 %"),
    ],
)
def test_a_fraction_is_shown_as_percent(fraction, digits, shown):
    assert numbers.percent(fraction, digits) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 ms"),
        (0.0421, "42 ms"),
        (0.9996, "1.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (3599.6, "1 h 00 min"),
        (7384, "2 h 03 min"),
        (90000, "1 d 01 h"),
    ],
)
def test_a_duration_has_two_units_at_most_and_never_sixty_of_one(seconds, shown):
    assert numbers.duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (400, "400"),
        (28672.0, "28,672"),
        (0.0001, "0.0001"),
        (3.14159, "3.142"),
        (1234567.8, "1,234,568"),
        (1e-7, "1e-07"),
        (-3, "-3"),
    ],
)
def test_a_plain_number_keeps_four_digits(value, shown):
    assert numbers.number(value) == shown


class Thing(Described):
    def _describe(self):
        return "A <thing>", {"name": 'a "b" & <c>', "nothing": "", "<size>": "3"}


def test_an_object_is_described_in_lines_and_what_is_empty_is_left_out():
    assert repr(Thing()) == str(Thing()) == 'A <thing>\n  name: a "b" & <c>\n  <size>: 3'


def test_the_table_of_a_notebook_is_escaped_and_well_formed():
    page = Thing()._repr_html_()
    table = ElementTree.fromstring(page)
    assert [cell.text for cell in table.iter() if cell.text] == ["A <thing>", "name", 'a "b" & <c>', "<size>", "3"]
