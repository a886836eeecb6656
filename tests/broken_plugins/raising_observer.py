from __future__ import annotations

from dcgan_analysis.api.hookspecs import hookimpl


@hookimpl
def dcgan_before_run(analysis):
    msg = "the observer broke"
    raise ValueError(msg)


@hookimpl
def dcgan_after_run():
    raise SystemExit(1)
