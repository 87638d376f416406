"""Teacher scores and splitting by length, as FlagEmbedding's scripts do them; answers by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hardneg
from hardneg.compat import add_reranker_score, split_data_by_length
from hardneg.errors import HardnegWarning, InputError, MissingExtraError, UsageError
from hardneg.progress import Silent
from hardneg.records import Float32
from hardneg.rescore import flag_reranker

Row = dict[str, Any]


def lines(path: Path, rows: Sequence[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


# -- teacher scores -------------------------------------------------------------------------------------


class Lengths:
    """The score of a pair is how many letters its texts have, the document's tenfold."""

    name = "lengths"

    def fingerprint(self) -> Mapping[str, Any]:
        return {}

    def score(self, pairs: Sequence[tuple[str, str]]) -> Float32:
        return np.array([len(query) + 10 * len(document) for query, document in pairs], np.float32)


NEEDED = ["--reranker_name_or_path", "bge-reranker-v2-m3"]


def score(source: Path, output: Path, *words: str) -> dict[str, Any]:
    named = ["--input_file", str(source), "--output_file", str(output), *NEEDED]
    return add_reranker_score.run(add_reranker_score.parser().parse([*named, *words]), Silent())


def test_scores_stand_beside_their_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(add_reranker_score, "open_flag_reranker", lambda model, settings: Lengths())
    rows = [
        {"query": "ab", "pos": ["c", "defg"], "neg": ["hi", "", "jkl"], "prompt": "p", "id": 4},
        {"query": "m", "pos": "no", "neg": "pqr", "pos_scores": [7], "neg_scores": [8]},
        {"query": "s", "pos": ["tu"]},
    ]
    rows += [{"query": "q", "pos": [str(place)], "neg": ["x"] * 3} for place in range(600)]
    found = score(lines(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl")
    assert (found["rows"], found["pairs"]) == (603, 4 + 2 + 1 + 600 * 4)
    written = read(tmp_path / "out.jsonl")
    assert written[:3] == [
        {
            **rows[0],
            "neg": ["hi", "jkl"],
            "pos_scores": [2 + 10 * 1, 2 + 10 * 4],
            "neg_scores": [2 + 10 * 2, 2 + 10 * 3],
        },
        {"query": "m", "pos": ["no"], "neg": ["pqr"], "pos_scores": [1 + 20], "neg_scores": [1 + 30]},
        {"query": "s", "pos": ["tu"], "neg": [], "pos_scores": [1 + 20], "neg_scores": []},
    ]
    for place, row in enumerate(written[3:]):
        assert (row["pos"], row["pos_scores"]) == ([str(place)], [1 + 10 * len(str(place))])
        assert row["neg_scores"] == [11] * 3


def test_the_ids_of_empty_negatives_go_with_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(add_reranker_score, "open_flag_reranker", lambda model, settings: Lengths())
    row = {
        "query": "a",
        "pos": ["b"],
        "neg": ["c", "", " ", "d"],
        "pos_id": [1],
        "neg_id": ["x", "y", "z", "w"],
    }
    score(lines(tmp_path / "in.jsonl", [row]), tmp_path / "out.jsonl")
    (found,) = read(tmp_path / "out.jsonl")
    assert (found["neg"], found["neg_id"], found["neg_scores"]) == (["c", "d"], ["x", "w"], [11, 11])
    assert hardneg.check(tmp_path / "out.jsonl").clean


def test_half_a_surrogate_pair_is_scored_as_a_mark_and_written_as_it_was(
    tmp_path: Path, tiny_cross_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokenizers take no such text."""
    monkeypatch.setenv("HARDNEG_CACHE", str(tmp_path / "cache"))
    named = [
        "--reranker_name_or_path",
        str(tiny_cross_encoder),
        "--reranker_model_class",
        "encoder-only-base",
    ]
    named += ["--devices", "cpu", "--reranker_max_length", "64"]
    found = []
    for half in ("\ud800", "\ufffd"):
        row = {"query": f"cell {half}", "pos": [f"gene {half}"], "neg": [f"{half} drug", "drug"]}
        score(lines(tmp_path / "in.jsonl", [row]), tmp_path / "out.jsonl", *named)
        (written,) = read(tmp_path / "out.jsonl")
        assert {key: written[key] for key in row} == row
        found.append([*written["pos_scores"], *written["neg_scores"]])
    assert found[0] == found[1]


def test_every_flag_of_the_script_is_there_with_its_default() -> None:
    found = vars(add_reranker_score.parser().parse(["--input_file", "i", "--output_file", "o", *NEEDED]))
    for own in ("quiet", "json", "log_json", "debug"):
        assert found.pop(own) is False
    assert found == {
        "input_file": "i",
        "output_file": "o",
        "use_fp16": True,
        "devices": None,
        "trust_remote_code": False,
        "reranker_name_or_path": "bge-reranker-v2-m3",
        "reranker_model_class": None,
        "reranker_peft_path": None,
        "use_bf16": False,
        "query_instruction_for_rerank": None,
        "query_instruction_format_for_rerank": "{}{}",
        "passage_instruction_for_rerank": None,
        "passage_instruction_format_for_rerank": "{}{}",
        "cache_dir": None,
        "reranker_batch_size": 3000,
        "reranker_query_max_length": None,
        "reranker_max_length": 512,
        "normalize": False,
        "prompt": None,
        "cutoff_layers": None,
        "compress_ratio": 1,
        "compress_layers": None,
    }


def test_a_decoders_own_instructions_stay_unless_others_are_given() -> None:
    """FlagEmbedding's classes of decoders put `A: ` and `B: ` before the texts by themselves."""
    given = ("query_instruction_for_rerank", "passage_instruction_for_rerank")
    asked = flag_reranker.RerankerSettings("decoder-only-base").arguments()
    assert not set(given) & set(asked)
    none = flag_reranker.RerankerSettings("decoder-only-base", query_instruction="", passage_instruction="")
    assert [none.arguments()[name] for name in given] == ["", ""]


def test_each_flag_reaches_the_settings() -> None:
    words = "--use_fp16 no --devices cpu --trust_remote_code --reranker_peft_path p --use_bf16 --cache_dir c"
    words += " --query_instruction_for_rerank A: --query_instruction_format_for_rerank {}\\n{} --normalize"
    words += " --passage_instruction_for_rerank B: --passage_instruction_format_for_rerank {1}{0}"
    words += " --reranker_batch_size 5 --reranker_query_max_length 6 --reranker_max_length 7 --prompt yes?"
    words += " --cutoff_layers 28 --compress_ratio 2 --compress_layers 24 40"
    words += " --reranker_model_class decoder-only-lightweight"
    asked = add_reranker_score.parser().parse(
        ["--input_file", "i", "--output_file", "o", *NEEDED, *words.split()]
    )
    assert add_reranker_score.reranker_settings(asked) == flag_reranker.RerankerSettings(
        model_class="decoder-only-lightweight",
        use_fp16=False,
        use_bf16=True,
        devices=("cpu",),
        trust_remote_code=True,
        cache_dir="c",
        peft_path="p",
        query_instruction="A:",
        query_instruction_format="{}\n{}",
        passage_instruction="B:",
        passage_instruction_format="{1}{0}",
        batch_size=5,
        query_max_length=6,
        max_length=7,
        normalize=True,
        prompt="yes?",
        cutoff_layers=(28,),
        compress_ratio=2,
        compress_layers=(24, 40),
    )


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (["--cutoff_layers", "8", "16"], "several layers give several scores a pair"),
        (["--query_instruction_format_for_rerank", "{}"], "write {}{}, or around them"),
        (["--reranker_model_class", "llm"], "invalid choice"),
        (["--reranker_max_length", "0"], "no whole number from 1 on"),
        (["--range_for_sampling", "2-200"], "no flag or value '--range_for_sampling'"),
    ],
    ids=["layers", "format", "class", "length", "stray"],
)
def test_bad_flags(words: list[str], wrong: str, tmp_path: Path) -> None:
    source = lines(tmp_path / "in.jsonl", [{"query": "a", "pos": ["b"], "neg": ["c"]}])
    with pytest.raises(UsageError, match=wrong.replace("(", "\\(")):
        score(source, tmp_path / "out.jsonl", *words)


def test_without_flagembedding_an_encoder_runs_as_a_cross_encoder(
    tmp_path: Path, tiny_cross_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sentence_transformers import CrossEncoder
    from torch import nn

    monkeypatch.setattr(flag_reranker, "has_flagembedding", lambda: False)
    monkeypatch.setenv("HARDNEG_CACHE", str(tmp_path / "cache"))
    rows = [{"query": "heart", "pos": ["blood"], "neg": ["gene", "virus drug"]}]
    source, output = lines(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    words = ["--reranker_model_class", "encoder-only-base", "--reranker_max_length", "64"]
    words += ["--query_instruction_for_rerank", "find ", "--devices", "cpu"]
    words += ["--reranker_name_or_path", str(tiny_cross_encoder)]
    score(source, output, *words)
    pairs = [["find heart", text] for text in ("blood", "gene", "virus drug")]
    model = CrossEncoder(str(tiny_cross_encoder), device="cpu")
    wanted = model.predict(pairs, activation_fn=nn.Identity())
    (row,) = read(output)
    np.testing.assert_allclose([*row["pos_scores"], *row["neg_scores"]], wanted, rtol=1e-5)
    score(source, output, *words, "--normalize")
    (row,) = read(output)
    np.testing.assert_allclose([*row["pos_scores"], *row["neg_scores"]], 1 / (1 + np.exp(-wanted)), rtol=1e-5)
    with pytest.raises(MissingExtraError, match="reranker of class decoder-only-base"):
        score(source, output, "--reranker_model_class", "decoder-only-base")


# -- by length ------------------------------------------------------------------------------------------


def split(tiny: Path, source: Path, folder: Path, *words: str) -> dict[str, Any]:
    named = ["--input_path", str(source), "--output_dir", str(folder), "--model_name_or_path", str(tiny)]
    return split_data_by_length.run(split_data_by_length.parser().parse([*named, *words]), Silent())


def words(count: int) -> str:
    return " ".join(["cell"] * count)


ROWS = [
    {"query": words(1), "pos": [words(1)], "neg": [words(2)], "type": "a"},  # 2 + [CLS] + [SEP] = 4
    {"query": words(3), "pos": [words(1)], "neg": [], "pos_scores": [0.5]},  # 5
    {"query": words(1), "pos": [words(2), words(7)]},  # 9
    {"query": words(1), "pos": words(1), "neg": [words(8)]},  # 10
    {"query": words(1), "pos": [words(40)], "neg": [words(1)]},  # 42
]


def test_a_row_goes_by_its_longest_text_marks_counted(tiny: Path, tmp_path: Path) -> None:
    source, folder = lines(tmp_path / "my.train.jsonl", ROWS), tmp_path / "out"
    found = split(tiny, source, folder, "--length_list", "10", "0", "5")
    names = {path.name: read(path) for path in sorted(folder.glob("*.jsonl"))}
    assert names == {
        "my.train_len-0-5.jsonl": ROWS[:1],
        "my.train_len-5-10.jsonl": ROWS[1:3],
        "my.train_len-10-inf.jsonl": ROWS[3:],
    }
    (entry,) = read(folder / ".split_log")
    assert found["files"] == [entry]
    assert entry["split_info"] == {"len-0-5": 1, "len-5-10": 2, "len-10-inf": 2}
    assert (entry["file_name"], entry["size"]) == ("my.train.jsonl", 5)
    assert entry["avg_length"] == (4 + 5 + 9 + 10 + 42) / 5


def test_an_empty_range_has_no_file_and_files_that_are_there_stay(tiny: Path, tmp_path: Path) -> None:
    source, folder = lines(tmp_path / "a.jsonl", ROWS[:1]), tmp_path / "out"
    split(tiny, source, folder, "--length_list", "0", "5")
    assert [path.name for path in folder.glob("*.jsonl")] == ["a_len-0-5.jsonl"]
    lines(source, ROWS[:1] * 2)
    with pytest.warns(HardnegWarning, match="a_len-0-5.jsonl is there and was left as it is"):
        split(tiny, source, folder, "--length_list", "0", "5")
    assert len(read(folder / "a_len-0-5.jsonl")) == 1
    split(tiny, source, folder, "--length_list", "0", "5", "--overwrite")
    assert len(read(folder / "a_len-0-5.jsonl")) == 2
    assert len(read(folder / ".split_log")) == 3


def test_an_empty_range_leaves_no_file_of_before_to_be_trained_on(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    split(tiny, lines(tmp_path / "a.jsonl", ROWS), folder, "--length_list", "0", "10")
    split(tiny, lines(tmp_path / "a.jsonl", ROWS[:1]), folder, "--length_list", "0", "10", "--overwrite")
    assert [path.name for path in folder.glob("*.jsonl")] == ["a_len-0-10.jsonl"]


def test_keys_and_numbers_stay_to_the_letter_and_a_file_keeps_its_name(tiny: Path, tmp_path: Path) -> None:
    row = {"neg": ["cell \ud800/"], "pos_scores": [0.1234567890123456], "pos": ["gene"], "query": "drug"}
    row |= {"neg_scores": [1], "type": {"of": None}}
    source = lines(tmp_path / "train", [row])
    split(tiny, source, tmp_path / "out", "--length_list", "0")
    (written,) = (tmp_path / "out").glob("*.jsonl")
    assert (written.name, written.read_text("utf-8")) == ("train_len-0-inf.jsonl", source.read_text("utf-8"))


def test_rows_below_the_first_length_are_told(tiny: Path, tmp_path: Path) -> None:
    source = lines(tmp_path / "a.jsonl", ROWS)
    with pytest.warns(HardnegWarning, match="a.jsonl: 2 rows are shorter than 6 tokens and in no file"):
        split(tiny, source, tmp_path / "out", "--length_list", "6")
    assert read(tmp_path / "out" / "a_len-6-inf.jsonl") == ROWS[2:]


def test_of_a_folder_each_jsonl_file_is_split(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("b.jsonl", "a.jsonl", "c.txt"):
        lines(folder / name, ROWS[:1])
    found = split(tiny, folder, tmp_path / "out", "--log_name", "log")
    assert [entry["file_name"] for entry in found["files"]] == ["a.jsonl", "b.jsonl"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "a_len-0-500.jsonl",
        "b_len-0-500.jsonl",
        "log",
    }


def test_flags_and_paths_that_cannot_be(tiny: Path, tmp_path: Path) -> None:
    source = lines(tmp_path / "a.jsonl", ROWS)
    with pytest.raises(UsageError, match="a length stands there twice"):
        split(tiny, source, tmp_path / "out", "--length_list", "5", "5")
    with pytest.raises(UsageError, match="give a name, without a folder"):
        split(tiny, source, tmp_path / "out", "--log_name", "../log")
    with pytest.raises(UsageError, match="is a file; name a folder"):
        split(tiny, source, source)
    with pytest.raises(InputError, match="there is no such file or folder"):
        split(tiny, tmp_path / "nothing", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no file that ends in .jsonl"):
        split(tiny, tmp_path / "empty", tmp_path / "out")
    found = split_data_by_length.parser().parse(["--input_path", "i", "--output_dir", "o"])
    assert found.length_list == [0, 500, 1000, 2000, 3000, 4000, 5000, 6000, 7000]
    assert (found.log_name, found.model_name_or_path, found.num_proc) == (".split_log", "BAAI/bge-m3", 16)
    assert (found.cache_dir, found.overwrite) == (None, False)
    given = split_data_by_length.parser().parse(
        ["--input_path", "i", "--output_dir", "o", "--overwrite", "False"]
    )
    assert given.overwrite is False
