"""`hardneg convert`: what stands in a file comes out in another format, checked, and all is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hardneg
from hardneg.errors import HardnegError, InputError, UsageError
from hardneg.plan.convert_report import Accounts


def written(folder: Path, *rows: Any, name: str = "train.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(one if isinstance(one, str) else json.dumps(one) + "\n" for one in rows), "utf-8")
    return path


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n")[:-1]]


FULL = [
    {
        "query": "two", "pos": ["a", "b"], "neg": ["x", "y"], "pos_scores": [0.5, 0.25],
        "neg_scores": [0.125, 0.0], "id": "q2", "pos_id": ["1", "2"], "neg_id": ["3", "4"], "prompt": "find",
    },
    {
        "query": "one", "pos": ["c"], "neg": ["z"], "pos_scores": [1.0], "neg_scores": [0.75],
        "id": "q1", "pos_id": ["5"], "neg_id": ["6"], "prompt": "",
    },
]  # fmt: skip


def test_all_parts_are_written_where_the_format_has_them_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, *FULL)
    report = hardneg.convert(path, "flagembedding", tmp_path / "out.jsonl")
    assert lines(tmp_path / "out.jsonl") == FULL
    assert report.remarks == () and report.format == "flagembedding"
    report = hardneg.convert(path, "st-triplet", tmp_path / "triplets.jsonl")
    assert [tuple(row.values()) for row in lines(tmp_path / "triplets.jsonl")] == [
        ("two", "a", "x", [0.5, 0.125]), ("two", "a", "y", [0.5, 0.0]),
        ("two", "b", "x", [0.25, 0.125]), ("two", "b", "y", [0.25, 0.0]),
        ("one", "c", "z", [1.0, 0.75]),
    ]  # fmt: skip
    assert report.remarks == (
        "ids are not in it: st-triplet has no place for them",
        "prompts are not in it: st-triplet has no place for them",
    )


def test_white_space_that_rankllm_does_not_keep_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, {"query": "q", "pos": ["a\nb"], "neg": ["x y", " z"]})
    report = hardneg.convert(path, "rankllm", tmp_path / "train.json")
    assert report.respaced == 2
    assert "\n  2 texts had line ends, tabs or further spaces, which are single spaces in it" in str(report)
    again = hardneg.convert(tmp_path / "train.json", "rankllm", tmp_path / "again.json")
    assert again.respaced == 0 and "single spaces" not in str(again)


def test_texts_and_positives_that_lines_of_ids_do_not_hold_are_said(tmp_path: Path) -> None:
    path = written(tmp_path, *FULL)
    texts = "texts are not in it: {} holds ids alone"
    report = hardneg.convert(path, "trec", tmp_path / "run.txt", prompts=False)
    assert report.remarks == (
        texts.format("trec"), "positives are not in it: trec has no place for them",
    )  # fmt: skip
    told = report.as_dict()
    assert (told["positives_read"], told["positives"], told["positives_left_out"]) == (3, 0, 3)
    assert f"trec: 3 rows from 2 groups, 3 negatives in {tmp_path / 'run.txt'}\n" in str(report)
    report = hardneg.convert(path, "beir", tmp_path / "qrels.tsv", prompts=False, scores=False)
    assert report.remarks == (texts.format("beir"),)
    assert (report.accounts.positives, report.accounts.positives_left_out) == (3, 0)


def test_parts_can_be_left_off_and_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, *FULL)
    hardneg.convert(path, "flagembedding", tmp_path / "out.jsonl", scores=False, ids=False, prompts=False)
    assert [list(row) for row in lines(tmp_path / "out.jsonl")] == [["query", "pos", "neg"]] * 2
    report = hardneg.convert(path, "st-labeled-pair", tmp_path / "pairs.jsonl")
    assert list(lines(tmp_path / "pairs.jsonl")[0]) == ["query", "document", "label"]
    assert "scores are not in it: --scores writes them in the place of labels" in report.remarks
    hardneg.convert(path, "st-labeled-pair", tmp_path / "pairs.jsonl", scores=True)
    assert [row["score"] for row in lines(tmp_path / "pairs.jsonl")] == [0.5, 0.25, 0.125, 0.0, 1.0, 0.75]
    with pytest.raises(UsageError, match="st-triplet has no place for ids; leave --ids off"):
        hardneg.convert(path, "st-triplet", tmp_path / "triplets.jsonl", ids=True)


def test_scores_that_some_rows_lack_are_not_written_and_that_is_said(tmp_path: Path) -> None:
    bare = {"query": "three", "pos": ["d"], "neg": ["w"]}
    path = written(tmp_path, *FULL, bare)
    report = hardneg.convert(path, "st-triplet", tmp_path / "out.jsonl")
    assert "scores" not in lines(tmp_path / "out.jsonl")[0]
    assert report.remarks[0] == "scores are not in it: 1 of 3 groups lack some"
    with pytest.raises(InputError, match="1 of 3 groups lack a score for some text; leave --scores off"):
        hardneg.convert(path, "st-triplet", tmp_path / "out.jsonl", scores=True)
    with pytest.raises(InputError, match="trec: 1 of 3 groups lack a score for some negative; .* --to beir"):
        hardneg.convert(path, "trec", tmp_path / "out.run")


def test_ids_of_texts_that_have_none_are_made_of_them(tmp_path: Path) -> None:
    path = written(
        tmp_path, {"query": "q", "pos": ["a"], "neg": ["x"]}, {"query": "r", "pos": ["a"], "neg": ["x"]}
    )
    hardneg.convert(path, "beir", tmp_path / "qrels.tsv")
    (one, other) = [
        [line.split("\t") for line in (tmp_path / "qrels.tsv").read_text().splitlines()[1:]][at : at + 2]
        for at in (0, 2)
    ]
    assert [relevance for *_, relevance in one] == ["1", "0"]
    assert [doc for _, doc, _ in one] == [doc for _, doc, _ in other]
    assert one[0][0].startswith("q-") and one[0][0] != other[0][0]


def test_a_fault_is_refused_with_its_line_and_nothing_is_written(tmp_path: Path) -> None:
    path = written(tmp_path, *FULL, {"query": "three", "pos": ["d"], "neg": ["w", "D"]}, FULL[0])
    with pytest.raises(
        InputError,
        match=r"train.jsonl, line 3: a negative is a positive of the same row: 'D' \(1 more fault; `hardneg "
        r"check` lists all\); mend it, or leave out what is faulty with --on-fault drop",
    ):
        hardneg.convert(path, "st-triplet", tmp_path / "out.jsonl")
    with pytest.raises(InputError, match=r"line 3: is not JSON .*--on-fault drop"):
        hardneg.convert(written(tmp_path, *FULL, "{\n"), "st-triplet", tmp_path / "out.jsonl")
    assert [one.name for one in tmp_path.iterdir()] == ["train.jsonl"]


def test_faults_are_dropped_counted_and_listed(tmp_path: Path) -> None:
    rows = [
        {"query": "q", "pos": ["a", ""], "neg": ["x", "A", "b", "y"], "neg_id": ["1", "2", "3", "4"]},
        {"query": "Q", "pos": ["b"], "neg": ["A", "x"]},
        {"query": "r", "pos": ["a"], "neg": ["A"]},
        {"query": "s", "pos": ["a"], "neg": ["x"], "neg_scores": [1, 2]},
        {"query": "t", "pos": ["a"], "neg": []},
        "[]\n",
    ]
    report = hardneg.convert(
        written(tmp_path, *rows), "flagembedding", tmp_path / "out.jsonl", on_fault="drop",
        list_to=tmp_path / "dropped.jsonl", ids=False,
    )  # fmt: skip
    assert lines(tmp_path / "out.jsonl") == [
        {"query": "q", "pos": ["a"], "neg": ["x", "y"]},
        {"query": "Q", "pos": ["b"], "neg": ["x"]},
    ]
    assert report.accounts == Accounts(
        groups_read=6, groups=2, groups_faulty=2,
        groups_without_negatives=1, groups_emptied=1, groups_short=0,
        positives_read=6, positives=2, positives_faulty=1, positives_left_out=3,
        negatives_read=8, negatives=3, negatives_faulty=4, negatives_cut=0, negatives_left_out=1,
    )  # fmt: skip
    assert report.faults == {
        "unreadable": 1, "misaligned": 1, "empty_positive": 1, "positive_among_negatives": 2,
        "known_positive_among_negatives": 2,
    }  # fmt: skip
    assert [one["line"] for one in lines(tmp_path / "dropped.jsonl")] == [6, 1, 1, 1, 2, 3, 4]
    assert "2 positive_among_negatives dropped" in str(report)
    assert report.as_dict()["negatives_faulty"] == 4


def test_ids_and_scores_go_with_the_texts_that_are_dropped(tmp_path: Path) -> None:
    wrong = {**FULL[0], "neg": ["x", "A"]}
    hardneg.convert(written(tmp_path, wrong), "flagembedding", tmp_path / "out.jsonl", on_fault="drop")
    assert lines(tmp_path / "out.jsonl") == [
        {**FULL[0], "neg": ["x"], "neg_id": ["3"], "neg_scores": [0.125]},
    ]


def test_ragged_groups_for_a_format_of_equal_ones(tmp_path: Path) -> None:
    path = written(tmp_path, *FULL)
    with pytest.raises(
        InputError,
        match=r"st-n-tuple needs 2 negatives in every row, but 1 of 2 groups have fewer "
        r"\('q1' \(line 2\) has 1\); give --num-negatives 1 \(cuts all to that\) or --shortfall drop",
    ):
        hardneg.convert(path, "st-n-tuple", tmp_path / "out.jsonl")
    report = hardneg.convert(path, "st-n-tuple", tmp_path / "out.jsonl", num_negatives=1)
    assert [row["negative_1"] for row in lines(tmp_path / "out.jsonl")] == ["x", "x", "z"]
    assert report.accounts.negatives_cut == 1
    report = hardneg.convert(path, "st-n-tuple", tmp_path / "out.jsonl", shortfall="drop")
    assert [row["anchor"] for row in lines(tmp_path / "out.jsonl")] == ["two", "two"]
    assert (report.accounts.groups_short, report.accounts.negatives_left_out) == (1, 1)


def test_a_run_needs_its_positives_and_a_file_is_not_written_over_itself(tmp_path: Path) -> None:
    written(tmp_path, {"_id": "d1", "text": "a"}, {"_id": "d2", "text": "x"}, name="corpus.jsonl")
    written(tmp_path, {"_id": "q1", "text": "one"}, name="queries.jsonl")
    run = written(tmp_path, "q1 Q0 d2 1 0.5 tag\n", name="x.run")
    texts = {name: str(tmp_path / f"{name}.jsonl") for name in ("corpus", "queries")}
    with pytest.raises(
        InputError, match="line 1: there is no positive: 'one'; name the positives with --qrels"
    ):
        hardneg.convert(run, "flagembedding", tmp_path / "out.jsonl", **texts)
    qrels = written(tmp_path, "query-id\tcorpus-id\tscore\nq1\td1\t1\n", name="qrels.tsv")
    hardneg.convert(run, "flagembedding", tmp_path / "out.jsonl", qrels=str(qrels), **texts)
    assert lines(tmp_path / "out.jsonl") == [
        {"query": "one", "pos": ["a"], "neg": ["x"], "id": "q1", "pos_id": ["d1"], "neg_id": ["d2"]}
    ]
    with pytest.raises(UsageError, match="input was read from it"):
        hardneg.convert(run, "trec", run, **texts)
    with pytest.raises(UsageError, match="corpus.jsonl: input was read from it; choose another --list"):
        hardneg.convert(run, "trec", tmp_path / "again.run", list_to=tmp_path / "corpus.jsonl", **texts)
    with pytest.raises(UsageError, match="is named by --output and by --list"):
        hardneg.convert(run, "trec", tmp_path / "a.run", list_to=tmp_path / "a.run", **texts)
    report = hardneg.convert(run, "trec", tmp_path / "again.run", **texts)
    assert (
        tmp_path / "again.run"
    ).read_text() == "q1 Q0 d2 1 0.5 hardneg\n" and report.accounts.positives == 0


def test_nothing_left_to_write_is_said(tmp_path: Path) -> None:
    path = written(tmp_path, {"query": "q", "pos": ["a"], "neg": ["A"]})
    with pytest.raises(
        HardnegError,
        match=r"no group with a negative is left \(1 fault was dropped, the first in line 1, .*\)",
    ):
        hardneg.convert(path, "flagembedding", tmp_path / "out.jsonl", on_fault="drop")


WORDS = st.sampled_from(["a", "A", "b", "c", "d", "", "q"])
ROWS = st.fixed_dictionaries(
    {
        "query": st.sampled_from("qQrs"),
        "pos": st.lists(WORDS, max_size=3),
        "neg": st.lists(WORDS, max_size=4),
        "neg_id": st.none() | st.lists(st.sampled_from("123"), max_size=4),
        "neg_scores": st.none() | st.lists(st.sampled_from([0.5, 1.0, None]), max_size=4),
    }
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=st.lists(ROWS, min_size=1, max_size=6), number=st.none() | st.integers(1, 2), equal=st.booleans())
def test_what_was_read_is_what_was_written_and_reported(
    rows: list[dict[str, Any]], number: int | None, equal: bool, tmp_path: Path
) -> None:
    path, output = written(tmp_path, *rows), tmp_path / "out.jsonl"
    to = "st-n-tuple" if equal else "flagembedding"
    try:
        report = hardneg.convert(path, to, output, on_fault="drop", num_negatives=number, shortfall="drop")
    except HardnegError as error:
        assert "no group with a negative is left" in str(error)
        return
    a = report.accounts
    assert (
        a.groups_read
        == len(rows)
        == (a.groups + a.groups_faulty + a.groups_without_negatives + a.groups_emptied + a.groups_short)
    )
    assert min(vars(a).values()) >= 0
    assert a.positives_read == sum(len(row["pos"]) for row in rows)
    assert a.negatives_read == sum(len(row["neg"]) for row in rows)
    # The new file holds as many as are said, and nothing is wrong with it.
    if equal:
        assert len(lines(output)) == a.positives == report.rows
    else:
        assert sum(len(row["neg"]) for row in lines(output)) == a.negatives
        assert sum(len(row["pos"]) for row in lines(output)) == a.positives
        assert hardneg.check(output).clean or set(hardneg.check(output).faults) <= {"repeated_row"}
