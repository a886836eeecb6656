"""An analysis that writes over the images that it was lent."""

from __future__ import annotations

from dcgan_analysis.api import AnalysisConfig, Metric, Needs
from dcgan_analysis.api.hookspecs import hookimpl


class Analysis:
    name, summary, question, reference = "blackening", "Blackens images", "Are they black?", "none"
    config_type, needs = AnalysisConfig, Needs(dataset="digits", splits=("test",))

    def run(self, context, config):
        context.split("test").images[:] = 0
        return context.result(title="Black", headline="m", metrics={"m": Metric(value=1.0)})


@hookimpl
def dcgan_register_analyses(register):
    register(Analysis())
