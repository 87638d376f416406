"""Values of variables that are named like secrets, and what a URL says before its @."""

from __future__ import annotations

from pathlib import Path

import pytest

from hardneg.config import Config, build
from hardneg.credentials import hidden, holds_credential
from hardneg.errors import HardnegError, InputError, UsageError
from hardneg.export.options import ExportOptions
from hardneg.read import load


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://user:pass@host/org/model", "https://***@host/org/model"),
        ("http://token@host", "http://***@host"),
        ("hf_abcdefghijklmnopqrstuv", "***"),
        ("key sk-abcdefghijklmnopqrstuv.", "key ***."),
        ("a@b, https://host/a@b, hf_short, risk-averse-and-long-enough-words", None),
    ],
)
def test_by_shape(text: str, shown: str | None) -> None:
    assert hidden(text) == (text if shown is None else shown)


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "HF_HUB_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD"]
)
def test_by_variable(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "canary value")
    assert holds_credential("models/canary value/x")


def test_a_switch_or_a_path_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "tokenizers")
    monkeypatch.setenv("SOME_TOKEN", "true")
    monkeypatch.setenv("HF_TOKEN_PATH", "/home/me/token")
    assert not holds_credential("tokenizers true /home/me/token")


def test_an_error_holds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "canary-canary")
    assert str(HardnegError("got canary-canary")) == "got ***"
    assert "canary" not in str(InputError("is bad", file="x/canary-canary", row_id="canary-canary"))


def test_settings_and_sources_with_one_are_refused(tmp_path: Path) -> None:
    for values in ({"model": "https://u:p@host/m"}, {"retriever": ("bm25", "dense:https://u:p@host/m")}):
        with pytest.raises(UsageError, match=rf"{next(iter(values))}: holds a token, key or password"):
            Config.from_flat(values)
    with pytest.raises(UsageError, match="text: holds a token"):
        build(ExportOptions, {"text": "https://u:p@host"})
    with pytest.raises(UsageError, match="source: holds a token"):
        load("https://u:p@host/data")
