"""`convert`, `check` and exports of folders under an address: what they are on this disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest
from small_collection import BEIR, SETTINGS, jsonl

import hardneg
from hardneg.export.formats import format_named
from hardneg.trainers import MODULES

Memory = Callable[[Mapping[str, bytes]], str]

FORMATS = sorted(MODULES)
BY_ID = {"beir", "trec"}
GROUPS: list[dict[str, Any]] = [
    {
        "query": f"query {n}", "id": f"q{n}", "pos": [f"river {n}"], "neg": [f"hill {n}", f"wood {n}"],
        "pos_id": [f"r{n}"], "neg_id": [f"h{n}", f"w{n}"], "pos_scores": [2.5], "neg_scores": [1.5, 0.5],
    }
    for n in range(3)
]  # fmt: skip
CORPUS = jsonl(
    [
        {"_id": one, "text": text}
        for row in GROUPS
        for side in ("pos", "neg")
        for one, text in zip(row[f"{side}_id"], row[side], strict=True)
    ]
)
QUERIES = jsonl([{"_id": row["id"], "text": row["query"]} for row in GROUPS])
JUDGED = "".join(f"{row['id']} 0 {row['pos_id'][0]} 1\n" for row in GROUPS).encode()
FAULTY = jsonl([*GROUPS, {"query": "query 3", "pos": ["same"], "neg": ["Same ", "other"]}])


def suffix(to: str) -> str:
    return next(iter(format_named(to).kinds)).removesuffix("/")


def files_under(address: str) -> dict[str, bytes]:
    """Names below the address → contents; "" is the address itself, where it is a file."""
    system = fsspec.filesystem("memory")
    base = "/" + address.removeprefix("memory://")
    return {name.removeprefix(base).lstrip("/"): system.cat_file(name) for name in system.find(base)}


def files_in(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {"": path.read_bytes()}
    return {
        one.relative_to(path).as_posix(): one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()
    }


@pytest.mark.parametrize("to", FORMATS)
def test_every_format_is_written_there_and_read_from_there(to: str, memory: Memory, tmp_path: Path) -> None:
    root = memory({"train.jsonl": jsonl(GROUPS), "c.jsonl": CORPUS, "q.jsonl": QUERIES, "j.qrels": JUDGED})
    (tmp_path / "train.jsonl").write_bytes(jsonl(GROUPS))
    for name, content in (("c", CORPUS), ("q", QUERIES)):
        (tmp_path / f"{name}.jsonl").write_bytes(content)
    (tmp_path / "j.qrels").write_bytes(JUDGED)
    here, there = tmp_path / f"new{suffix(to)}", f"{root}/new{suffix(to)}"
    asked = {"positives": False} if to == "beir" else {}

    local = hardneg.convert(tmp_path / "train.jsonl", to, here, **asked)
    sent = hardneg.convert(f"{root}/train.jsonl", to, there, **asked)
    assert files_under(there) == files_in(here)
    assert (sent.source, sent.path) == (f"{root}/train.jsonl", there)
    assert (sent.rows, sent.accounts, sent.remarks) == (local.rows, local.accounts, local.remarks)

    beside_here, beside_there = (
        {"corpus": f"{at}/c.jsonl", "queries": f"{at}/q.jsonl", "qrels": f"{at}/j.qrels"}
        if to in BY_ID
        else {}
        for at in (tmp_path, root)
    )
    checked = hardneg.check(there, format=to, **beside_there)
    assert checked.path == there
    as_here = hardneg.check(here, format=to, **beside_here).as_dict()
    assert {**checked.as_dict(), "path": str(here)} == as_here
    assert checked.rows == len(GROUPS)

    hardneg.convert(here, "flagembedding", tmp_path / "back.jsonl", format=to, **beside_here)
    hardneg.convert(there, "flagembedding", f"{root}/back.jsonl", format=to, **beside_there)
    assert files_under(f"{root}/back.jsonl") == files_in(tmp_path / "back.jsonl")


@pytest.mark.parametrize("to", [to for to in FORMATS if format_named(to).folder])
def test_folders_are_known_there_by_their_files(to: str, memory: Memory, tmp_path: Path) -> None:
    """Converted without the format's name, and mined from."""
    root = memory({"train.jsonl": jsonl(GROUPS)})
    hardneg.convert(f"{root}/train.jsonl", to, f"{root}/folder")
    report = hardneg.convert(f"{root}/folder/", "st-triplet", f"{root}/t.jsonl")
    assert (report.format, report.accounts.negatives) == (to, 6)
    if to != "gpl":  # which is a BEIR folder, too, without judgments where one looks for them
        collection = hardneg.load(f"{root}/folder")
        assert f"read as {to}" in collection.report.notes
        assert (len(collection.queries), len(collection.given)) == (3, 6)


