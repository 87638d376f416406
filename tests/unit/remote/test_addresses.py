"""What an address is, and what is none."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

import hardneg
from hardneg.remote import address_of, name_of, refuse_remote_inputs


@pytest.mark.parametrize(
    ("named", "address"),
    [
        ("s3://bucket/key.jsonl", "s3://bucket/key.jsonl"),
        ("gs://bucket", "gs://bucket"),
        ("hf://datasets/owner/name/file.parquet", "hf://datasets/owner/name/file.parquet"),
        (PurePosixPath("s3://bucket/key"), "s3://bucket/key"),
        ("owner/name", None),
        ("hf:owner/name", None),
        ("data/s3://odd", None),
        ("C:/data", None),
        ("run:/data/run.trec", None),
        (["s3://bucket/key"], None),
    ],
    ids=lambda value: str(value),
)
def test_addresses_are_told_from_paths(named: object, address: str | None) -> None:
    assert address_of(named) == address


def test_another_scheme_is_named_with_those_that_there_are() -> None:
    with pytest.raises(hardneg.UsageError, match="ftp:// is not read; there are s3://, "):
        hardneg.load("ftp://host/pairs.jsonl")


def test_the_last_part_is_the_name() -> None:
    assert [name_of("s3://b/a/c.jsonl"), name_of("s3://b/folder/"), name_of("s3://b")] == [
        "c.jsonl",
        "folder",
        "b",
    ]


@pytest.mark.parametrize(
    ("output", "refused"),
    [
        ("s3://b/beir", True),
        ("s3://b/beir/corpus.jsonl", True),
        ("s3://b/beir/qrels/train.tsv", True),
        ("s3://b/beir/triplets.jsonl", False),
        ("s3://b/beir2/corpus.jsonl", False),
    ],
)
def test_an_export_replaces_nothing_that_was_read(output: str, refused: bool) -> None:
    inputs = ["s3://b/beir", "local/file.jsonl"]
    if refused:
        with pytest.raises(hardneg.UsageError, match="input was read from it"):
            refuse_remote_inputs(output, inputs)
    else:
        refuse_remote_inputs(output, inputs)


def test_runs_and_the_cache_lie_on_this_machine(tmp_path: Path) -> None:
    rows = [{"query": "a river", "positive": "the river"}]
    with pytest.raises(hardneg.UsageError, match="s3://b/run: a run directory must lie on this machine"):
        hardneg.mine(rows, run_dir="s3://b/run")
    with pytest.raises(hardneg.UsageError, match="s3://b/run: a run directory must lie on this machine"):
        hardneg.open_run(Path("s3://b/run"))
    with pytest.raises(hardneg.UsageError, match="s3://b/cache: the cache must lie on this machine"):
        hardneg.mine(rows, run_dir=tmp_path / "run", cache_dir="s3://b/cache")


def test_what_is_read_from_this_disk_only_says_so(tmp_path: Path) -> None:
    rows = [{"query": f"river {n}", "positive": f"the river {n}"} for n in range(3)]
    with pytest.raises(hardneg.UsageError, match="s3://b/run.trec: this must lie on this machine"):
        hardneg.mine(rows, run_dir=tmp_path / "run", retriever="run:s3://b/run.trec")
