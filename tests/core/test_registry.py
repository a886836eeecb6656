from __future__ import annotations

import pytest

from dcgan_analysis.core.registry import Registry
from dcgan_analysis.errors import RegistrationError, UnknownNameError


@pytest.fixture
def table():
    table = Registry("dataset")
    table.add("mnist", 1, owner="core")
    table.add("cifar10", 2, owner="core")
    table.add("own", 3, owner="acme 1.0")
    return table


def test_things_are_found_by_name_with_their_owner(table):
    assert (table["own"], table.owner("own"), table.owner("mnist")) == (3, "acme 1.0", "core")
    assert "own" in table
    assert "absent" not in table
    assert len(table) == 3


def test_names_are_in_alphabetical_order(table):
    assert table.names() == list(table) == ["cifar10", "mnist", "own"]


@pytest.mark.parametrize("look_up", [Registry.__getitem__, Registry.owner])
def test_an_unknown_name_gets_the_nearest_one(table, look_up):
    with pytest.raises(
        UnknownNameError,
        match=r"^Unknown dataset 'cifar-10'\. Did you mean 'cifar10'\? Available: cifar10, mnist, own\.$",
    ):
        look_up(table, "cifar-10")


def test_a_taken_name_is_refused_with_both_owners_and_the_first_stays(table):
    with pytest.raises(
        RegistrationError,
        match=r"^Dataset 'own' is registered twice: by acme 1\.0 and by other 2\.0\. Disable one of the two with",
    ):
        table.add("own", 4, owner="other 2.0")

    assert table["own"] == 3


@pytest.mark.parametrize("name", ["", "CIFAR", "svm_cifar", "-a", "a-", "a--b", "a b", "a\n", "ä", 3])
def test_a_malformed_name_is_refused(table, name):
    with pytest.raises(
        RegistrationError, match=r"^acme registers the dataset .*; a name is lower-case words and digits"
    ):
        table.add(name, 4, owner="acme")

    assert len(table) == 3


def test_an_owner_is_forgotten_with_all_its_things(table):
    table.remove_owner("core")

    assert table.names() == ["own"]
    table.add("mnist", 5, owner="other")
    assert table["mnist"] == 5
