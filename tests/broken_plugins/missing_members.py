from __future__ import annotations

from dcgan_analysis.api.hookspecs import hookimpl


class Bare:
    name = "bare"
    summary = "Lacks nearly everything"

    def run(self, context, config):
        raise NotImplementedError


@hookimpl
def dcgan_register_analyses(register):
    register(Bare())
