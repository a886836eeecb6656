"""Products with a feature matrix: the same bits for any number of workers."""

from __future__ import annotations

import pytest
import torch

from dcgan_analysis.core import parallel
from dcgan_analysis.linear import rows as rows_module
from dcgan_analysis.linear.design import Design
from dcgan_analysis.linear.rows import ArrayRows


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_groups_of_blocks_run_side_by_side_and_give_the_same_bits(monkeypatch, dtype):
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(1500, 40, generator=generator).to(dtype)
    coef, dual = (torch.randn(3, size, generator=generator) for size in (41, 1500))
    # Blocks of 32 rows: 47 of them, two to a group, the fourth group of which does not count.
    monkeypatch.setattr(rows_module, "_BLOCK_ELEMENTS", 1 << 10)
    dual[:, 192:256] = 0
    read, results, threads = set(), [], []
    in_threads = parallel._in_threads
    monkeypatch.setattr(parallel, "_in_threads", lambda *args: threads.append(args[-1]) or in_threads(*args))

    class Watched(ArrayRows):
        def read(self, start, stop):
            read.add(start)
            return super().read(start, stop)

    for count in (1, 3):
        monkeypatch.setattr(parallel, "worker_count", lambda device=None, count=count: count)
        design = Design(Watched(matrix), 1.0, "cpu")
        adjoint = design.exact_adjoint(dual)
        assert not read & {192, 224}
        refreshed = design.refresh(coef, lambda scores, span: scores * dual[:, span])
        results.append(torch.cat([design.exact_scores(coef), adjoint, design.adjoint(dual), *refreshed], dim=1))
        read.clear()

    assert torch.equal(*results)
    assert threads == [3] * 4
    whole = torch.cat([matrix.float(), torch.ones(1500, 1)], dim=1).double()
    torch.testing.assert_close(adjoint.double(), dual.double() @ whole, rtol=1e-4, atol=1e-3)
    scores = coef.double() @ whole.T
    torch.testing.assert_close(refreshed[1].double(), (scores * dual) @ whole, rtol=1e-4, atol=1e-2)
