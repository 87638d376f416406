"""The commands as a user types them, in processes of their own: output, exit codes, messages."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import hardneg
from hardneg.config import Config
from hardneg.plan.checkup import check_run

Command = Callable[..., "subprocess.CompletedProcess[str]"]
TOPICS = ["river", "engine", "violin", "glacier", "orchard", "harbour", "lantern", "saddle"]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [
        {
            "query": f"what is said of the {a} and the {b}?",
            "positive": f"The {a} and the {b}: note {i} on the {a}.",
        }
        for i, (a, b) in enumerate((a, b) for a in TOPICS for b in TOPICS if a != b)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


BM25 = ["--retriever", "bm25", "--relative-margin", "none"]


def test_mine_select_export_and_inspect(hardneg_command: Command, pairs: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "train.jsonl"
    mined = hardneg_command("mine", pairs, "--run-dir", run, *BM25, "--to", "st-triplet", "--output", out)
    assert (mined.returncode, "Traceback" in mined.stderr) == (0, False), mined.stderr
    assert f"run directory: {run}" in mined.stdout
    assert len(out.read_text().splitlines()) == 56 * 4
    again = hardneg_command("select", run, "--name", "random", "--sampler", "random", "--seed", "3", "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["queries"]["full"] == 56
    trec = tmp_path / "random.trec"
    assert hardneg_command("export", run, "--selection", "random", "--to", "trec", "-o", trec).returncode == 0
    assert len(trec.read_text().splitlines()) == 56 * 4
    query = hardneg.open_run(run).outcomes["query_id"][0].as_py()
    shown = hardneg_command("inspect", run, "--query", query)
    assert shown.returncode == 0, shown.stderr
    assert "positive" in shown.stdout and "selected" in shown.stdout
    preview = hardneg_command("select", run, "--preview")
    assert preview.returncode == 0, preview.stderr
    assert sorted(path.name for path in (run / "selections").iterdir()) == ["default", "random"]


def test_the_same_command_again_does_nothing_twice(
    hardneg_command: Command, pairs: Path, tmp_path: Path
) -> None:
    arguments = ["mine", pairs, "--run-dir", tmp_path / "run", *BM25]
    assert hardneg_command(*arguments).returncode == 0
    before = (tmp_path / "run" / "selections" / "default" / "negatives.parquet").read_bytes()
    again = hardneg_command(*arguments)
    assert "search: unchanged" in again.stderr
    assert (tmp_path / "run" / "selections" / "default" / "negatives.parquet").read_bytes() == before


def test_quiet_says_nothing_and_json_is_json(hardneg_command: Command, pairs: Path, tmp_path: Path) -> None:
    quiet = hardneg_command("mine", pairs, "--run-dir", tmp_path / "a", *BM25, "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    machine = hardneg_command("mine", pairs, "--run-dir", tmp_path / "b", *BM25, "--json", "--quiet")
    assert json.loads(machine.stdout)["queries"]["total"] == 56


def test_a_runs_manifest_given_back_makes_the_same(
    hardneg_command: Command, pairs: Path, tmp_path: Path
) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    assert (
        hardneg_command("mine", pairs, "--run-dir", a, *BM25, "--sampler", "random", "--seed", 5).returncode
        == 0
    )
    assert hardneg_command("mine", pairs, "--run-dir", b, "--config", a / "manifest.json").returncode == 0
    for table in ("negatives", "outcomes", "decisions", "positives"):
        name = Path("selections") / "default" / f"{table}.parquet"
        assert (a / name).read_bytes() == (b / name).read_bytes(), table


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["mine", "missing.jsonl"], 2, "missing.jsonl"),
        (["mine", "PAIRS", "--depth", "0"], 2, "depth: must be 1 or more"),
        (["mine", "PAIRS", "--window", "9"], 2, "'9' is no window"),
        (["mine", "PAIRS", "--retriever", "bm52"], 2, "did you mean 'bm25'"),
        (["mine", "PAIRS", "--query-column", "qery"], 2, "qery"),
        (["mine", "PAIRS", "--to", "trec"], 2, "--to FORMAT and --output FILE go together"),
        (["mine", "PAIRS", "--recipe", "bgee"], 2, "did you mean 'bge'"),
        (["mine", "PAIRS", "--config", "nothing.yaml"], 2, "nothing.yaml"),
        (["mine", "PAIRS", "--model", "no/such-model"], 1, "no/such-model"),
        (["select", "nowhere"], 2, "no run directory"),
        (["export", "nowhere", "--to", "trec", "--output", "x"], 2, "no run directory"),
        (["inspect", "nowhere", "--query", "1"], 2, "no run directory"),
        (["mien"], 2, "mien"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    hardneg_command: Command, pairs: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    given = [str(pairs) if a == "PAIRS" else a for a in arguments]
    if given[0] == "mine":
        given += ["--run-dir", str(tmp_path / "run")]
    result = hardneg_command(*given)
    assert result.returncode == code, result.stderr
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert "Traceback" not in result.stderr


def test_debug_shows_the_traceback(hardneg_command: Command) -> None:
    assert "Traceback" in hardneg_command("mine", "missing.jsonl", "--debug").stderr


def test_dry_run_estimates_and_writes_no_run(hardneg_command: Command, pairs: Path, tmp_path: Path) -> None:
    result = hardneg_command("mine", pairs, "--run-dir", tmp_path / "run", *BM25, "--dry-run", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["queries"] == 56
    assert found["disk_bytes"] > 0 and found["memory_bytes"] > 0 and found["seconds"] >= 0
    assert not (tmp_path / "run").exists()


def test_version(hardneg_command: Command) -> None:
    assert hardneg_command("--version").stdout.startswith("hardneg 0.")


def test_the_help_names_the_defaults(hardneg_command: Command) -> None:
    shown = " ".join(hardneg_command("select", "--help").stdout.replace("│", " ").split())
    assert "(default: 0.8)" in shown and "(default: auto)" in shown


def test_the_help_names_the_default_rule_and_what_it_lost_in_the_benchmark(hardneg_command: Command) -> None:
    shown = " ".join(hardneg_command("mine", "--help").stdout.split())
    stored = json.loads((Path(__file__).parents[2] / "benchmarks/results/trial.json").read_text())
    lost = {row["rule"]: row["full, own rate"] for row in stored["regret"]}
    assert min(lost.values()) == lost["margin-backfill"]
    assert f"lost least against the best, {lost['margin-backfill']} nDCG@10 on average" in shown
    assert f"not filled up {lost['margin']}, random documents alone {lost['random']}" in shown
    assert f"the top candidates {lost['top']}, no hard negatives {lost['in-batch only']}" in shown
    of_all = {row["rule"]: row["of all"] for row in stored["regret"]}
    assert f"alone lost less, {of_all['random']} against {of_all['margin-backfill']}" in shown
    assert "--relative-margin 0.05 --shortfall backfill" in shown
    select = Config().select
    assert (select.relative_margin, select.shortfall, select.sampler) == (0.05, "backfill", "top")


def test_the_module_runs_like_the_command(hardneg_command: Command) -> None:
    asked = [sys.executable, "-m", "hardneg", "--version"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert said == hardneg_command("--version").stdout


def test_a_config_file_holds_all_flags(hardneg_command: Command, pairs: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "train.jsonl"
    lines = [f"run_dir: {run}", "retriever: bm25", "window: 0:20", "relative-margin: none", "name: mine"]
    lines += ["num_negatives: 3", "seed: 7", "to: flagembedding", f"output: {out}", "sampler: random"]
    (tmp_path / "config.yaml").write_text("\n".join(lines) + "\n")
    config = ["--config", tmp_path / "config.yaml"]
    mined = hardneg_command("mine", pairs, *config, "--num-negatives", 2)
    assert mined.returncode == 0, mined.stderr
    found = hardneg.open_run(run, selection="mine")
    assert (found.config["window"], found.config["seed"]) == ([0, 20], 7)
    assert found.negatives.num_rows == 56 * 2
    assert len(out.read_text().splitlines()) == 56
    # The same file, and a manifest, do for `select`, which takes what is its own.
    for name, file in (("file", config[1]), ("manifest", run / "manifest.json")):
        again = hardneg_command("select", run, "--config", file, "--name", name, "--num-negatives", 2)
        assert again.returncode == 0, again.stderr
        assert hardneg.open_run(run, selection=name).negatives.equals(found.negatives)


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell closes the streams")
@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed(pairs: Path, tmp_path: Path, closed: str) -> None:
    """As some schedulers start a process: nothing fails, and no file gets what is printed."""
    run, out = tmp_path / "run", tmp_path / "train.jsonl"
    words = ["mine", pairs, "--run-dir", run, *BM25, "--to", "st-triplet", "--output", out]
    call = shlex.join([sys.executable, "-m", "hardneg", *map(str, words)])
    ended = subprocess.run(["sh", "-c", f"{call} {closed}"], capture_output=True, text=True, check=False)
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr
    assert len(out.read_text().splitlines()) == 56 * 4
    assert not check_run(run).findings
    words[1] = tmp_path / "none.jsonl"
    call = shlex.join([sys.executable, "-m", "hardneg", *map(str, words)])
    assert subprocess.run(["sh", "-c", f"{call} {closed}"], capture_output=True, check=False).returncode == 2
