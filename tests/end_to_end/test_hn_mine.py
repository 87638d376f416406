"""`hn-mine`: FlagEmbedding's flags, file formats and range, with answers worked out by hand."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hardneg.compat import hn_mine
from hardneg.errors import HardnegError, HardnegWarning, InputError, MissingExtraError, ModelError, UsageError
from hardneg.progress import Silent
from hardneg.protocols import Kind
from hardneg.records import Float32

# The nearer to the front, the higher the score of the document for every query: rank 1 is amber.
DOCUMENTS = "amber basalt cedar dune ember fjord gravel harbour island jungle kelp lagoon".split()
Row = dict[str, Any]


class ByHand:
    """Scores that can be counted out: 12 for amber, 11 for basalt, ..., 0 for what is none of them."""

    name = "by hand"
    dimension = 2
    similarity = "dot"

    def fingerprint(self, kind: Kind) -> Mapping[str, Any]:
        return {"by": "hand"}

    def prompt(self, kind: Kind) -> str:
        return ""

    def encode(self, texts: Sequence[str], kind: Kind, prompt: str) -> Float32:
        if kind == "query":
            return np.array([[1, 0]] * len(texts), np.float32)
        scores = {word: len(DOCUMENTS) - place for place, word in enumerate(DOCUMENTS)}
        return np.array([[scores.get(text.strip().lower(), 0), 0] for text in texts], np.float32)


@pytest.fixture(autouse=True)
def by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDNEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hn_mine, "open_flag_encoder", lambda model, settings: ByHand())


def lines(path: Path, rows: Sequence[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


Mine = Callable[..., list[Row]]


@pytest.fixture
def mine(tmp_path: Path) -> Mine:
    """mine(rows, pool=None, **flags) → the rows that were written."""

    def run(rows: Sequence[Row], pool: Sequence[str] | None = None, **flags: Any) -> list[Row]:
        output = tmp_path / "out.jsonl"
        words = ["--input_file", str(lines(tmp_path / "in.jsonl", rows)), "--output_file", str(output)]
        words += ["--embedder_name_or_path", "bge-m3"]
        if pool is not None:
            words += ["--candidate_pool", str(lines(tmp_path / "pool.jsonl", [{"text": t} for t in pool]))]
        for name, value in flags.items():
            words += [f"--{name}", str(value)]
        hn_mine.run(hn_mine.parser().parse(words), Silent())
        return read(output)

    return run


# -- which documents, which ranks -----------------------------------------------------------------------


def test_a_range_is_raw_ranks_counted_from_one_behind_its_first_number(mine: Mine) -> None:
    """2-6 is ranks 3 to 6: cedar, dune, ember, fjord. The positive holds its rank and is no negative."""
    rows = [{"query": "what?", "pos": ["dune"], "neg": [d for d in DOCUMENTS if d != "dune"]}]
    (found,) = mine(rows, range_for_sampling="2-6", negative_number=3)
    assert sorted(found["neg"]) == ["cedar", "ember", "fjord"]


def test_so_many_are_drawn_as_are_asked_for_and_none_twice(mine: Mine) -> None:
    rows = [{"query": f"what {i}?", "pos": ["amber"], "neg": DOCUMENTS[1:]} for i in range(20)]
    found = mine(rows, range_for_sampling="0-12", negative_number=4)
    assert [len(set(row["neg"])) for row in found] == [4] * 20
    assert {text for row in found for text in row["neg"]} == set(DOCUMENTS[1:])  # of 80 draws each comes


def test_the_default_range_begins_behind_the_tenth_rank(mine: Mine) -> None:
    rows = [{"query": "what?", "pos": ["amber"], "neg": DOCUMENTS[1:]}]
    assert sorted(mine(rows)[0]["neg"]) == ["kelp", "lagoon"]


def test_too_few_in_the_range_are_filled_up_from_beyond_it_never_from_before(mine: Mine) -> None:
    rows = [{"query": f"what {i}?", "pos": ["amber"], "neg": DOCUMENTS[1:]} for i in range(10)]
    found = mine(rows, range_for_sampling="4-6", negative_number=5)
    for row in found:
        assert {"ember", "fjord"} < set(row["neg"]) <= set(DOCUMENTS[4:])
        assert len(set(row["neg"])) == 5


def test_a_small_corpus_gives_fewer_and_neither_repeats_nor_fails(mine: Mine) -> None:
    (found,) = mine(
        [{"query": "what?", "pos": ["amber"], "neg": ["basalt", "cedar"]}], range_for_sampling="0-9"
    )
    assert sorted(found["neg"]) == ["basalt", "cedar"]


def test_a_range_behind_the_last_document_is_refused_and_nothing_is_written(
    mine: Mine, tmp_path: Path
) -> None:
    rows = [{"query": "what?", "pos": ["amber"], "neg": ["basalt"]}]
    with pytest.raises(UsageError, match="ranks 10-210 of 2 documents hold none"):
        mine(rows)
    assert not (tmp_path / "out.jsonl").exists()


def test_of_a_pool_nothing_but_the_pool_is_searched_and_drawn(mine: Mine) -> None:
    """Its ranks: basalt 1, dune 2, fjord 3, harbour 4, jungle 5; amber and the old negatives have none."""
    rows = [{"query": "what?", "pos": ["amber"], "neg": ["cedar", "ember"]}]
    pool = ["dune", "basalt", "jungle", "harbour", "fjord", "basalt"]
    (found,) = mine(rows, pool, range_for_sampling="1-3", negative_number=2)
    assert sorted(found["neg"]) == ["dune", "fjord"]
    (found,) = mine(rows, pool, range_for_sampling="3-5", negative_number=15)
    assert sorted(found["neg"]) == ["harbour", "jungle"]


def test_a_positive_in_the_pool_holds_its_rank(mine: Mine) -> None:
    rows = [{"query": "what?", "pos": ["basalt", "kelp"]}]
    (found,) = mine(rows, ["basalt", "dune", "fjord", "harbour"], range_for_sampling="1-3", negative_number=2)
    assert sorted(found["neg"]) == ["dune", "fjord"]


def test_filling_up_stays_within_the_pool(mine: Mine) -> None:
    rows = [{"query": f"what {i}?", "pos": ["amber"], "neg": ["cedar", "ember", "kelp"]} for i in range(10)]
    pool = ["basalt", "dune", "fjord", "harbour", "jungle"]
    for row in mine(rows, pool, range_for_sampling="0-1", negative_number=4):
        assert set(row["neg"]) <= set(pool) and len(row["neg"]) == 4


def test_a_document_of_the_pool_stays_one_though_an_old_negative_has_its_text_in_capitals(mine: Mine) -> None:
    rows = [{"query": "what?", "pos": ["amber"], "neg": ["BASALT"]}]
    assert mine(rows, ["basalt"], range_for_sampling="0-9")[0]["neg"] == ["basalt"]


# -- what FlagEmbedding gets wrong ----------------------------------------------------------------------


def test_a_positive_that_is_one_text_is_a_list_of_one(mine: Mine) -> None:
    rows = [{"query": "what?", "pos": "amber", "neg": "basalt"}, {"query": "who?", "pos": ["cedar"]}]
    found = mine(rows, range_for_sampling="0-9")
    assert [row["pos"] for row in found] == [["amber"], ["cedar"]]
    assert [sorted(row["neg"]) for row in found] == [["basalt", "cedar"], ["amber", "basalt"]]


def test_one_row_of_a_query_never_has_the_positive_of_another_as_negative(mine: Mine) -> None:
    rows = [{"query": "what?", "pos": [text]} for text in ("amber", "basalt")]
    rows += [{"query": "What? ", "pos": ["cedar"]}, {"query": "who?", "pos": ["dune"]}]
    found = mine(rows, range_for_sampling="0-9")
    assert [row["neg"] for row in found[:3]] == [["dune"]] * 3
    assert sorted(found[3]["neg"]) == ["amber", "basalt", "cedar"]
    assert [row["pos"] for row in found] == [["amber"], ["basalt"], ["cedar"], ["dune"]]


def test_neither_the_query_nor_the_positive_is_mined_in_other_letters_either(mine: Mine) -> None:
    rows = [{"query": "Lagoon", "pos": ["amber"]}]
    pool = ["lagoon", "LAGOON ", "Amber", "amber", "basalt"]
    assert mine(rows, pool, range_for_sampling="0-9")[0]["neg"] == ["basalt"]


def test_the_order_of_the_pool_and_of_the_rows_changes_no_draw(mine: Mine) -> None:
    rows = [{"query": f"what {i}?", "pos": ["amber"]} for i in range(8)]
    flags = {"range_for_sampling": "1-12", "negative_number": 3}
    first = mine(rows, DOCUMENTS, **flags)
    mixed = random.Random(3).sample(DOCUMENTS, 12)
    again = mine(rows[::-1], mixed, **flags)
    assert again[::-1] == first
    assert mine(rows, DOCUMENTS, **flags, seed=1) != first


# -- rows in, rows out ----------------------------------------------------------------------------------


def test_other_keys_stay_and_what_belonged_to_the_old_negatives_goes(mine: Mine) -> None:
    row = {"query": "qué?", "pos": ["amber"], "neg": ["basalt"], "prompt": "p", "type": "normal", "id": 7}
    row |= {"pos_scores": [1.5], "neg_scores": [0.5], "more": {"a": [1, None]}}
    with pytest.warns(HardnegWarning, match="1 row had scores or ids of other negatives"):
        (found,) = mine([row], range_for_sampling="0-9")
    del row["neg_scores"]
    assert found == row
    assert list(found) == list(row)


def test_a_row_without_a_negative_is_left_out_and_named(mine: Mine) -> None:
    rows = [{"query": "what?", "pos": ["amber"]}, {"query": "who?", "pos": ["amber", "basalt"]}]
    with pytest.warns(HardnegWarning, match="1 row has no negative and is left out: line 2"):
        found = mine(rows, range_for_sampling="0-9")
    assert found == [{"query": "what?", "pos": ["amber"], "neg": ["basalt"]}]


def test_half_of_a_surrogate_pair_passes_through(mine: Mine) -> None:
    rows = [{"query": "what \ud800?", "pos": ["amber"], "neg": ["basalt"], "key": "\udc00"}]
    (found,) = mine(rows, range_for_sampling="0-9")
    assert (found["query"], found["key"], found["neg"]) == ("what \ud800?", "\udc00", ["basalt"])


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('{"query": "a", "pos": ["b"]}\n{"query": "a"}\n', "line 2: there is no 'pos'"),
        ('{"pos": ["b"]}\n', "line 1: there is no 'query'"),
        ('{"query": "a", "pos": []}\n', "line 1, column 'pos': there is no positive"),
        ('{"query": "a", "pos": ["b", 3]}\n', "line 1, column 'pos': the positive must be text"),
        ('{"query": "a", "pos": ["b"], "neg": [3]}\n', "line 1, column 'neg': the negative must be text"),
        ('{"query": " ", "pos": ["b"]}\n', "line 1, column 'query': the query is empty"),
        ("[1]\n", "line 1: is JSON but not an object"),
        ("nonsense\n", "line 1: is not JSON"),
        ("", "is an empty file"),
        ("\n\n", "holds no row"),
    ],
    ids=[
        "no-pos",
        "no-query",
        "empty-pos",
        "number",
        "neg-number",
        "blank",
        "array",
        "no-json",
        "empty",
        "blank-lines",
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, text: str, wrong: str) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(text)
    with pytest.raises(InputError, match="in.jsonl.*" + wrong.replace("(", "\\(")):
        run(source, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('{"text": "a"}\n{"contents": "b"}\n', "line 2: holds no `text`"),
        ('{"text": 3}\n', "line 1: holds the number 3"),
        ('{"text": " "}\n', "holds no text"),
    ],
    ids=["no-text", "number", "blank"],
)
def test_a_pool_that_cannot_be_used_is_named(tmp_path: Path, text: str, wrong: str) -> None:
    pool = tmp_path / "pool.jsonl"
    pool.write_text(text)
    source = lines(tmp_path / "in.jsonl", [{"query": "what?", "pos": ["amber"]}])
    with pytest.raises(InputError, match="pool.jsonl.*" + wrong):
        run(source, tmp_path / "out.jsonl", "--candidate_pool", str(pool))


def test_a_gpu_that_is_not_there_is_told_and_changes_nothing(
    mine: Mine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hn_mine, "sees_gpus", lambda: False)
    rows = [{"query": f"what {i}?", "pos": ["amber"], "neg": DOCUMENTS[1:]} for i in range(5)]
    flags = {"range_for_sampling": "1-12", "negative_number": 3}
    with pytest.warns(HardnegWarning, match="FAISS sees no GPU"):
        found = mine(rows, use_gpu_for_searching=True, **flags)
    assert found == mine(rows, search_batch_size=1, **flags)


# -- names of files -------------------------------------------------------------------------------------


def run(source: Path, output: Path, *words: str) -> None:
    first = ["--input_file", str(source), "--output_file", str(output), "--embedder_name_or_path", "bge-m3"]
    hn_mine.run(hn_mine.parser().parse([*first, *words]), Silent())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return lines(tmp_path / "in.jsonl", [{"query": "what?", "pos": ["amber"], "neg": DOCUMENTS[1:]}])


def test_any_name_is_read_packed_too_and_a_folder_is_made(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "a.jsonl")
    packed = tmp_path / "data.train"
    packed.write_bytes(gzip.compress(source.read_bytes(), mtime=0))
    run(packed, tmp_path / "new" / "b.json")
    assert (tmp_path / "new" / "b.json").read_bytes() == (tmp_path / "a.jsonl").read_bytes()


def test_a_name_that_the_trainers_pass_over_is_warned_of(source: Path, tmp_path: Path) -> None:
    with pytest.warns(
        HardnegWarning, match="out.txt: FlagEmbedding's trainers read only names that end in .json"
    ):
        run(source, tmp_path / "out.txt")
    assert read(tmp_path / "out.txt")


def test_a_file_may_be_mined_in_place(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "out.jsonl")
    run(source, source)
    assert source.read_bytes() == (tmp_path / "out.jsonl").read_bytes()


def test_the_pool_is_not_written_over(source: Path, tmp_path: Path) -> None:
    pool = lines(tmp_path / "pool.jsonl", [{"text": "amber"}])
    with pytest.raises(UsageError, match="pool.jsonl: input is read from it"):
        run(source, pool, "--candidate_pool", str(pool))


def test_folders_and_files_that_are_not_there_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder; name a file in it"):
        run(source, tmp_path)
    with pytest.raises(InputError, match="is no file; name an existing file"):
        run(tmp_path / "nothing.jsonl", tmp_path / "out.jsonl")
    with pytest.raises(InputError, match="is no file; name an existing file"):
        run(source, tmp_path / "out.jsonl", "--candidate_pool", str(tmp_path / "nothing.jsonl"))


# -- flags ----------------------------------------------------------------------------------------------

NEEDED = ["--input_file", "i", "--output_file", "o", "--embedder_name_or_path", "m"]

DEFAULTS = {
    "candidate_pool": None,
    "range_for_sampling": "10:210",
    "negative_number": 15,
    "use_gpu_for_searching": False,
    "search_batch_size": 64,
    "embedder_model_class": None,
    "normalize_embeddings": True,
    "pooling_method": None,
    "use_fp16": True,
    "devices": None,
    "query_instruction_for_retrieval": None,
    "query_instruction_format_for_retrieval": "{}{}",
    "examples_for_task": None,
    "examples_instruction_format": "{}{}",
    "trust_remote_code": False,
    "cache_dir": None,
    "batch_size": 3000,
    "embedder_query_max_length": 512,
    "embedder_passage_max_length": 512,
    "seed": 0,
}


def test_every_flag_of_the_script_is_there_with_its_default() -> None:
    found = vars(hn_mine.parser().parse(NEEDED))
    ours = {"quiet": False, "json": False, "log_json": False, "debug": False}
    needed = {"input_file": "i", "output_file": "o", "embedder_name_or_path": "m"}
    assert found == {**DEFAULTS, **ours, **needed}


GIVEN = {
    "candidate_pool": ("p", "p"),
    "range_for_sampling": ("2-200", "2:200"),
    "negative_number": ("7", 7),
    "use_gpu_for_searching": ("true", True),
    "search_batch_size": ("8", 8),
    "embedder_model_class": ("decoder-only-icl", "decoder-only-icl"),
    "normalize_embeddings": ("False", False),
    "pooling_method": ("mean", "mean"),
    "use_fp16": ("no", False),
    "devices": ("cuda:1", ["cuda:1"]),
    "query_instruction_for_retrieval": ("find: ", "find: "),
    "query_instruction_format_for_retrieval": ("<{}> {}", "<{}> {}"),
    "examples_for_task": ("[]", "[]"),
    "examples_instruction_format": ("{}{}{}", "{}{}{}"),
    "trust_remote_code": ("1", True),
    "cache_dir": ("c", "c"),
    "batch_size": ("9", 9),
    "embedder_query_max_length": ("10", 10),
    "embedder_passage_max_length": ("11", 11),
    "seed": ("12", 12),
}


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_each_flag_is_taken_in_both_spellings(name: str) -> None:
    word, value = GIVEN[name]
    for flag in (f"--{name}", f"--{name.replace('_', '-')}"):
        assert getattr(hn_mine.parser().parse([*NEEDED, flag, word]), name) == value
        assert getattr(hn_mine.parser().parse([*NEEDED, f"{flag}={word}"]), name) == value


def test_switches_stand_alone_and_those_on_by_default_have_an_opposite() -> None:
    found = hn_mine.parser().parse(
        [
            *NEEDED,
            "--use_gpu_for_searching",
            "--trust_remote_code",
            "--no_use_fp16",
            "--no-normalize-embeddings",
        ]
    )
    assert (found.use_gpu_for_searching, found.trust_remote_code) == (True, True)
    assert (found.use_fp16, found.normalize_embeddings) == (False, False)
    assert hn_mine.parser().parse([*NEEDED, "--use_fp16", "--seed", "1"]).use_fp16 is True


def test_several_devices_stand_behind_one_another() -> None:
    found = hn_mine.parser().parse(["--devices", "cuda:0", "cuda:1", *NEEDED])
    assert found.devices == ["cuda:0", "cuda:1"]


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["--model_name_or_path", "m"], "no flag or value '--model_name_or_path'"),
        (["--negative_numbers", "3"], "did you mean '--negative_number'"),
        (["--range_for_sampling", "210-10"], "'210-10' is no range"),
        (["--range_for_sampling", "10"], "'10' is no range"),
        (["--range_for_sampling", "-5-10"], "range_for_sampling"),
        (["--range_for_sampling", "a-b"], "'a-b' is no range"),
        (["--negative_number", "0"], "'0' is no whole number from 1 on"),
        (["--negative_number", "1.5"], "'1.5' is no whole number from 1 on"),
        (["--seed", "-1"], "seed"),
        (["--use_fp16", "maybe"], "'maybe' is neither true nor false"),
        (["--embedder_model_class", "encoder"], "invalid choice: 'encoder'"),
        (["--pooling_method", "max"], "invalid choice: 'max'"),
        (["--batch_size", "0"], "'0' is no whole number from 1 on"),
        (["--input_file"], "expected one argument"),
        (["stray"], "no flag or value 'stray'"),
    ],
    ids=lambda value: "_".join(value).strip("-") if isinstance(value, list) else "",
)
def test_a_flag_that_cannot_be_is_an_error_of_one_line(words: list[str], wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong.replace("(", "\\(")) as raised:
        hn_mine.parser().parse([*NEEDED, *words])
    assert "\n" not in str(raised.value)


def test_the_dashes_that_all_flags_begin_with_make_none_of_them_alike() -> None:
    with pytest.raises(UsageError) as raised:
        hn_mine.parser().parse([*NEEDED, "--wrong"])
    assert str(raised.value) == "there is no flag or value '--wrong'"


def test_lines_name_the_file_that_was_given_and_say_what_is_not_known(tmp_path: Path) -> None:
    said: list[str] = []
    progress = Silent()
    progress.say = said.append  # type: ignore[method-assign]  # keeps what is said
    given = lines(tmp_path / "in.jsonl", [{"query": "what?", "pos": ["amber"], "neg": ["basalt"]}])
    words = ["--input_file", str(given), "--output_file", str(tmp_path / "out.jsonl")]
    words += ["--embedder_name_or_path", "bge-m3", "--range_for_sampling", "0-2"]
    hn_mine.run(hn_mine.parser().parse(words), progress)
    assert any(
        line.startswith(f"read {given}: 2 documents, 1 query, 1 positive, 1 given negative") for line in said
    )
    assert sum("how many were truncated is not known; prompt" in line for line in said) == 2


@pytest.mark.parametrize("name", ["input_file", "output_file", "embedder_name_or_path"])
def test_what_must_be_named_is_asked_for(name: str) -> None:
    place = NEEDED.index(f"--{name}")
    with pytest.raises(UsageError, match=f"required: .*--{name}"):
        hn_mine.parser().parse(NEEDED[:place] + NEEDED[place + 2 :])


ICL = ["--embedder_model_class", "decoder-only-icl", "--examples_for_task"]


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["--embedder_model_class", "decoder-only-base", "--pooling_method", "cls"], "pools by last_token"),
        (["--embedder_model_class", "encoder-only-base", "--pooling_method", "last_token"], "by cls or mean"),
        (["--query_instruction_format_for_retrieval", "{}"], "write {}{}, or around them"),
        (["--query_instruction_format_for_retrieval", "{}{}{}"], "write {}{}, or around them"),
        (["--query_instruction_format_for_retrieval", "{query}{}"], "write {}{}, or around them"),
        (["--query_instruction_format_for_retrieval", "{"], "write {}{}, or around them"),
        ([*ICL, "[1]"], "example 1 must be"),
        ([*ICL, '[{"query": "a", "answer": "b"}]'], "example 1 must be"),
        ([*ICL, "[{]"], "is not JSON"),
        ([*ICL, "no-such-file.json"], "no-such-file.json"),
        ([*ICL, '[{"query": "a"}]', "--examples_instruction_format", "{} and {}"], "write {}{}{}, or"),
    ],
    ids=[
        "decoder-cls", "encoder-last", "one-place", "three-places", "named", "open", "number", "key", "json",
        "file", "two-places",
    ],
)  # fmt: skip
def test_settings_that_do_not_go_together_are_refused_before_anything_is_read(
    words: list[str], wrong: str, tmp_path: Path, source: Path
) -> None:
    with pytest.raises(HardnegError) as raised:
        run(source, tmp_path / "out.jsonl", *words)
    assert wrong in str(raised.value) and raised.value.exit_code == 2
    assert not (tmp_path / "out.jsonl").exists()


def settings(*words: str) -> Any:
    return hn_mine.flag_settings(hn_mine.parser().parse([*NEEDED[:-1], "bge-m3", *words]))


def test_instructions_are_put_by_their_format() -> None:
    plain = settings("--query_instruction_for_retrieval", "find: ")
    assert plain.as_encoded("cats", "query") == "find: cats"
    assert plain.as_encoded("cats", "document") == "cats"
    assert settings().as_encoded("cats", "query") == "cats"
    words = ["--query_instruction_for_retrieval", "find", "--query_instruction_format_for_retrieval"]
    assert (
        settings(*words, "Instruct: {}\\nQuery: {}").as_encoded("cats", "query")
        == "Instruct: find\nQuery: cats"
    )
    assert settings(*words, "{1} ({0})").as_encoded("{cats}", "query") == "{cats} (find)"


def test_examples_are_json_or_a_file_of_it(tmp_path: Path) -> None:
    examples = [{"instruct": "i", "query": "q", "response": "r"}]
    icl = ("--embedder_model_class", "decoder-only-icl", "--examples_for_task")
    given = settings(*icl, json.dumps(examples))
    assert list(given.examples) == examples
    assert given.examples_format.format("i", "q", "r") == "<instruct>i\n<query>q\n<response>r"
    (tmp_path / "e.json").write_text(json.dumps(examples))
    own = settings(*icl, str(tmp_path / "e.json"), "--examples_instruction_format", "{}\\n{}: {}")
    assert (list(own.examples), own.examples_format) == (examples, "{}\n{}: {}")
    with pytest.warns(HardnegWarning, match="encoder-only-m3 has no use for them"):
        assert settings("--examples_for_task", "[]").examples == ()


def test_a_class_is_told_by_the_models_name_and_asked_for_where_it_is_not() -> None:
    for name, found in (
        ("BAAI/bge-base-en-v1.5", "encoder-only-base"),
        ("BAAI/bge-m3", "encoder-only-m3"),
        ("/models/bge-m3/checkpoint-500", "encoder-only-m3"),
        ("intfloat/e5-mistral-7b-instruct", "decoder-only-base"),
        ("BAAI/bge-en-icl", "decoder-only-icl"),
    ):
        asked = hn_mine.parser().parse([*NEEDED[:-1], name])
        assert hn_mine.flag_settings(asked).model_class == found
    with pytest.raises(UsageError, match="my-model.*name it with --embedder_model_class"):
        hn_mine.flag_settings(hn_mine.parser().parse([*NEEDED[:-1], "/models/my-model"]))


def test_without_flagembedding_a_class_that_only_it_runs_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from hardneg.encode import flag_own
    from hardneg.encode.flag_settings import FlagSettings

    monkeypatch.setattr(flag_own, "has_flagembedding", lambda: False)
    for name in ("encoder-only-m3", "decoder-only-icl"):
        with pytest.raises(MissingExtraError, match=f"class {name} needs .*hardneg\\[flagembedding\\]"):
            flag_own.open_flag_encoder("m", FlagSettings(name))  # type: ignore[arg-type]  # a name of two
    with pytest.raises(ModelError, match="no such folder"):
        flag_own.open_flag_encoder("/no/such/model", FlagSettings("encoder-only-base"))


# -- processes ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_both_commands_write_the_same_bytes_whatever_the_hash_seed(tiny: Path, tmp_path: Path) -> None:
    draw = random.Random(4)
    words = "cell gene drug heart blood virus causes lowers raises".split()
    sentence = lambda: " ".join(draw.choices(words, k=6))  # noqa: E731
    rows = [{"query": sentence(), "pos": [sentence()], "neg": [sentence(), sentence()]} for _ in range(30)]
    source = lines(tmp_path / "in.jsonl", rows)
    commands = (["-m", "hardneg", "hn-mine"], ["-m", "hardneg.compat.hn_mine"])
    written = []
    for place, command in enumerate(commands):
        output = tmp_path / f"{place}.jsonl"
        flags = ["--embedder_name_or_path", tiny, "--embedder_model_class", "encoder-only-base"]
        flags += ["--range_for_sampling", "2-40", "--negative_number", "5", "--json"]
        done = process(
            tmp_path, *command, "--input_file", source, "--output_file", output, *flags, seed=place
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["rows"] == 30
        written.append(output.read_bytes())
    assert written[0] == written[1]


def test_errors_are_a_line_and_end_with_2(tmp_path: Path) -> None:
    done = process(tmp_path, "-m", "hardneg.compat.hn_mine", "--input_file", "a", "--model", "b")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and len(done.stderr.splitlines()) == 1
    shown = process(tmp_path, "-m", "hardneg", "hn-mine", "--help")
    assert shown.returncode == 0 and all(f"--{name}" in shown.stdout for name in DEFAULTS)


def process(tmp_path: Path, *words: Any, seed: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HARDNEG_CACHE": str(tmp_path / "cache"), "PYTHONHASHSEED": str(seed)}
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
