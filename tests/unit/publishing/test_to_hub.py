"""A selection on the Hub: the real library speaks to a server on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import pytest
from hub_server import Hub, Repo
from huggingface_hub import DatasetCard

import hardneg

NAME = "owner/negatives"
COMMAND = [sys.executable, "-c", "from hardneg.cli import main; main()"]


def card(hub: Hub) -> Any:
    return DatasetCard(hub.repos[NAME].files["README.md"].decode())


def test_the_file_and_its_card_arrive_in_one_commit(hub: Hub, mined: hardneg.Mined, tmp_path: Path) -> None:
    sent = mined.to_hub(NAME)
    repo = hub.repos[NAME]
    assert sorted(repo.files) == ["README.md", "data/train.parquet"]
    assert len(repo.messages) == 1
    assert repo.private
    mined.to("st-triplet", tmp_path / "here.parquet")
    assert repo.files["data/train.parquet"] == (tmp_path / "here.parquet").read_bytes()
    assert (sent.url, sent.private, sent.report.rows) == (f"{hub.url}/datasets/{NAME}", True, 18)
    assert "no licence is stated" in str(sent)


def test_what_is_there_is_read_back_by_datasets_and_by_hardneg(hub: Hub, mined: hardneg.Mined) -> None:
    mined.to_hub(NAME, to="st-triplet")
    expected = mined.to("st-triplet").to_list()
    assert datasets.load_dataset(NAME, split="train").to_list() == expected
    back = hardneg.load(f"hf://datasets/{NAME}/data/train.parquet")
    assert set(back.queries["text"].to_pylist()) == {row["anchor"] for row in expected}
    assert back.given.num_rows == len({(row["anchor"], row["negative"]) for row in expected})


def test_an_export_may_go_to_a_file_of_a_data_set(hub: Hub, mined: hardneg.Mined, tmp_path: Path) -> None:
    hub.repos[NAME] = Repo(private=True)
    address = f"hf://datasets/{NAME}/more/triplets.jsonl"
    report = mined.to("st-triplet", address)
    mined.to("st-triplet", tmp_path / "here.jsonl")
    assert hub.repos[NAME].files["more/triplets.jsonl"] == (tmp_path / "here.jsonl").read_bytes()
    assert report.path == address
    with pytest.raises(hardneg.HardnegError, match="there is no repository 'datasets/owner/other'"):
        mined.to("st-triplet", "hf://datasets/owner/other/triplets.jsonl")


def test_a_folder_goes_to_a_data_set_in_one_commit_and_is_read_there(
    hub: Hub, mined: hardneg.Mined, tmp_path: Path
) -> None:
    hub.repos[NAME] = Repo(private=True)
    address = f"hf://datasets/{NAME}/more/gpl"
    assert mined.to("gpl", address).path == address
    mined.to("gpl", tmp_path / "gpl")
    repo, here = hub.repos[NAME], [path for path in (tmp_path / "gpl").rglob("*") if path.is_file()]
    names = {f"more/gpl/{path.relative_to(tmp_path / 'gpl').as_posix()}": path.read_bytes() for path in here}
    assert (repo.files, len(repo.messages)) == (names, 1)
    report = hardneg.convert(address, "st-triplet", f"hf://datasets/{NAME}/triplets.jsonl")
    assert (report.format, report.accounts.negatives) == ("gpl", 18)
    assert repo.files["triplets.jsonl"].count(b"\n") == 18


def test_a_data_set_that_is_a_training_folder_is_checked(
    hub: Hub, mined: hardneg.Mined, tmp_path: Path
) -> None:
    mined.to("gpl", tmp_path / "gpl")
    here = [path for path in (tmp_path / "gpl").rglob("*") if path.is_file()]
    files = {path.relative_to(tmp_path / "gpl").as_posix(): path.read_bytes() for path in here}
    hub.repos[NAME] = Repo(private=True, files=files)
    report = hardneg.check(f"hf://datasets/{NAME}")
    assert (report.path, report.format, report.rows) == (f"hf://datasets/{NAME}", "gpl", 9)


class TestCard:
    @pytest.fixture
    def found(self, mined: hardneg.Mined, tmp_path: Path) -> Any:
        mined.to_hub(NAME, folder=tmp_path / "folder", license="cc-by-4.0")
        return DatasetCard.load(tmp_path / "folder" / "README.md")

    def test_the_metadata(self, found: Any) -> None:
        data = found.data.to_dict()
        assert data["license"] == "cc-by-4.0"
        assert data["size_categories"] == ["n<1K"]
        assert data["task_categories"] == ["text-retrieval"]
        assert data["tags"] == ["hard-negatives", "hardneg", "sentence-transformers"]
        files = [{"split": "train", "path": "data/train.parquet"}]
        assert data["configs"] == [{"config_name": "default", "data_files": files}]

    def test_models_rules_counts_and_the_command(self, found: Any, mined: hardneg.Mined) -> None:
        assert "| retriever bm25 | bm25 |" in found.text
        assert "| num\\_negatives | 2 |" in found.text
        assert "| seed | 7 |" in found.text
        assert "| near\\_duplicate | 0.0 |" in found.text
        assert "temperature" not in found.text  # the sampler has none
        assert "| negatives | 18 |" in found.text
        assert "| queries | 9 |" in found.text
        flags = (
            "--retriever bm25 --depth 5 --near-duplicate 0.0 --guard off --num-negatives 2 --window 1: "
            "--relative-margin none --seed 7"
        )
        assert f"\nhardneg mine pairs.jsonl {flags}\n" in found.text
        assert "hardneg export RUN --to st-triplet" in found.text
        dropped = {k: v for k, v in mined.summary["reasons"].items() if k not in ("selected", "backfill")}
        assert dropped
        for reason, count in dropped.items():
            assert f"| {reason.replace('_', chr(92) + '_')} | {count:,} |" in found.text

    def test_a_source_in_memory_has_no_name_to_give(self, tmp_path: Path) -> None:
        rows = [{"query": f"river {n}", "positive": f"river engine {n}"} for n in range(9)]
        plain = {"retriever": "bm25", "relative_margin": None, "guard": "off", "near_duplicate": 0}
        hardneg.mine(rows, run_dir=tmp_path / "run", depth=5, **plain).to_hub(NAME, folder=tmp_path / "f")
        text = (tmp_path / "f" / "README.md").read_text()
        assert "a table in memory (list), mined with hardneg" in text
        assert "\nhardneg mine SOURCE --retriever bm25" in text
        assert "| seed | 0 |" in text

    def test_without_a_guard_nothing_is_claimed(self, found: Any) -> None:
        assert "Nothing is known: no guard judged these negatives" in found.text

    def test_no_folder_of_this_machine_is_shown(self, found: Any, source: Path) -> None:
        assert source.name in found.content
        assert source.parent.name not in found.content

    def test_a_licence_that_nobody_stated_is_marked(self, mined: hardneg.Mined, tmp_path: Path) -> None:
        mined.to_hub(NAME, folder=tmp_path / "other")
        card = DatasetCard.load(tmp_path / "other" / "README.md")
        assert "license" not in card.data.to_dict()
        assert "**Not stated yet.**" in card.text

    def test_the_estimate_of_false_negatives(self, run: Path, tmp_path: Path) -> None:
        mined = hardneg.open_run(run).select(name="guarded", guard="prior")
        mined.to_hub(NAME, folder=tmp_path / "guarded")
        share = mined.summary["guard"]["false_negatives"]["share"]
        text = (tmp_path / "guarded" / "README.md").read_text()
        assert f"about {share:.1%} of the mined negatives are false ones" in text

    def test_the_columns_are_those_of_the_file(self, mined: hardneg.Mined, tmp_path: Path) -> None:
        mined.to_hub(NAME, to="flagembedding", folder=tmp_path / "f", ids=True)
        assert (tmp_path / "f" / "data" / "train.jsonl").is_file()
        text = (tmp_path / "f" / "README.md").read_text()
        row = json.loads((tmp_path / "f" / "data" / "train.jsonl").read_text().splitlines()[0])
        named = [
            line.split(" | ")[0].removeprefix("| ") for line in text.splitlines() if line.startswith("| ")
        ]
        assert [name.replace("\\", "") for name in named[1 : 1 + len(row)]] == list(row)
        assert "hardneg export RUN --to flagembedding --ids" in text


class TestWhatIsThere:
    def test_what_people_wrote_stays(self, hub: Hub, mined: hardneg.Mined) -> None:
        mined.to_hub(NAME)
        files = hub.repos[NAME].files
        written = (
            files["README.md"].decode().replace("tags:\n", "license: mit\nmy_key: kept\ntags:\n- mine\n")
        )
        files["README.md"] = f"{written}\n## My own words\n\nstay.\n".encode()
        files["data/other.csv"] = b"a,b\n"
        mined.to_hub(NAME, to="st-labeled-pair")
        found = card(hub)
        assert "## My own words\n\nstay." in found.text
        assert found.text.count("<!-- hardneg: begin -->") == 1
        assert "Format `st-labeled-pair`" in found.text
        assert "Format `st-triplet`" not in found.text
        data = found.data.to_dict()
        assert (data["license"], data["my_key"]) == ("mit", "kept")
        assert data["tags"] == ["mine", "hard-negatives", "hardneg", "sentence-transformers"]
        assert files["data/other.csv"] == b"a,b\n"

    def test_a_card_of_another_hand_is_added_to(self, hub: Hub, mined: hardneg.Mined) -> None:
        hub.repos[NAME] = Repo(private=True, files={"README.md": b"---\nlicense: mit\n---\n# Mine\n"})
        mined.to_hub(NAME)
        assert card(hub).text.strip().startswith("# Mine\n\n<!-- hardneg: begin -->")
        assert card(hub).data.license == "mit"

    def test_a_public_one_is_refused_unless_said(self, hub: Hub, mined: hardneg.Mined) -> None:
        hub.repos[NAME] = Repo(private=False)
        with pytest.raises(hardneg.UsageError, match="is there and public.*--public"):
            mined.to_hub(NAME)
        assert hub.repos[NAME].files == {}
        mined.to_hub(NAME, private=False)
        assert "README.md" in hub.repos[NAME].files

    def test_what_another_sent_meanwhile_is_not_overwritten(
        self, hub: Hub, mined: hardneg.Mined, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import hardneg.plan.publish

        hub.repos[NAME] = Repo(private=True)
        real = hardneg.plan.publish.send_folder

        def after_another(*words: Any) -> Any:
            hub.repos[NAME].commits.append("f" * 40)
            return real(*words)

        monkeypatch.setattr(hardneg.plan.publish, "send_folder", after_another)
        with pytest.raises(hardneg.HardnegError, match="the Hub cannot take it"):
            mined.to_hub(NAME)
        assert hub.repos[NAME].files == {}


class TestWhatIsRefused:
    def test_without_a_token_nothing_is_asked(
        self, hub: Hub, mined: hardneg.Mined, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HF_TOKEN")
        with pytest.raises(hardneg.UsageError, match="no token for the Hub; run `hf auth login`, or set"):
            mined.to_hub(NAME)
        assert hub.asked == []

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_token_that_may_not(self, hub: Hub, mined: hardneg.Mined, status: int) -> None:
        hub.refuse = lambda path: status if path == "/api/repos/create" else None
        with pytest.raises(
            hardneg.HardnegError, match=rf"does not let this token write there \({status}\)"
        ) as caught:
            mined.to_hub(NAME)
        assert hub.token not in str(caught.value)

    def test_a_licence_that_the_hub_does_not_know(self, hub: Hub, mined: hardneg.Mined) -> None:
        hub.repos[NAME] = Repo(private=True)
        with pytest.raises(hardneg.HardnegError, match='"license" must be one of'):
            mined.to_hub(NAME, license="no-such")
        assert hub.repos[NAME].files == {}

    def test_a_file_that_the_repository_ignores_is_missed(self, hub: Hub, mined: hardneg.Mined) -> None:
        hub.repos[NAME] = Repo(private=True, files={".gitignore": b"data/train.parquet"})
        with pytest.raises(hardneg.HardnegError, match=r"data/train\.parquet: did not arrive whole"):
            mined.to_hub(NAME)

    def test_one_that_arrives_cut_off_too(self, hub: Hub, mined: hardneg.Mined) -> None:
        hub.spoil = lambda data: data[:-1]
        with pytest.raises(hardneg.HardnegError, match="did not arrive whole"):
            mined.to_hub(NAME)

    @pytest.mark.parametrize("name", ["negatives", "a/b/c", "owner/na me", "../x/y", ""])
    def test_a_name_that_is_none(self, hub: Hub, mined: hardneg.Mined, name: str, tmp_path: Path) -> None:
        with pytest.raises(hardneg.UsageError, match="write OWNER/NAME"):
            mined.to_hub(name)
        with pytest.raises(hardneg.UsageError, match="write OWNER/NAME"):
            mined.to_hub(name, folder=tmp_path / "folder")
        assert hub.asked == [] and not (tmp_path / "folder").exists()

    def test_lines_that_are_no_table(self, hub: Hub, mined: hardneg.Mined) -> None:
        with pytest.raises(hardneg.UsageError, match="trec is no table that the Hub can show"):
            mined.to_hub(NAME, to="trec")

    def test_a_folder_that_holds_something(self, mined: hardneg.Mined, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").write_text("kept")
        with pytest.raises(hardneg.UsageError, match="is not an empty folder"):
            mined.to_hub(NAME, folder=tmp_path)


def test_by_the_command_line(hub: Hub, run: Path, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": hub.token,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(tmp_path / "home"),
    }
    words = ["export", str(run), "--to", "st-triplet", "--to-hub", NAME, "--license", "mit", "--json"]
    ended = subprocess.run([*COMMAND, *words], capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert (told["url"], told["private"], told["license"]) == (f"{hub.url}/datasets/{NAME}", True, "mit")
    assert hub.repos[NAME].private
    assert hub.token not in ended.stdout + ended.stderr

    folder = tmp_path / "folder"
    ended = subprocess.run(
        [*COMMAND, *words[:6], "--to-folder", str(folder)],
        capture_output=True,
        text=True,
        env={**environment, "HF_TOKEN": "", "HF_ENDPOINT": "http://127.0.0.1:9"},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert "nothing was sent" in ended.stdout
    assert pq.read_table(folder / "data" / "train.parquet").num_rows == 18


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name the file (--output) or the data set on the Hub (--to-hub)"),
        (["--output", "x.jsonl", "--to-hub", NAME], "--output and --to-hub do not go together"),
        (["--output", "x.jsonl", "--public"], "go with --to-hub"),
    ],
    ids=["neither", "both", "a flag of the other"],
)
def test_usage(run: Path, words: list[str], said: str) -> None:
    ended = subprocess.run(
        [*COMMAND, "export", str(run), "--to", "st-triplet", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert said in ended.stderr
