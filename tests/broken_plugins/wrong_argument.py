from __future__ import annotations

from dcgan_analysis.api.hookspecs import hookimpl


@hookimpl
def dcgan_register_analyses(registrar):
    raise NotImplementedError
