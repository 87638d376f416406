"""Judgments of every shape and place: with a header or without, beside the folder or elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import hardneg
from hardneg.read import partly_relevant, positives
from hardneg.records import Collection

Write = Callable[..., Path]
Judged = Callable[[Collection], set[tuple[str, str, float]]]

HEADER = "query-id\tcorpus-id\tscore\n"


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("a.tsv", f"{HEADER}q1\td1\t1\nq2\td2\t0\n", None),
        ("a.tsv", "score\tcorpus-id\tquery-id\n1\td1\tq1\n0\td2\tq2\n", None),
        ("a.tsv", "q1\td1\t1\nq2\td2\t0\n", "no header; read in BEIR's order"),
        ("a.txt", "q1 0 d1 1\nq2 0 d2 0\n", "no header; read as TREC qrels"),
        ("a.trec", "q1\t0\td1\t1\r\n\r\nq2\t0\td2\t0\r\n", "no header; read as TREC qrels"),
        ("a.tsv", "\ufeff" + f"{HEADER}q1\td1\t1\nq2\td2\t0\n".replace("\n", "\r\n"), None),
        ("a.csv", "query_id,doc_id,relevance\nq1,d1,1\nq2,d2,0\n", None),
        ("a.jsonl", [{"qid": "q1", "pid": "d1", "label": 1}, {"qid": "q2", "pid": "d2", "label": 0}], None),
    ],
)
def test_every_shape_gives_the_same(
    beir: Path, write: Write, judged: Judged, name: str, content: str, note: str | None
) -> None:
    data = hardneg.load(beir, qrels=str(write(name, content)))
    assert judged(data) == {("q1", "d1", 1.0), ("q2", "d2", 0.0)}
    by_position = [one for one in data.report.notes if "no header" in one]
    assert [note in one for one in by_position] == ([] if note is None else [True])


def test_no_relevance_means_positive_and_is_told(beir: Path, write: Write, judged: Judged) -> None:
    data = hardneg.load(beir, qrels=str(write("a.tsv", "query-id\tcorpus-id\nq1\td1\n")))
    assert judged(data) == {("q1", "d1", 1.0)}
    assert any("1 judgment without a relevance was taken as 1" in note for note in data.report.notes)


def test_a_misspelt_relevance_is_not_taken_for_none(beir: Path, write: Write) -> None:
    path = write("a.tsv", "query-id\tcorpus-id\tscroe\nq1\td1\t0\n")
    with pytest.raises(hardneg.InputError, match="line 1: no column holds the relevance.*mean 'scroe'"):
        hardneg.load(beir, qrels=str(path))


def test_of_contradicting_judgments_the_highest_stays(beir: Path, write: Write, judged: Judged) -> None:
    data = hardneg.load(beir, qrels=str(write("a.tsv", f"{HEADER}q1\td1\t0\nq1\td1\t2\nq1\td1\t2\n")))
    assert judged(data) == {("q1", "d1", 2.0)}
    assert data.report.counts["duplicate judgments merged"] == 2
    assert any("1 judgment contradicts another of the same pair" in note for note in data.report.notes)


def test_min_relevance_parts_positives_from_the_partly_relevant(beir: Path, write: Write) -> None:
    path = str(write("a.tsv", f"{HEADER}q1\td1\t2\nq1\td2\t1\nq1\td10\t0\n"))
    data = hardneg.load(beir, qrels=path, min_relevance=2)
    rows = {"d1": 0, "d10": 1, "d2": 2}  # ids sorted by bytes
    assert positives(data, 2).doc.tolist() == [rows["d1"]]
    assert partly_relevant(data, 2).doc.tolist() == [rows["d2"]]
    assert data.report.counts["judgments below min_relevance"] == 1
    assert data.report.counts["judged negatives"] == 1
    assert positives(data).doc.tolist() == [rows["d1"], rows["d2"]]


class TestPlaces:
    def test_beside_the_folder(self, beir: Path, judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
        wanted = judged(hardneg.load(beir))
        shutil.move(beir / "qrels", beir.with_name("beir-qrels"))
        data = hardneg.load(beir)
        assert judged(data) == wanted
        assert f"judgments: {beir}-qrels" in data.report.notes
        monkeypatch.chdir(beir)
        assert judged(hardneg.load(".")) == wanted

    def test_named_ones_win(self, beir: Path, write: Write, judged: Judged) -> None:
        path = write("other/qrels/train.tsv", f"{HEADER}q2\td1\t1\n")
        for place in (path, path.parent, path.parent.parent):
            assert judged(hardneg.load(beir, qrels=str(place))) == {("q2", "d1", 1.0)}

    def test_a_file_that_is_not_there_is_not_looked_for_on_the_hub(
        self, beir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import datasets

        monkeypatch.setattr(
            datasets, "get_dataset_config_names", lambda name: pytest.fail(f"asked for {name}")
        )
        with pytest.raises(hardneg.InputError, match=r"other/trian\.tsv: there is no such file"):
            hardneg.load(beir, qrels="other/trian.tsv")

    def test_none_at_all(self, beir: Path) -> None:
        shutil.rmtree(beir / "qrels")
        with pytest.raises(hardneg.InputError, match="no folder `qrels`; name the judgments with --qrels"):
            hardneg.load(beir)

    def test_a_file_of_queries_needs_a_corpus(self, beir: Path) -> None:
        with pytest.raises(hardneg.UsageError, match="name the corpus too"):
            hardneg.load(beir / "queries.jsonl", qrels=str(beir / "qrels"))


def test_a_pool_stands_in_for_a_corpus(beir: Path, judged: Judged) -> None:
    wanted = hardneg.load(beir)
    pool = beir.parent / "moved.jsonl"
    (beir / "corpus.jsonl").rename(pool)
    data = hardneg.load(beir, corpus=pool)
    assert data.corpus.equals(wanted.corpus) and judged(data) == judged(wanted)


def test_columns_of_pairs_do_not_go_with_a_corpus(beir: Path) -> None:
    with pytest.raises(hardneg.UsageError, match="query_column: goes with pairs"):
        hardneg.load(beir, query_column="text")


def test_empty_documents_are_kept_and_counted(beir: Path) -> None:
    with (beir / "corpus.jsonl").open("a") as handle:
        handle.write('{"_id": "d3", "title": "", "text": " "}\n')
    data = hardneg.load(beir)
    assert data.corpus["doc_id"].to_pylist() == ["d1", "d10", "d2", "d3"]
    assert data.report.counts["empty documents"] == 1


@pytest.mark.parametrize("text", ["", " ", "\u200b"])
def test_a_positive_without_text_is_refused(beir: Path, write: Write, judged: Judged, text: str) -> None:
    """A training file with it would teach that nothing is the answer."""
    write("beir/corpus.jsonl", [{"_id": "d1", "text": text}, {"_id": "d2", "title": "two", "text": ""}])
    qrels = write("a.tsv", f"{HEADER}q1\td2\t1\nq1\td1\t1\nq2\td1\t0\n")
    wanted = r"a\.tsv, line 3, id 'd1': the document of this id is a positive and has no text; mend the row"
    with pytest.raises(hardneg.InputError, match=wanted):
        hardneg.load(beir, qrels=str(qrels))
    data = hardneg.load(beir, qrels=str(qrels), on_bad_row="skip")
    assert judged(data) == {("q1", "d2", 1.0), ("q2", "d1", 0.0)}
    assert data.report.counts["rows refused"] == 1
    assert data.report.counts["empty documents"] == 1


def test_numbers_as_ids_become_text_and_are_told(beir: Path, write: Write, judged: Judged) -> None:
    write("beir/corpus.jsonl", [{"_id": 7, "text": "seven"}, {"_id": 10, "text": "ten"}])
    data = hardneg.load(beir, qrels=str(write("a.tsv", f"{HEADER}q1\t7\t1\n")))
    assert data.corpus["doc_id"].to_pylist() == ["10", "7"]
    assert judged(data) == {("q1", "7", 1.0)}
    assert any("2 ids are numbers and were taken as text" in note for note in data.report.notes)
