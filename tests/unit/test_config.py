"""Configuration: the default one, files laid over it, its schema."""

import dataclasses
import json
import tomllib
from pathlib import Path

import jsonschema
import pytest

from engine import config, units
from engine.config import loader
from engine.errors import ConfigError


def load_text(tmp_path: Path, text: str) -> config.Settings:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    return config.load(path)


def test_the_plans_are_those_of_the_service() -> None:
    """S1, S2, S3, S4, U1, R2"""
    settings = config.load(None)
    facts = {
        plan.name: (plan.sims_max, plan.bundle_bytes, plan.restriction_bytes)
        for plan in settings.plans
    }
    assert facts == {
        "minimum-start": (1, 0, 3_000_000 * 128),
        "light-start": (1, units.GB, 1_000_000 * 128),
        "family-share": (3, units.GB, 3_000_000 * 128),
    }
    speeds = {(plan.high_down_bps, plan.high_up_bps) for plan in settings.plans}
    assert speeds == {(112_500_000, 37_500_000)}
    assert settings.plan("light-start").title == "Light Start"
    with pytest.raises(KeyError):
        settings.plan("giga")


def test_speeds_and_restriction_of_the_default() -> None:
    """P2, R3, R4, D1"""
    settings = config.load(None)
    assert settings.speed.slow.rate_bps == 200 * units.KBIT_PER_S
    assert settings.speed.restricted.rate_bps == 50 * units.KBIT_PER_S
    assert settings.restriction == config.Restriction(enabled=True, effective="immediate")
    assert (settings.count, settings.first_slice) == ("inner-ip", "attach")
    assert (settings.limiter, settings.police) == ("shape", config.Police())
    assert settings.plan(settings.default_plan).sims_max == 1


def test_settings_cannot_be_changed() -> None:
    settings = config.load(None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.default_plan = "light-start"  # type: ignore[misc]


def test_the_default_is_found_in_the_checkout_and_in_an_installed_package(
    tmp_path: Path, project: Path
) -> None:
    assert config.default_path() == project / "configs" / "iijmio.toml"
    folder = tmp_path / "engine" / "config"
    folder.mkdir(parents=True)
    (folder / "iijmio.toml").write_text("")
    assert config.default_path(folder) == folder / "iijmio.toml"
    (folder / "iijmio.toml").unlink()
    with pytest.raises(ConfigError, match="install again"):
        config.default_path(folder)
    with (project / "pyproject.toml").open("rb") as file:
        wheel = tomllib.load(file)["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"]["configs/iijmio.toml"] == "engine/config/iijmio.toml"


def test_a_broken_default_is_told_and_not_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "iijmio.toml"
    broken.write_text("count = ")
    monkeypatch.setattr(loader, "default_path", lambda: broken)
    with pytest.raises(ConfigError, match=r"iijmio\.toml:1:9: not TOML: Invalid value"):
        load_text(tmp_path, "")


def test_a_file_needs_only_what_differs(tmp_path: Path) -> None:
    """S5"""
    default = config.load(None)
    assert load_text(tmp_path, "") == default
    settings = load_text(tmp_path, "[speed.slow]\nrate_bps = 128_000\n")
    assert settings.speed.slow == dataclasses.replace(default.speed.slow, rate_bps=128_000)
    assert dataclasses.replace(settings, speed=default.speed) == default


def test_lists_replace_the_whole_list(tmp_path: Path) -> None:
    """S5, X2: newer plans need no code."""
    settings = load_text(
        tmp_path,
        """
        default_plan = "giga-3"
        ue_nets = []
        [[plan]]
        name = "giga-3"
        title = "ギガ 3"
        sims_max = 10
        bundle_bytes = 3221225472
        high_down_bps = 1_000_000_000
        high_up_bps = 100_000_000
        restriction_bytes = 0
        price_yen_per_month = 850
        [exempt]
        endpoint = [{name = "all", prefixes = ["198.51.100.7", "2001:DB8::/32"]}]
        """,
    )
    assert [plan.name for plan in settings.plans] == ["giga-3"]
    assert settings.plans[0].price_yen_per_month == 850
    assert settings.ue_nets == ()
    (endpoint,) = settings.exempt.endpoints
    assert endpoint.prefixes == ("198.51.100.7/32", "2001:db8::/32")
    assert (endpoint.protocol, endpoint.ports) == ("any", ())


def test_show_is_what_a_file_would_say(tmp_path: Path) -> None:
    settings = config.load(None)
    shown = json.loads(json.dumps(config.show(settings)))
    assert shown == json.loads(json.dumps(tomllib.loads(config.example()), default=str))
    priced = dataclasses.replace(settings.plans[0], price_yen_per_month=0)
    dearer = dataclasses.replace(settings, plans=(priced,))
    assert config.show(dearer)["plan"][0]["price_yen_per_month"] == 0


def test_example_is_a_configuration_with_comments() -> None:
    text = config.example()
    assert config.check(text, "example") == []
    assert text.startswith("# ")


def test_schema_takes_what_load_takes_and_refuses_what_it_refuses() -> None:
    schema = config.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    # What JSON has for a date is its text.
    validator.validate(json.loads(json.dumps(tomllib.loads(config.example()), default=str)))
    validator.validate({"speed": {"slow": {"rate_bps": 1}}, "police": {"peak_percent": 150}})
    validator.validate({"exempt": {"charge": True, "rating_group": [{"id": 1, "name": "g"}]}})
    wrong_group = {"exempt": {"rating_group": [{"id": 0, "name": "g"}]}}
    for wrong in (
        wrong_group,
        {"x": 1},
        {"speed": {"slow": {"rate_bps": 0}}},
        {"plan": [{"name": "a"}]},
    ):
        assert not validator.is_valid(wrong)


def test_the_bounds_keep_credits_in_int64() -> None:
    """U4: bit-ns of the largest bucket, and of any queue that is let through."""
    from engine.config import model

    assert model.BUCKET_BYTES_MAX * units.CREDIT_PER_BYTE < 1 << 62
    assert model.CREDIT_LIMIT == 1 << 62