def test_an_export_of_a_folder_is_that_of_this_disk(memory: Memory, beir: Path, tmp_path: Path) -> None:
    root = memory({"other": b"x"})
    mined = hardneg.mine(beir, run_dir=tmp_path / "run", **SETTINGS)
    mined.to("gpl", tmp_path / "gpl")
    report = mined.to("gpl", f"{root}/deep/gpl")
    assert report.path == f"{root}/deep/gpl"
    assert files_under(f"{root}/deep/gpl") == files_in(tmp_path / "gpl")


def test_texts_beside_the_file_may_lie_in_folders_there(memory: Memory, tmp_path: Path) -> None:
    """Of a BEIR folder only the table that is asked for is fetched."""
    beir = {"data/corpus.jsonl": CORPUS, "data/queries.jsonl": QUERIES, "data/large.bin": b"\0" * 9}
    run = "".join(f"{row['id']} Q0 {one} 1 0.5 t\n" for row in GROUPS for one in row["neg_id"]).encode()
    root = memory({**beir, "run.trec": run, "j.qrels": JUDGED})
    system, fetched = type(fsspec.filesystem("memory")), []
    real = system.get_file

    def counted(self: Any, path: str, *rest: Any, **named: Any) -> Any:
        fetched.append(path.rpartition("/")[2])
        return real(self, path, *rest, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system, "get_file", counted)
        report = hardneg.check(
            f"{root}/run.trec", corpus=f"{root}/data", queries=f"{root}/data", qrels=f"{root}/j.qrels"
        )
    assert (report.format, report.rows, report.positives, report.negatives) == ("trec", 3, 3, 6)
    assert sorted(fetched) == ["corpus.jsonl", "j.qrels", "queries.jsonl", "run.trec"]


def test_faults_are_those_of_this_disk_and_their_list_lies_here(memory: Memory, tmp_path: Path) -> None:
    root = memory({"train.jsonl": FAULTY})
    (tmp_path / "train.jsonl").write_bytes(FAULTY)
    here = hardneg.check(tmp_path / "train.jsonl", list_to=tmp_path / "here.jsonl")
    there = hardneg.check(f"{root}/train.jsonl", list_to=tmp_path / "there.jsonl")
    assert there.faults == here.faults == {"positive_among_negatives": 1}
    assert (tmp_path / "there.jsonl").read_bytes() == (tmp_path / "here.jsonl").read_bytes() != b""
    with pytest.raises(
        hardneg.UsageError, match=r"faults\.jsonl: the list of faults must lie on this machine"
    ):
        hardneg.check(f"{root}/train.jsonl", list_to=f"{root}/faults.jsonl")


