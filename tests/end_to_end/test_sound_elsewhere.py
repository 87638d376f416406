"""Whole, sound files in places that are not theirs: of another run, another selection, an older state.

Each is known for what it is: the command gives what it gives without it, or ends with a line that names the
file; `doctor` reports it, and after `--repair` and the same `mine` all is as it was.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import hardneg
from hardneg.errors import HardnegError
from hardneg.files import remove, write_json
from hardneg.fingerprints import digest
from hardneg.plan.checkup import check_cache, check_run, repair_run
from hardneg.records import Float32
from hardneg.run_directory import RunDirectory

sys.path.insert(0, str(Path(__file__).parent))
from small_run import FILES, TABLES, Letters, data, export, mine, one_line_that_names_a_place, result, select

Tally = Callable[..., None]


@pytest.fixture(autouse=True)
def _a_cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARDNEG_CACHE", str(tmp_path / "cache"))


class Runs:
    """`run` as it is, and where files for its places come from.

    another  a run of other texts
    older    the same run before it was searched to its depth, scored and chosen from
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        mine(folder / "another", data(seed=2))
        select(folder / "another")
        mine(folder / "run", cross_encoder=None, depth=10)
        shutil.copytree(folder / "run", folder / "older")
        mine(folder / "run")
        select(folder / "run")
        self.default, self.other = (result(folder / "run", name) for name in ("default", "other"))
        self.exported = export(folder / "run")
        (folder / "run" / "train.jsonl").unlink()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARDNEG_CACHE", str(folder / "cache"))
        yield Runs(folder)


OF_THE_SAME_RUN = {
    "queries.parquet": "corpus.parquet",
    "qrels.parquet": "given.parquet",
    "candidates/part-00000.parquet": "positives/part-00000.parquet",
    "candidates/part-00000.reserve.npz": "guard/near-queries.npz",
    "guard/text_classes.parquet": "positives/part-00000.parquet",
    "guard/sketches.npy": "guard/sketches-first.npy",
    "guard/lexical-queries.npy": "guard/lexical-documents.npy",
    "guard/near-queries.npz": "guard/judged/*/model.npz",
    "guard/judged/*/model.npz": "guard/judged/*/part-00000-20.npz",
    "guard/judged/*/part-00000-20.npz": "guard/near-queries.npz",
    "selections/default/decisions.parquet": "selections/other/decisions.parquet",
    "selections/default/negatives.parquet": "selections/other/negatives.parquet",
    "selections/default/positives.parquet": "selections/default/outcomes.parquet",
    "selections/default/outcomes.parquet": "selections/default/positives.parquet",
    "manifest.json": "candidates/plan.json",
}
SAME_IN_OLDER = {
    *(f"{name}.parquet" for name in TABLES),
    *("guard/text_classes.parquet", "guard/sketches.npy", "guard/sketches-first.npy"),
    *("guard/lexical-documents.npy", "guard/lexical-queries.npy", "guard/near-queries.npz"),
}
"""What an older state of the run holds too, to the byte."""
CASES = [
    *((file, "another", file) for file in FILES),
    *((file, "run", source) for file, source in OF_THE_SAME_RUN.items()),
    *((file, "older", file) for file in FILES if file not in SAME_IN_OLDER and "judged" not in file),
]


def wrong_outputs(runs: Runs, run: Path) -> int:
    """Each command on the run as it is found."""
    wrong = 0
    for command, expected in (
        (export, runs.exported),
        (lambda run: (select(run), result(run, "other"))[1], runs.other),
        (lambda run: (mine(run), result(run, "default"))[1], runs.default),
        (lambda run: (select(run), result(run, "other"))[1], runs.other),
        (export, runs.exported),
    ):
        try:
            found = command(run)
        except HardnegError as error:
            assert one_line_that_names_a_place(error), error
        else:
            wrong += found != expected
    return wrong


def the_one(run: Path, file: str) -> Path:
    """Of the guard's files those of the whole depth."""
    whole = {path.parent for path in run.glob("guard/judged/*/part-00000-20.npz")}
    (found,) = (path for path in run.glob(file) if "judged" not in path.parts or path.parent in whole)
    return found


def put(runs: Runs, run: Path, source: str, file: str, into: str) -> Path:
    """Copy a file of one of the runs to a place in `run`."""
    place, sound = the_one(run, into), the_one(runs.folder / source, file)
    shutil.copyfile(sound, place)
    return place


@pytest.mark.reliability
@pytest.mark.parametrize(("into", "source", "file"), CASES)
def test_a_sound_file_in_another_place(
    runs: Runs, tmp_path: Path, tally: Tally, into: str, source: str, file: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs.folder / "run", run)
    shutil.copytree(runs.folder / "cache", tmp_path / "cache")
    place = put(runs, run, source, file, into)
    wrong = wrong_outputs(runs, run)
    shutil.rmtree(run)
    shutil.copytree(runs.folder / "run", run)
    put(runs, run, source, file, into)
    assert place in [one.where for one in check_run(run).findings]
    repair_run(run)
    mine(run)
    select(run)
    wrong += (result(run, "default"), result(run, "other")) != (runs.default, runs.other)
    assert not check_run(run).findings
    tally("sound files in other places, wrong outputs", tried=6, failed=wrong)
    assert wrong == 0


