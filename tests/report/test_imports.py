from __future__ import annotations

from operator import attrgetter

import pytest

from dcgan_analysis import figures, report


@pytest.mark.parametrize("package", [report, figures])
def test_all_public_names_can_be_reached_and_others_say_so(package):
    assert all(getattr(package, name) for name in package.__all__)
    with pytest.raises(AttributeError, match="attribute nothing"):
        attrgetter("nothing")(package)
