"""The settings: one name each, errors that say which and what, files that go both ways."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardneg.config import STAGES, Config
from hardneg.config_file import load_config_file
from hardneg.errors import InputError, UsageError


def test_every_key_belongs_to_one_stage() -> None:
    keys = [key for stage in STAGES.values() for key in stage.model_fields]
    assert len(keys) == len(set(keys))


def test_the_defaults_are_the_documented_ones() -> None:
    flat = Config().flat()
    expected = {
        "retriever": ["dense"],
        "model": "sentence-transformers/all-MiniLM-L6-v2",
        "depth": 200,
        "window": None,
        "relative_margin": 0.05,
        "reference": "mean",
        "sampler": "top",
        "num_negatives": 4,
        "shortfall": "backfill",
        "split": "train",
        "store_dtype": "float32",
        "seed": 0,
    }
    assert {key: flat[key] for key in expected} == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dept": 100}, "unknown key 'dept'; did you mean 'depth'?"),
        ({"depth": 0}, "depth: must be 1 or more (given: 0)"),
        (
            {"window": "ten"},
            "window: 'ten' is no window; write START:STOP, e.g. 10:210 for raw ranks 11 to 210",
        ),
        ({"window": "30:10"}, "window: '30:10' holds no rank; START must be below STOP"),
        ({"num_negatives": "0"}, "num_negatives: must be a whole number from 1 on, or `all`"),
        ({"num_negatives": "many"}, "num_negatives: must be a whole number from 1 on, or `all`"),
        ({"margin": float("nan")}, "margin: must be a finite number"),
        ({"sampler": "best"}, "sampler: must be one of 'top', 'random'"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Config.from_flat(values)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "window"), [("10:210", (10, 210)), ("5:", (5, None)), (":30", (0, 30)), ([1, 2], (1, 2))]
)
def test_windows_are_written_as_in_the_papers(text: object, window: tuple[int, int | None]) -> None:
    assert Config.from_flat({"window": text}).select.window == window


def test_none_unsets_a_rule() -> None:
    assert Config.from_flat({"relative_margin": "none"}).select.relative_margin is None


def test_what_flat_gives_from_flat_takes_back() -> None:
    config = Config.from_flat({"window": "10:210", "num_negatives": "all", "retriever": ["bm25", "dense"]})
    assert Config.from_flat(json.loads(json.dumps(config.flat()))) == config


def test_a_config_file_takes_flags_spelling_and_a_manifest(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("num-negatives: 7\nwindow: '10:210'\n")
    assert load_config_file(rules) == {"num_negatives": 7, "window": "10:210"}
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"layout": 1, "config": {"depth": 50}}))
    assert load_config_file(manifest) == {"depth": 50}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"depth: [1\n", "line 2: expected ',' or ']'"),
        (b"", "holds no keys"),
        (b"- a\n", "holds no keys"),
        (b"\xff\xfe\x00", "is not UTF-8"),
    ],
)
def test_a_broken_config_file_is_refused_by_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match="rules.yaml") as caught:
        load_config_file(path)
    assert message in str(caught.value)
    with pytest.raises(InputError, match="is no file"):
        load_config_file(tmp_path / "missing.yaml")


@given(
    st.dictionaries(
        st.text(max_size=20), st.one_of(st.none(), st.integers(), st.floats(), st.text()), max_size=3
    )
)
def test_any_settings_give_a_config_or_a_usage_error(values: dict[str, object]) -> None:
    try:
        Config.from_flat(values)
    except UsageError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "setting", [{"max_p": 0.3}, {"max_miss_rate": 0.1}, {"promote": 0.5}, {"label_completeness": 0.5}]
)
def test_what_needs_the_guard_is_refused_without_it(setting: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="guard off gives no probabilities"):
        Config.from_flat({"guard": "off", **setting})
