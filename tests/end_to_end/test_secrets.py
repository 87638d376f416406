"""Tokens, keys and passwords: none is ever in a run, a cache, a log or an error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import hardneg
from hardneg.errors import HardnegError

Tally = Callable[..., None]
COMMAND = [sys.executable, "-c", "from hardneg.cli import main; main()"]
SECRETS = {
    "HF_TOKEN": "hf_canaryOne1234567890abcd",
    "HF_HUB_TOKEN": "canary-two-1234567890",
    "HUGGING_FACE_HUB_TOKEN": "canary-three-1234567890",
    "OPENAI_API_KEY": "sk-canaryfour1234567890abcd",
    "AWS_SECRET_ACCESS_KEY": "canary/five+1234567890",
    "HTTPS_PROXY": "http://someone:canary-six-1234567890@127.0.0.1:9",
}
IN_URL = "https://someone:canary-seven-1234567890@huggingface.co/org/name"
FAMILIAR = [value.rpartition("@")[0].rpartition(":")[2] or value for value in (*SECRETS.values(), IN_URL)]
"""What is looked for."""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [{"query": f"river {n}", "positive": f"river engine {n}"} for n in range(9)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def found(place: Path, printed: str) -> list[str]:
    """Where a secret stands: what was printed, names of files, and their bytes."""
    places = [f"printed: {secret}" for secret in FAMILIAR if secret in printed]
    for path in place.rglob("*"):
        data = str(path).encode() + (path.read_bytes() if path.is_file() else b"")
        places += [f"{path}: {secret}" for secret in FAMILIAR if secret.encode() in data]
    return places


COMMANDS: dict[str, tuple[list[str], int]] = {
    "mine": (["mine", "{source}", "--run-dir", "{out}/run", "--retriever", "bm25", "--json"], 0),
    "a token as an argument": (
        ["mine", "{source}", "--run-dir", "{out}/run", "--query-prompt", "{token}"],
        2,
    ),
    "a token in a path": (["mine", "{source}", "--run-dir", "{out}/{token}/run"], 2),
    "a token in an option that is none": (["mine", "{source}", "--token={token}"], 2),
    "a model's address": (["mine", "{source}", "--run-dir", "{out}/run", "--model", IN_URL, "--debug"], 2),
    "a source's address": (["mine", IN_URL, "--run-dir", "{out}/run", "--debug"], 2),
    "settings with a token": (["mine", "{source}", "--run-dir", "{out}/run", "--config", "{config}"], 2),
    "no such run": (["inspect", "{out}/nothing", "--query", "x", "--debug"], 2),
}
REACHING: dict[str, tuple[list[str], int]] = {
    "no such model": (["mine", "{source}", "--run-dir", "{out}/run", "--model", "org/private", "--debug"], 1),
    "no such data set": (["mine", "org/private", "--run-dir", "{out}/run", "--debug"], 2),
    "no such cross-encoder": (
        [
            "mine",
            "{source}",
            "--run-dir",
            "{out}/run",
            "--retriever",
            "bm25",
            "--cross-encoder",
            "org/private",
        ],
        1,
    ),
}


def check(words: list[str], code: int, source: Path, out: Path, tally: Tally, **environment: str) -> None:
    out.mkdir()
    config = source.parent / "settings.yaml"
    config.write_text(json.dumps({"model": IN_URL, "document_prompt": SECRETS["HF_TOKEN"]}))
    names = {
        "{source}": str(source),
        "{out}": str(out),
        "{config}": str(config),
        "{token}": SECRETS["HF_TOKEN"],
    }
    for name, value in names.items():
        words = [word.replace(name, value) for word in words]
    ended = subprocess.run(
        [*COMMAND, *words],
        capture_output=True,
        text=True,
        cwd=out,
        env={
            **os.environ,
            **SECRETS,
            "HARDNEG_CACHE": str(out / "cache"),
            "HF_HOME": str(out / "hub"),
            **environment,
        },
        check=False,
    )
    places = found(out, ended.stdout + ended.stderr)
    tally("commands beside secrets, secrets found", tried=1, failed=len(places))
    assert not places
    assert ended.returncode == code, ended.stderr


@pytest.mark.reliability
@pytest.mark.parametrize("command", ["mine", "a token as an argument", "a model's address"])
def test_no_secret_is_kept_or_shown(source: Path, tmp_path: Path, tally: Tally, command: str) -> None:
    words, code = COMMANDS[command]
    check(words, code, source, tmp_path / "out", tally, HF_HUB_OFFLINE="1")


@pytest.mark.slow
@pytest.mark.reliability
@pytest.mark.parametrize("command", [*COMMANDS, *REACHING])
def test_no_secret_is_kept_or_shown_by_any_command(
    source: Path, tmp_path: Path, tally: Tally, command: str
) -> None:
    words, code = {**COMMANDS, **REACHING}[command]
    check(words, code, source, tmp_path / "out", tally, HF_HUB_OFFLINE="1")


@pytest.mark.slow
@pytest.mark.reliability
@pytest.mark.parametrize("command", REACHING)
def test_nor_by_one_that_asks_the_hub_through_a_proxy(
    source: Path, tmp_path: Path, tally: Tally, command: str
) -> None:
    words, code = REACHING[command]
    quick = {"HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1", "HF_HUB_OFFLINE": "0"}
    check(words, code, source, tmp_path / "out", tally, **quick)


def test_an_error_in_python_holds_none(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    for settings in ({"model": IN_URL}, {"exclude_docs": SECRETS["AWS_SECRET_ACCESS_KEY"]}):
        with pytest.raises(HardnegError) as raised:
            hardneg.mine(str(source), run_dir=tmp_path / "out", **settings)
        assert not found(tmp_path / "out", str(raised.value))
    with pytest.raises(HardnegError) as raised:
        hardneg.load(str(tmp_path / SECRETS["HF_HUB_TOKEN"]))
    assert not found(tmp_path / "out", str(raised.value))
