from __future__ import annotations

from dcgan_analysis.api.hookspecs import hookimpl


@hookimpl
def dcgan_report_sections(add):
    add("a text instead of a section")
