"""`hardneg split-by-length`: FlagEmbedding's `scripts/split_data_by_length.py`.

A row goes by its longest text, in tokens of the model, into the file of its range:
`NAME_len-FROM-TO.jsonl`, FROM included and TO not. Each row is written as it was.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from hardneg.compat.flags import FlagParser, at_least
from hardneg.compat.training_rows import TrainingRow, training_rows, warn, write_rows
from hardneg.errors import InputError, UsageError
from hardneg.files import replacing
from hardneg.flag_models import model_folder, told
from hardneg.named_files import kind_of_path
from hardneg.protocols import Progress
from hardneg.quantities import counted
from hardneg.records import Int64
from hardneg.terminal import printable
from hardneg.texts import mended

LENGTHS = (0, 500, 1000, 2000, 3000, 4000, 5000, 6000, 7000)
_ROWS_AT_ONCE = 256
Count = Callable[[Sequence[str]], list[int]]
"""Texts → how many tokens each has."""


def parser() -> FlagParser:
    found = FlagParser(
        "split-by-length", "Split by token length, as FlagEmbedding's split_data_by_length.py."
    )
    found.flag("input_path", text="JSON lines, or a folder of .jsonl files.", required=True)
    found.flag("output_dir", text="Folder of the files.", required=True)
    found.flag("cache_dir", text="Changes nothing: there is no cache of data.")
    found.flag("log_name", ".split_log", "Name of the log in that folder.")
    found.flag(
        "length_list", list(LENGTHS), "Where ranges begin; the last has no end.", type=at_least(0), nargs="+"
    )
    found.flag("model_name_or_path", "BAAI/bge-m3", "Model whose tokenizer counts.")
    found.flag("num_proc", 16, "Changes nothing: the tokenizer uses all cores.", type=at_least(1))
    found.switch("overwrite", False, "Replace files that are there.")
    return found


@dataclass(frozen=True)
class Range:
    """Lengths from `start` to below `stop`; None: without end."""

    start: int
    stop: int | None

    def __str__(self) -> str:
        return f"len-{self.start}-{'inf' if self.stop is None else self.stop}"


def run(asked: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    """Split as the flags say; a log entry a file. Raises HardnegError."""
    ranges = _ranges(asked.length_list)
    if Path(asked.log_name).name != asked.log_name:
        raise UsageError(f"log_name {asked.log_name!r}: give a name, without a folder")
    folder = Path(asked.output_dir)
    if kind_of_path(folder) == "file":
        raise UsageError(f"{folder} is a file; name a folder (--output_dir)")
    sources = _sources(Path(asked.input_path), progress)
    count = _counting(asked.model_name_or_path)
    entries = [_split(path, folder, ranges, count, asked.overwrite, progress) for path in sources]
    _append(folder / asked.log_name, entries)
    return {"output": str(folder), "files": entries}


def render(found: dict[str, Any]) -> str:
    """For people."""
    lines = [
        f"{entry['file_name']}: {counted(entry['size'], 'row')}; "
        + ", ".join(f"{name}: {rows:,}" for name, rows in entry["split_info"].items())
        for entry in found["files"]
    ]
    return printable("\n".join(lines))


def _ranges(starts: Sequence[int]) -> list[Range]:
    ordered = sorted(starts)
    if len(set(ordered)) < len(ordered):
        raise UsageError("length_list: a length stands there twice")
    return [Range(a, b) for a, b in pairwise(ordered)] + [Range(ordered[-1], None)]


def _sources(path: Path, progress: Progress) -> list[Path]:
    """The file, or those of a folder that end in .jsonl; others are passed over, and told."""
    kind = kind_of_path(path)
    if kind == "nothing":
        raise InputError("there is no such file or folder", file=path)
    if kind == "file":
        return [path]
    files = sorted(one for one in path.iterdir() if one.is_file())
    for one in files:
        if one.suffix != ".jsonl":
            progress.say(f"{one}: passed over, for its name does not end in .jsonl")
    found = [one for one in files if one.suffix == ".jsonl"]
    if not found:
        raise InputError("holds no file that ends in .jsonl", file=path)
    return found


def _counting(model: str) -> Count:
    """Raises ModelError where the model has no tokenizer."""
    folder = model_folder(model, None, only_tokenizer=True)
    with told(model):
        from transformers import AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(str(folder))
    return lambda texts: [len(ids) for ids in tokenizer(list(texts), verbose=False)["input_ids"]]


def _split(
    path: Path, folder: Path, ranges: Sequence[Range], count: Count, overwrite: bool, progress: Progress
) -> dict[str, Any]:
    """One file; its log entry."""
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    longest = _longest(path, count, progress)
    info: dict[str, int] = {}
    for one in ranges:
        output = folder / f"{path.stem}_{one}.jsonl"
        if output.exists() and not overwrite:
            warn(f"{output} is there and was left as it is; --overwrite replaces it")
            continue
        inside = (longest >= one.start) & (longest < (one.stop or np.iinfo(np.int64).max))
        info[str(one)] = int(inside.sum())
        if inside.any():
            write_rows(_rows(path, inside), output, "--output_dir")
        elif overwrite:
            output.unlink(missing_ok=True)
    below = int((longest < ranges[0].start).sum())
    if below:
        warn(
            f"{path.name}: {counted(below, 'row is', 'rows are')} shorter than {ranges[0].start} tokens and "
            "in no file"
        )
    return {
        "file_name": path.name,
        "size": len(longest),
        "avg_length": float(longest.mean()) if len(longest) else 0.0,
        "file_path": str(path),
        "start_time": started,
        "end_time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "split_info": info,
    }


def _longest(path: Path, count: Count, progress: Progress) -> Int64:
    """int64 (rows,): tokens of each row's longest text."""
    found: list[int] = []
    rows = training_rows(path)
    with progress.track(f"count {path.name}", path.stat().st_size, "bytes") as advance:
        while part := list(islice(rows, _ROWS_AT_ONCE)):
            texts = [_texts(row) for row in part]
            lengths = iter(count([text for several in texts for text in several]))
            found += [max(islice(lengths, len(several))) for several in texts]
            advance(sum(len(text) for several in texts for text in several))
    return np.array(found, np.int64)


def _texts(row: TrainingRow) -> list[str]:
    return [mended(text) for text in (row.query, *row.positives, *row.negatives)]


def _rows(path: Path, inside: Any) -> Iterator[dict[str, Any]]:
    for row, wanted in zip(training_rows(path), inside, strict=True):
        if wanted:
            yield row.row


def _append(log: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Add a line for each entry; the log is whole or as it was."""
    before = log.read_bytes() if log.exists() else b""
    lines = "".join(json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n" for entry in entries)
    with replacing(log, "choose another folder (--output_dir)") as temporary:
        temporary.write_bytes(before + lines.encode("utf-8", "backslashreplace"))


def main() -> None:
    """`python -m hardneg.compat.split_data_by_length`."""
    import sys

    from hardneg import cli

    sys.argv[1:1] = ["split-by-length"]
    cli.main()


if __name__ == "__main__":
    main()