def test_mine_makes_again_what_is_another_runs(runs: Runs, tmp_path: Path) -> None:
    """Without asking anybody; `select` says what it met."""
    run = tmp_path / "run"
    shutil.copytree(runs.folder / "run", run)
    shutil.copytree(runs.folder / "cache", tmp_path / "cache")
    put(runs, run, "another", "guard/text_classes.parquet", "guard/text_classes.parquet")
    put(runs, run, "another", "selections/default/decisions.parquet", "selections/default/decisions.parquet")
    shutil.rmtree(run / "selections" / "other")
    with pytest.raises(HardnegError, match=r"text_classes\.parquet: is not the file that was written here"):
        select(run)
    with pytest.raises(
        HardnegError, match=r"decisions\.parquet: is not the file .*; choose again with `hardneg"
    ):
        hardneg.open_run(run).decisions  # noqa: B018 - a property that reads
    mine(run)
    assert result(run, "default") == runs.default


class Others(Letters):
    def fingerprint(self, kind: str) -> dict[str, str]:
        return {"encoder": "others"}

    def encode(self, texts: list[str], kind: str, prompt: str) -> Float32:
        return super().encode(texts, kind, prompt)[:, ::-1] + 1


@pytest.mark.parametrize("name", [".lock", ".holder"])
def test_a_folder_in_the_place_of_the_lock(runs: Runs, tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs.folder / "run", run)
    remove(run / name)
    (run / name / "in it").mkdir(parents=True)
    assert [one.where.name for one in check_run(run).findings] == [name]
    repaired = repair_run(run)
    assert repaired.left == 0 and [one.where.name for one in repaired.findings] == [name]
    assert not check_run(run).findings


def test_an_older_trial_is_not_followed(runs: Runs, tmp_path: Path) -> None:
    """Whatever it is the trial of: what `select --from-trial` takes has to be the last one's."""
    run = tmp_path / "run"
    shutil.copytree(runs.folder / "run", run)
    directory = RunDirectory(run)
    search = directory.stage("search")["fingerprint"]
    numbers = {"search": search, "recommended": {"settings": {"sampler": "random", "seed": 7}}}
    (run / "trial").mkdir(exist_ok=True)
    write_json(numbers, run / "trial" / "trial.json")
    directory.finish_stage("trial", checksum=digest(numbers))
    hardneg.open_run(run).select(name="advised", from_trial=True)
    numbers["recommended"] = {"settings": {"sampler": "top"}}
    write_json(numbers, run / "trial" / "trial.json")
    with pytest.raises(HardnegError, match=r"trial\.json: is not the file .*; run `hardneg trial .*` again"):
        hardneg.open_run(run).select(name="advised", from_trial=True)
    assert [one.where.name for one in check_run(run).findings] == ["trial.json"]


def test_vectors_of_another_encoder_are_not_taken(runs: Runs, tmp_path: Path) -> None:
    """A shard with its keys, both sound, in another encoder's folder: other vectors of the same texts."""
    mine(tmp_path / "others", model=Others())
    whole = result(tmp_path / "others", "default")
    own = next((tmp_path / "cache" / "vectors").rglob("*.keys.parquet")).parent
    for path in own.glob("*-*"):
        path.unlink()
    for path in (runs.folder / "cache" / "vectors").glob("[!.]*/*-*"):
        shutil.copyfile(path, own / path.name)
    assert {one.where.parent for one in check_cache(tmp_path / "cache").findings} == {own}
    shutil.rmtree(tmp_path / "others")
    mine(tmp_path / "others", model=Others())
    assert result(tmp_path / "others", "default") == whole
    assert not check_cache(tmp_path / "cache").findings


# -- what is no file at all --------------------------------------------------------------------------------


def stand_in(place: Path, what: str) -> None:
    remove(place)
    if what == "pipe":
        os.mkfifo(place)
    elif what == "link to nothing":
        place.symlink_to("nothing")
    elif place.parent.name == "selections":
        place.write_text("a file where a folder belongs")
    else:
        (place / "in it").mkdir(parents=True)


@pytest.mark.reliability
@pytest.mark.parametrize("what", ["folder", "pipe", "link to nothing"])
@pytest.mark.parametrize("file", [*FILES, "refused_rows.jsonl", "selections/default"])
def test_what_stands_in_the_place_of_a_file(
    runs: Runs, tmp_path: Path, tally: Tally, file: str, what: str
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs.folder / "run", run)
    shutil.copytree(runs.folder / "cache", tmp_path / "cache")
    place = run / file if "*" not in file else the_one(run, file)
    for command in (select, export, mine):
        stand_in(place, what)
        try:
            command(run)
        except HardnegError as error:
            assert one_line_that_names_a_place(error), error
    stand_in(place, what)
    assert place in [one.where for one in check_run(run).findings]
    repair_run(run)
    mine(run)
    select(run)
    wrong = (result(run, "default"), result(run, "other")) != (runs.default, runs.other)
    tally("sound files in other places, wrong outputs", tried=1, failed=int(wrong))
    assert not wrong and not check_run(run).findings
