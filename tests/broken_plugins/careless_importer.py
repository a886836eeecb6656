"""An importer that takes whatever it is given for weights."""

from __future__ import annotations

from dcgan_analysis.api.hookspecs import hookimpl
from dcgan_analysis.checkpoints.importers.contract import WeightImporter


def load(request):
    return {"weights": request.path.read_bytes()}


@hookimpl
def dcgan_register_importers(register):
    register(WeightImporter("careless", "Reads anything.", load))
