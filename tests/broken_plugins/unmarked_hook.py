from __future__ import annotations


def dcgan_register_analyses(register):
    raise NotImplementedError
