from __future__ import annotations

import subprocess
import sys
from operator import attrgetter

import pytest

from dcgan_analysis import figures, report


def test_importing_the_report_and_the_figures_imports_nothing_heavy():
    program = (
        "import sys; import dcgan_analysis.report, dcgan_analysis.figures; "
        "print({'matplotlib', 'numpy', 'jinja2', 'PIL', 'torch'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("package", [report, figures])
def test_all_public_names_can_be_reached_and_others_say_so(package):
    assert all(getattr(package, name) for name in package.__all__)
    with pytest.raises(AttributeError, match="attribute nothing"):
        attrgetter("nothing")(package)
