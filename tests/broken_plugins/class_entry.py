from __future__ import annotations

from dcgan_analysis.api.hookspecs import hookimpl


class Plugin:
    @hookimpl
    def dcgan_register_analyses(self, register):
        raise NotImplementedError
