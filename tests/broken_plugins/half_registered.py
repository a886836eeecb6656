"""Registers a dataset, then fails in another hook."""

from __future__ import annotations

from dcgan_analysis.api.hookspecs import hookimpl
from dcgan_analysis.data.registry import DatasetEntry


@hookimpl
def dcgan_register_datasets(register):
    register(DatasetEntry("half", "never to be seen", dict))


@hookimpl
def dcgan_register_analyses(register):
    msg = "no luck\ntoday"
    raise RuntimeError(msg)
