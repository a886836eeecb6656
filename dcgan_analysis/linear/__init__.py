"""Linear classification of features: the L2-SVM, in memory or from a store, for a grid of C.

Names are imported on first use, because they need torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dcgan_analysis.linear.dual import DrawFits, fit_draws
    from dcgan_analysis.linear.path import SVMPath, l2svm_path
    from dcgan_analysis.linear.probing import FewLabelProbe, Probe, few_label_probe, probe
    from dcgan_analysis.linear.rows import ArrayRows, RowSource, as_rows, gather
    from dcgan_analysis.linear.scaling import ScaledRows, Standardisation, learn_standardisation
    from dcgan_analysis.linear.svm import L2SVM
    from dcgan_analysis.linear.transforms import JoinedRows, MeanRows, RootRows

__all__ = [
    "L2SVM",
    "ArrayRows",
    "DrawFits",
    "FewLabelProbe",
    "JoinedRows",
    "MeanRows",
    "Probe",
    "RootRows",
    "RowSource",
    "SVMPath",
    "ScaledRows",
    "Standardisation",
    "as_rows",
    "few_label_probe",
    "fit_draws",
    "gather",
    "l2svm_path",
    "learn_standardisation",
    "probe",
]

_HOMES = {
    "L2SVM": "svm",
    "ArrayRows": "rows",
    "DrawFits": "dual",
    "FewLabelProbe": "probing",
    "Probe": "probing",
    "RowSource": "rows",
    "SVMPath": "path",
    "ScaledRows": "scaling",
    "Standardisation": "scaling",
    "as_rows": "rows",
    "few_label_probe": "probing",
    "fit_draws": "dual",
    "gather": "rows",
    "l2svm_path": "path",
    "learn_standardisation": "scaling",
    "JoinedRows": "transforms",
    "MeanRows": "transforms",
    "RootRows": "transforms",
    "probe": "probing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
