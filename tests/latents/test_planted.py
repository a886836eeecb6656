from __future__ import annotations

import numpy as np

from dcgan_analysis.latents.planted import ANY, SHARES, Power, measure_power, power_metrics, verdict


def power_of(rates, draws=10):
    found = np.array([[at < rate * draws for at in range(draws)] for rate in rates])
    return Power({ANY: found})


def test_a_verdict_of_none_needs_the_power_to_find_copies():
    strong, weak = power_of([0, 0.2, 0.5, 0.7, 0.8, 0.9, 1]), power_of([0, 0, 0, 0, 0.7, 0.7, 1])
    assert verdict(["hashes"], weak) == "signs of memorisation (hashes)"
    assert verdict([], strong) == "no sign of memorisation (5 % planted copies are found in 80 % of draws)"
    assert verdict([], weak) == "cannot tell (5 % planted copies are found in 70 % of draws)"
    assert (strong.least(ANY), weak.least(ANY), power_of([0] * len(SHARES)).least(ANY)) == (0.05, 0.1, None)
    assert [weak.answer(ANY, sign=sign) for sign in (True, False)] == ["yes", "cannot tell"]


def test_power_rises_with_the_share_of_copies():
    def signs(kept, copies):
        return {"many": len(copies) > 3, "most": len(copies) > 8}

    power = measure_power(signs, 100, 10, draws=5, rng=np.random.default_rng(0))
    assert power.detected["many"].mean(axis=1).tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert power.detected["most"].mean(axis=1).tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert (power.detected[ANY] == power.detected["many"]).all()
    metrics = power_metrics(power)
    assert (metrics["power"].value, metrics["power"].n, metrics["least_found"].value) == (1, 5, 0.05)
