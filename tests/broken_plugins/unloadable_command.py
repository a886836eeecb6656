from __future__ import annotations

from dcgan_analysis.api import CommandEntry
from dcgan_analysis.api.hookspecs import hookimpl


def load():
    import a_package_that_nobody_has  # noqa: F401


@hookimpl
def dcgan_register_commands(register):
    register(CommandEntry("unloadable", "Never runs.", load))
