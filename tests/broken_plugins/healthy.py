"""A plugin without fault; the others must not harm it."""

from __future__ import annotations

from dcgan_analysis.api.analysis import AnalysisConfig, Needs
from dcgan_analysis.api.hookspecs import hookimpl

SEEN = []


class Healthy:
    name = "healthy"
    summary = "Does nothing, well"
    question = "Is the host in order?"
    reference = "none"
    config_type = AnalysisConfig
    needs = Needs()

    def run(self, context, config):
        raise NotImplementedError


@hookimpl
def dcgan_register_analyses(register):
    register(Healthy())


@hookimpl
def dcgan_before_run(analysis):
    SEEN.append(("before", analysis))


@hookimpl
def dcgan_after_run(result):
    SEEN.append(("after", result))
