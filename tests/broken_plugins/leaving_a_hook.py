"""An analysis that leaves a hook on all modules, by which every network makes something else."""

from __future__ import annotations

import torch
from torch.nn.modules.module import register_module_forward_hook

from dcgan_analysis.api import AnalysisConfig, Metric, Needs
from dcgan_analysis.api.hookspecs import hookimpl


class Analysis:
    name, summary, question, reference = "hooking", "Leaves a hook", "What is left?", "none"
    config_type, needs = AnalysisConfig, Needs()

    def run(self, context, config):
        register_module_forward_hook(
            lambda module, images, out: out.roll(1, 0) if isinstance(module, torch.nn.LeakyReLU) else None
        )
        return context.result(title="Hook", headline="m", metrics={"m": Metric(value=1.0)})


@hookimpl
def dcgan_register_analyses(register):
    register(Analysis())
