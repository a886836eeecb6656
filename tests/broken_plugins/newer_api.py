from __future__ import annotations

from dcgan_analysis.api.hookspecs import hookimpl

DCGAN_ANALYSIS_API = 2


@hookimpl
def dcgan_before_run():
    raise NotImplementedError
