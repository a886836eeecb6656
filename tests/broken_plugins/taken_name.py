"""Registers one analysis of its own, then one whose name is taken."""

from __future__ import annotations

from broken_plugins.healthy import Healthy

from dcgan_analysis.api.hookspecs import hookimpl


class Own(Healthy):
    name = "own"


@hookimpl
def dcgan_register_analyses(register):
    register(Own())
    register(Healthy())
