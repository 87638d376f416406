"""Sources under an address are what they are on this disk, and exports arrive as they are written here."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_collection import BEIR, CORPUS, QRELS, SETTINGS, jsonl

import hardneg
from hardneg.read import fingerprint
from hardneg.read.load import load as read
from hardneg.remote import fetch

Memory = Callable[[Mapping[str, bytes]], str]
PAIRS = [{"query": f"q {n}", "positive": f"p {n}", "negative": f"n {n}"} for n in range(5)]


def parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


class TestReading:
    def test_a_beir_folder(self, memory: Memory, beir: Path) -> None:
        root = memory({f"beir/{name}": content for name, content in BEIR.items()})
        there, here = hardneg.load(f"{root}/beir"), hardneg.load(beir)
        assert fingerprint(there) == fingerprint(here)
        assert there.report.source == f"{root}/beir"
        assert there.report.again == {"source": f"{root}/beir"}

    def test_of_a_beir_folder_only_its_tables_are_fetched(
        self, memory: Memory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = memory({f"beir/{name}": content for name, content in BEIR.items()})
        system, fetched = type(fsspec.filesystem("memory")), []
        real = system.get_file

        def counted(self: Any, path: str, *rest: Any, **named: Any) -> Any:
            fetched.append(path.partition("/beir/")[2])
            return real(self, path, *rest, **named)

        monkeypatch.setattr(system, "get_file", counted)
        hardneg.load(f"{root}/beir")
        assert sorted(fetched) == ["corpus.jsonl", "qrels/test.tsv", "qrels/train.tsv", "queries.jsonl"]

    def test_judgments_of_a_neighbour(self, memory: Memory, beir: Path) -> None:
        files = {f"set/{name}": BEIR[name] for name in ("corpus.jsonl", "queries.jsonl")}
        root = memory({**files, "set-qrels/train.tsv": QRELS.encode()})
        there = hardneg.load(f"{root}/set")
        assert fingerprint(there) == fingerprint(hardneg.load(beir))
        assert f"judgments: {root}/set-qrels" in there.report.notes

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("pairs.jsonl", jsonl(PAIRS)),
            ("pairs.jsonl.gz", gzip.compress(jsonl(PAIRS), mtime=0)),
            ("pairs.parquet", parquet(PAIRS)),
        ],
        ids=["jsonl", "gzip", "parquet"],
    )
    def test_files_of_rows(self, memory: Memory, name: str, content: bytes) -> None:
        root = memory({name: content})
        assert fingerprint(hardneg.load(f"{root}/{name}")) == fingerprint(hardneg.load(PAIRS))

    def test_queries_judgments_and_corpus_apart(self, memory: Memory, beir: Path) -> None:
        root = memory(
            {"q.jsonl": BEIR["queries.jsonl"], "j.tsv": QRELS.encode(), "c/corpus.jsonl": jsonl(CORPUS)}
        )
        there = hardneg.load(f"{root}/q.jsonl", qrels=f"{root}/j.tsv", corpus=f"{root}/c")
        assert fingerprint(there) == fingerprint(hardneg.load(beir))
        assert there.report.again == {
            "source": f"{root}/q.jsonl", "qrels": f"{root}/j.tsv", "corpus": f"{root}/c",
        }  # fmt: skip

    def test_tables_of_a_dict(self, memory: Memory, beir: Path) -> None:
        root = memory({"c.jsonl": jsonl(CORPUS)})
        tables = {
            "corpus": f"{root}/c.jsonl",
            "queries": pa.Table.from_pylist(
                [{"_id": f"q{n}", "text": f"which document is number {n}?"} for n in range(3)]
            ),
            "qrels": [{"query-id": f"q{n}", "corpus-id": f"d{n}", "score": 1} for n in range(3)],
        }
        assert fingerprint(hardneg.load(tables)) == fingerprint(hardneg.load(beir))

    def test_a_mined_run_remembers_the_address(self, memory: Memory, tmp_path: Path) -> None:
        root = memory({f"beir/{name}": content for name, content in BEIR.items()})
        mined = hardneg.mine(f"{root}/beir", run_dir=tmp_path / "run", **SETTINGS)
        assert mined.negatives.num_rows == 6
        manifest = (tmp_path / "run" / "manifest.json").read_text()
        assert f'"source": "{root}/beir"' in manifest
        assert "hardneg-" not in manifest.replace("hardneg-run", "")  # the folder of the copy


class TestWhatIsWrong:
    def test_a_bad_row_is_named_by_its_address(self, memory: Memory, tmp_path: Path) -> None:
        root = memory({"pairs.jsonl": jsonl(PAIRS) + b"{broken\n"})
        with pytest.raises(hardneg.InputError) as caught:
            hardneg.load(f"{root}/pairs.jsonl")
        assert (caught.value.file, caught.value.line) == (f"{root}/pairs.jsonl", 6)
        refused = tmp_path / "refused.jsonl"
        config = hardneg.Config.from_flat({"on_bad_row": "skip"}).read
        data = read(f"{root}/pairs.jsonl", config=config, refused_path=refused)
        assert data.report.refused[0]["file"] == f"{root}/pairs.jsonl"
        assert f'"file": "{root}/pairs.jsonl"' in refused.read_text()

    def test_nothing_there(self, memory: Memory) -> None:
        root = memory({"a.jsonl": jsonl(PAIRS)})
        with pytest.raises(hardneg.InputError, match=rf"{root}/b.jsonl: there is no such file or folder"):
            hardneg.load(f"{root}/b.jsonl")

    def test_a_split_that_is_not_there_is_told_with_those_that_are(self, memory: Memory) -> None:
        root = memory({f"beir/{name}": content for name, content in BEIR.items()})
        with pytest.raises(hardneg.InputError, match=rf"^{root}/beir/qrels: .*'dev'.*\(there: test, train\)"):
            hardneg.load(f"{root}/beir", split="dev")

    def test_names_that_lead_out_of_the_folder_are_passed_over(self, memory: Memory, tmp_path: Path) -> None:
        root = memory({"f/good.jsonl": b"x"})
        store, folder = fsspec.filesystem("memory").store, f"/{root.removeprefix('memory://')}/f"
        store[f"{folder}/../../out"] = store[f"{folder}/good.jsonl"]
        found = fetch(f"{root}/f", tmp_path)
        assert found.files == 1
        assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["good.jsonl"]

    def test_a_copy_that_arrives_short(self, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
        root = memory({"pairs.jsonl": jsonl(PAIRS)})
        monkeypatch.setattr(
            type(fsspec.filesystem("memory")),
            "get_file",
            lambda self, path, to, **named: Path(to).write_bytes(jsonl(PAIRS)[:-40]),
        )
        with pytest.raises(hardneg.InputError, match=r"pairs\.jsonl: arrived cut off"):
            hardneg.load(f"{root}/pairs.jsonl")

    @pytest.mark.parametrize(("scheme", "package"), [("gs", "gcsfs"), ("s3", "s3fs")])
    def test_a_missing_package_is_named(
        self, scheme: str, package: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(__import__("sys").modules, package, None)
        with pytest.raises(hardneg.UsageError, match=rf"{scheme}://.*pip install {package}"):
            hardneg.load(f"{scheme}://bucket/pairs.jsonl")


class TestExports:
    def test_the_same_bytes_as_on_this_disk(self, memory: Memory, beir: Path, tmp_path: Path) -> None:
        root = memory({"old.jsonl": b"old"})
        mined = hardneg.mine(beir, run_dir=tmp_path / "run", **SETTINGS)
        for name in ("t.jsonl", "t.parquet", "t.jsonl.gz"):
            mined.to("st-triplet", tmp_path / name)
            report = mined.to("st-triplet", f"{root}/{name}")
            assert report.path == f"{root}/{name}"
            assert fsspec.filesystem("memory").cat_file(f"{root}/{name}") == (tmp_path / name).read_bytes()
        assert f"in {root}/t.jsonl.gz" in str(report)

    def test_an_input_is_not_replaced(self, memory: Memory, tmp_path: Path) -> None:
        root = memory({f"beir/{name}": content for name, content in BEIR.items()})
        mined = hardneg.mine(f"{root}/beir", run_dir=tmp_path / "run", **SETTINGS)
        with pytest.raises(hardneg.UsageError, match="input was read from it"):
            mined.to("st-triplet", f"{root}/beir/corpus.jsonl")
        assert fsspec.filesystem("memory").cat_file(f"{root}/beir/corpus.jsonl") == BEIR["corpus.jsonl"]

    def test_what_arrives_otherwise_is_damage(
        self, memory: Memory, beir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = memory({"other": b"x"})
        mined = hardneg.mine(beir, run_dir=tmp_path / "run", **SETTINGS)
        system = type(fsspec.filesystem("memory"))
        real = system.open

        def spoilt(self: Any, path: str, mode: str = "rb", **named: Any) -> Any:
            return io.BytesIO(b"something else") if mode == "rb" else real(self, path, mode, **named)

        monkeypatch.setattr(system, "open", spoilt)
        with pytest.raises(hardneg.HardnegError, match=r"t\.jsonl: read back, is not what was sent"):
            mined.to("st-triplet", f"{root}/t.jsonl")

    def test_a_suffix_that_the_format_lacks_is_told_with_the_address(
        self, memory: Memory, beir: Path, tmp_path: Path
    ) -> None:
        root = memory({"other": b"x"})
        mined = hardneg.mine(beir, run_dir=tmp_path / "run", **SETTINGS)
        with pytest.raises(
            hardneg.UsageError, match=rf"^{root}/t\.xml: st-triplet is written to names ending"
        ):
            mined.to("st-triplet", f"{root}/t.xml")

    def test_a_folder_and_a_bucket_are_no_file(self, memory: Memory, beir: Path, tmp_path: Path) -> None:
        root = memory({"folder.jsonl/inner": b"x"})
        mined = hardneg.mine(beir, run_dir=tmp_path / "run", **SETTINGS)
        with pytest.raises(hardneg.UsageError, match=r"folder\.jsonl is a folder"):
            mined.to("st-triplet", f"{root}/folder.jsonl")
        with pytest.raises(hardneg.UsageError, match=r"names no file; write memory://BUCKET/NAME"):
            mined.to("st-triplet", "memory://bucket.jsonl")
