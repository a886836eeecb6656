"""What a plugin's loader or builder raises, or returns instead, is told with the name of what it belongs to."""

from __future__ import annotations

import pytest

from dcgan_analysis.data.files.sources import load_dataset
from dcgan_analysis.data.registry import DatasetEntry
from dcgan_analysis.errors import ArchitectureError, DatasetError
from dcgan_analysis.models.registry import ArchitectureEntry


def fail(*_):
    msg = "boom"
    raise ValueError(msg)


@pytest.mark.parametrize(
    ("loader", "words"),
    [(fail, "ValueError: boom"), (lambda root, download: {"train": 1}, "returned {'train': 1}; it must return")],
)
def test_a_dataset_that_cannot_be_loaded_is_named_with_its_plugin(loader, words, host):
    host.datasets.add("strange", DatasetEntry("strange", "Strange.", loader), owner="acme 1.0 (acme)")
    with pytest.raises(DatasetError, match=r"Dataset 'strange' of acme 1\.0 \(acme\) could not be loaded") as caught:
        load_dataset("strange", registry=host.datasets)
    assert words in str(caught.value)


@pytest.mark.parametrize(("build", "words"), [(fail, "ValueError: boom"), (lambda: 5, "returned 5; it must return")])
def test_an_architecture_that_cannot_be_built_is_named(build, words):
    entry = ArchitectureEntry("strange", "Strange.", lambda width=4: build())
    with pytest.raises(ArchitectureError, match="Architecture 'strange' could not be built") as caught:
        entry.create()
    assert words in str(caught.value)


def test_an_exception_that_cannot_be_copied_leaves_the_listing_whole():
    from dcgan_analysis.host.loading import PluginInfo

    class Stubborn(Exception):
        def __deepcopy__(self, memo):
            raise TypeError

    document = PluginInfo("acme", state="failed", error="it broke", cause=Stubborn()).document()
    assert (document["name"], document["error"]) == ("acme", "it broke")
    assert "cause" not in document
