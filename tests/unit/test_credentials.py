"""Values of variables that are named like secrets, and what a URL says before its @."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from hardneg.config import Config, build
from hardneg.credentials import hidden, holds_credential
from hardneg.errors import HardnegError, InputError, UsageError
from hardneg.export.options import ExportOptions
from hardneg.json_log import event_line
from hardneg.read import load


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:pass@host/org/model", "https://***@host/org/model"),
        ("http://token@host", "http://***@host"),
        ("https://user:p@ss'word@host/x", "https://***@host/x"),
        ("https://host/x?split=a&api_key=abc%2F1#top", "https://host/x?split=a&api_key=***#top"),
        (
            "https://host/x?X-Amz-Signature=ab12&X-Amz-Expires=9",
            "https://host/x?X-Amz-Signature=***&X-Amz-Expires=9",
        ),
        ("https://host/x?key=abc", "https://host/x?key=***"),
        ("https://host/x?monkey=abc&keyword=b", None),
        ("hf_abcdefghijklmnopqrstuv", "***"),
        ("key sk-abcdefghijklmnopqrstuv.", "key ***."),
        ("a@b, https://host/a@b, hf_short, risk-averse-and-long-enough-words", None),
    ],
)
def test_by_shape(text: str, shown: str | None) -> None:
    assert hidden(text) == (text if shown is None else shown)


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "HF_HUB_TOKEN",
        "OPENAI_API_KEY",
        "OPENAI_APIKEY",
        "API_KEY_2",
        "AWS_SECRET_ACCESS_KEY",
        "PGPASSWORD",
    ],
)
def test_by_variable(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "canary value")
    assert holds_credential("models/canary value/x")


@pytest.mark.parametrize("value", ["canary-canary\n", " canary-canary\r\n", "first line\ncanary-canary"])
def test_a_value_out_of_a_file_is_known_line_by_line(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("SOME_API_KEY", value)
    assert hidden("got canary-canary.") == "got ***."


def test_a_value_is_known_however_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    value = 'caná\\ry "and" it\'s'
    monkeypatch.setenv("SOME_API_KEY", value)
    for written in (value, json.dumps(value), repr(value), quote(value, safe="")):
        assert "can" not in hidden(written), written
    assert "can" not in event_line("note", message=f"got {value}")


def test_a_switch_or_a_path_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "tokenizers")
    monkeypatch.setenv("SOME_TOKEN", "true")
    monkeypatch.setenv("HF_TOKEN_PATH", "/home/me/token")
    assert not holds_credential("tokenizers true /home/me/token")


def test_an_error_holds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "canary-canary")
    assert str(HardnegError("got canary-canary")) == "got ***"
    assert "canary" not in str(InputError("is bad", file="x/canary-canary", row_id="canary-canary"))


def test_an_error_that_is_cut_short_holds_no_half_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "canary-" * 20)
    for before in range(560, 720, 10):
        assert "canary" not in str(HardnegError("x" * before + "canary-" * 20 + "y" * 900))


def test_settings_and_sources_with_one_are_refused(tmp_path: Path) -> None:
    for values in ({"model": "https://u:p@host/m"}, {"retriever": ("bm25", "dense:https://u:p@host/m")}):
        with pytest.raises(UsageError, match=rf"{next(iter(values))}: holds a token, key or password"):
            Config.from_flat(values)
    with pytest.raises(UsageError, match="text: holds a token"):
        build(ExportOptions, {"text": "https://u:p@host"})
    with pytest.raises(UsageError, match="source: holds a token"):
        load("https://u:p@host/data")
