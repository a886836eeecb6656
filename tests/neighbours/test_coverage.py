from __future__ import annotations

import pytest
import torch

from dcgan_analysis.errors import AnalysisError
from dcgan_analysis.neighbours import coverage


def test_real_images_cover_themselves():
    real = torch.rand(20, 5, generator=torch.Generator().manual_seed(0))
    assert coverage(real, real).all()


def test_samples_of_one_mode_cover_that_mode_alone():
    generator = torch.Generator().manual_seed(0)
    near, far = torch.rand(10, 4, generator=generator), 100 + torch.rand(10, 4, generator=generator)
    covered = coverage(torch.cat([near, far]), near + 0.01, k=3)
    assert covered.tolist() == [True] * 10 + [False] * 10


def test_the_radius_is_that_of_the_kth_other_image():
    real = torch.tensor([[0], [1], [3], [7]], dtype=torch.uint8)
    sample = torch.tensor([[5]], dtype=torch.uint8)
    assert coverage(real, sample, k=1).tolist() == [False, False, True, True]
    assert coverage(real, sample, k=2).tolist() == [False, False, True, True]
    assert coverage(real, sample, k=3).tolist() == [True, True, True, True]


@pytest.mark.parametrize(("real", "generated"), [(5, 1), (6, 0)])
def test_too_few_images_are_refused(real, generated):
    with pytest.raises(AnalysisError, match="Coverage with k = 5 needs more than 5 real and at least one generated"):
        coverage(torch.zeros(real, 2), torch.zeros(generated, 2))
