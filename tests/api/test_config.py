from __future__ import annotations

from typing import Literal

import pytest
from pydantic import Field, model_validator

from dcgan_analysis.api import AnalysisConfig
from dcgan_analysis.core.settings import parse_assignments, read_toml
from dcgan_analysis.errors import ConfigError


class Config(AnalysisConfig):
    draws: int = Field(default=5, ge=1, le=100)
    mode: Literal["running", "batch"] = "running"
    levels: tuple[float, ...] = (0.1, 1.0)
    low: float = 0.0
    high: float = 1.0

    @model_validator(mode="after")
    def _ordered(self):
        if self.low > self.high:
            msg = f"low {self.low} is above high {self.high}"
            raise ValueError(msg)
        return self


def test_what_is_not_given_has_its_default():
    assert Config.build({}) == Config()
    assert Config.build({"draws": 7}).model_dump() == {**Config().model_dump(), "draws": 7}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"drawz": 1}, r"Unknown setting 'drawz'\. Did you mean 'draws'\? Available: draws, mode, levels, low, high\."),
        ({"zzz": 1}, r"Unknown setting 'zzz'\. Available: draws"),
        ({"draws": "many"}, r"draws: must be a valid integer.*, got 'many'\."),
        ({"draws": 0}, r"draws: must be greater than or equal to 1, got 0\."),
        ({"mode": "exact"}, r"mode: must be 'running' or 'batch', got 'exact'\."),
        ({"levels": [0.1, "x"]}, r"levels\.1: must be a valid number.*, got 'x'\."),
        ({"low": float("nan")}, r"low: must be a finite number, got nan\."),
        ({"low": 3.0, "high": 2.0}, r"^settings: low 3\.0 is above high 2\.0\.$"),
        ({"draws": 0, "mode": "x"}, r"draws: must be .*; mode: must be"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value_and_what_is_allowed(settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Config.build(settings)
    assert "\n" not in str(caught.value)


def test_an_analysis_without_settings_says_so():
    with pytest.raises(ConfigError, match=r"Unknown setting 'draws'\. Available: none\."):
        AnalysisConfig.build({"draws": 1})


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Config().draws = 3


def test_assignments_are_toml_values_or_plain_strings():
    pairs = ["a=1", "b=0.5", "c=[1, 2]", "d=true", 'e="x y"', "f=last-10000", "g=a=b", " h =3", "i="]
    expected = {"a": 1, "b": 0.5, "c": [1, 2], "d": True, "e": "x y", "f": "last-10000", "g": "a=b", "h": 3, "i": ""}
    assert parse_assignments(pairs) == expected


def test_the_last_assignment_of_a_key_wins():
    assert parse_assignments(["a=1", "a=2"]) == {"a": 2}


@pytest.mark.parametrize("pair", ["draws", "=3", ""])
def test_an_assignment_without_key_or_value_is_refused(pair):
    with pytest.raises(ConfigError, match=rf"--set takes key=value, got '{pair}'\. Example: "):
        parse_assignments([pair])


def test_a_value_cannot_smuggle_in_further_settings():
    assert set(parse_assignments(["a=1\nb = 2"])) == {"a"}


def test_settings_are_read_from_toml(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text("draws = 3\nlevels = [0.1]\n", encoding="utf-8")
    assert read_toml(path) == {"draws": 3, "levels": [0.1]}


def test_an_absent_settings_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"Configuration file '.*absent\.toml' does not exist\."):
        read_toml(tmp_path / "absent.toml")


@pytest.mark.parametrize("content", [b"draws: 3", b"\xff\xfe"])
def test_a_settings_file_that_is_no_toml_is_named(content, tmp_path):
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"settings\.toml' is not TOML: ") as caught:
        read_toml(path)
    assert "\n" not in str(caught.value)
