"""Nothing that moves a cursor, turns a line around or hides in it reaches a terminal; JSON stays the same."""

from __future__ import annotations

import io
import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardneg.terminal import MARKS, Guarded, printable, show_json, true_stderr

ANYTHING = st.text(st.characters(codec=None))
HIDDEN = ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\u001b[31mred\\u001b[0m"),
        ("\x1b]8;;http://x\x07link", "\\u001b]8;;http://x\\u0007link"),
        ("\x9b31m", "\\u009b31m"),
        ("a\r\nb\tc\x08\x7f", "a\\u000d\\u000ab\\u0009c\\u0008\\u007f"),
        ("\u202eevil\u2066\u200e\u061c", "\\u202eevil\\u2066\\u200e\\u061c"),
        ("a\u200bb\ufeffc\u00add", "a\\u200bb\\ufeffc\\u00add"),
        ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
        ("\U000e0041", "\\udb40\\udc41"),
        ("\u3164\u2800", "\\u3164\\u2800"),
        ("\ud800", "\\ud800"),
        ("e" + "\u0301" * (MARKS + 2), "e" + "\u0301" * MARKS + "\\u0301\\u0301"),
        ("[red]plain[/red] [link=x]", "[red]plain[/red] [link=x]"),
        (
            "plain, Ünïcode, 漢字\u3000かな, \U0001f600 \u00a0",
            "plain, Ünïcode, 漢字\u3000かな, \U0001f600 \u00a0",
        ),
    ],
)
def test_what_is_no_plain_character_is_shown(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


@given(ANYTHING)
def test_one_line_of_plain_characters(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert not [c for c in shown if unicodedata.category(c) in HIDDEN]
    shown.encode("utf-8")


@given(ANYTHING)
def test_a_line_of_json_gives_back_every_character(text: str) -> None:
    line = printable(json.dumps({text: [text]}, ensure_ascii=False))
    assert json.loads(line) == {text: [text]}


def test_json_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"a\x1b\u202e\U000e0041": "\x7f"})
    line = capsys.readouterr().out
    assert line == '{"a\\u001b\\u202e\\udb40\\udc41": "\\u007f"}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        show_json({"score": float("nan")})


def test_standard_error_is_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "very-secret-value")
    behind = io.StringIO()
    monkeypatch.setattr(sys, "stderr", Guarded(behind))
    print("one\x1b]52;c;eA==\x07\ntwo \x1b[31mred\x1b[0m very-secret-value", file=sys.stderr)
    sys.stderr.writelines(["https://me:hf_word@host/x\n"])
    assert behind.getvalue() == ("one\\u001b]52;c;eA==\\u0007\ntwo red ***\nhttps://***@host/x\n")
    assert not sys.stderr.isatty()
    assert true_stderr() is behind