class TestWhatIsWrong:
    """Said with the address, and nothing is written there."""

    def test_a_fault_that_ends_a_conversion(self, memory: Memory) -> None:
        root = memory({"train.jsonl": FAULTY})
        with pytest.raises(hardneg.InputError) as caught:
            hardneg.convert(f"{root}/train.jsonl", "st-triplet", f"{root}/t.jsonl")
        assert (caught.value.file, caught.value.line) == (f"{root}/train.jsonl", 4)
        assert not fsspec.filesystem("memory").exists(f"{root}/t.jsonl")

    def test_nothing_there_and_texts_that_are_not_named(self, memory: Memory) -> None:
        root = memory({"run.trec": b"q1 Q0 d1 1 0.5 t\n"})
        for call in (
            lambda: hardneg.check(f"{root}/b.jsonl"),
            lambda: hardneg.convert(f"{root}/b.jsonl", "dpr", f"{root}/c.json"),
        ):
            with pytest.raises(hardneg.InputError, match=f"^{root}/b.jsonl: there is no such file or folder"):
                call()
        with pytest.raises(hardneg.UsageError, match=f"^{root}/run.trec: holds ids alone; name the texts"):
            hardneg.check(f"{root}/run.trec")

    def test_inputs_are_not_replaced(self, memory: Memory) -> None:
        root = memory({"train.jsonl": jsonl(GROUPS), "c.jsonl": CORPUS})
        for output in ("train.jsonl", "c.jsonl"):
            with pytest.raises(hardneg.UsageError, match=rf"{output}: input was read from it"):
                hardneg.convert(
                    f"{root}/train.jsonl", "st-triplet", f"{root}/{output}", corpus=f"{root}/c.jsonl"
                )
        assert files_under(f"{root}/c.jsonl") == {"": CORPUS}

    def test_a_folder_is_not_replaced_and_a_bucket_is_none(self, memory: Memory, tmp_path: Path) -> None:
        """Told before anything is read."""
        root = memory({"train.jsonl": jsonl(GROUPS), "taken/train.parquet": b"x"})
        for named in ("taken", "taken/", "train.jsonl"):
            with pytest.raises(hardneg.UsageError, match="something is there, and folders are not replaced"):
                hardneg.convert(f"{root}/gone.jsonl", "pylate-distillation", f"{root}/{named}")
        with pytest.raises(hardneg.UsageError, match="names no folder; write memory://BUCKET/NAME"):
            hardneg.convert(f"{root}/gone.jsonl", "pylate-distillation", "memory://bucket")
        with pytest.raises(hardneg.UsageError, match="names no file; write memory://BUCKET/NAME"):
            hardneg.convert(f"{root}/gone.jsonl", "dpr", f"{root}/x.json/")

    @pytest.mark.parametrize("at", [0, 1, 2])
    def test_a_folder_that_is_not_sent_whole_is_taken_back(
        self, at: int, memory: Memory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = memory({"train.jsonl": jsonl(GROUPS)})
        system = type(fsspec.filesystem("memory"))
        real, opened = system.open, 0

        def breaking(self: Any, path: str, mode: str = "rb", **named: Any) -> Any:
            nonlocal opened
            opened += mode == "wb"
            if mode == "wb" and opened == at + 1:
                raise OSError("the line went dead")
            return real(self, path, mode, **named)

        monkeypatch.setattr(system, "open", breaking)
        with pytest.raises(hardneg.HardnegError, match=r"cannot be written \(the line went dead\)"):
            hardneg.convert(f"{root}/train.jsonl", "pylate-distillation", f"{root}/folder")
        assert files_under(f"{root}/folder") == {}
        monkeypatch.setattr(system, "open", real)
        hardneg.convert(f"{root}/train.jsonl", "pylate-distillation", f"{root}/folder")
        assert set(files_under(f"{root}/folder")) == {"documents.parquet", "queries.parquet", "train.parquet"}

    def test_what_arrives_otherwise_is_damage_and_goes(
        self, memory: Memory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = memory({"train.jsonl": jsonl(GROUPS)})
        system = type(fsspec.filesystem("memory"))
        real = system.cat_file
        monkeypatch.setattr("hardneg.remote.send.file_crc32", lambda path: -1)
        with pytest.raises(hardneg.HardnegError, match=r"folder/documents\.parquet: read back, is not what"):
            hardneg.convert(f"{root}/train.jsonl", "pylate-distillation", f"{root}/folder")
        assert real and files_under(f"{root}/folder") == {}


def test_parquet_there_is_read_by_others(memory: Memory) -> None:
    root = memory({"train.jsonl": jsonl(GROUPS)})
    hardneg.convert(f"{root}/train.jsonl", "arctic", f"{root}/arctic")
    with fsspec.open(f"{root}/arctic/labels.parquet", "rb") as handle:
        assert sorted(pq.read_table(handle)["RELEVANCE"].to_pylist()) == [-1] * 6 + [1] * 3


def test_a_beir_folder_is_still_one(memory: Memory, beir: Path) -> None:
    root = memory({f"beir/{name}": content for name, content in BEIR.items()})
    assert len(hardneg.load(f"{root}/beir").qrels) == len(hardneg.load(beir).qrels) == 3
