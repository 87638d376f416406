"""A selection → a trainer's file, or a `datasets.Dataset`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from hardneg.errors import UsageError
from hardneg.export.columns import decoded
from hardneg.export.examples import Examples, blocks
from hardneg.export.formats import Format, find_format
from hardneg.export.layout import Layout
from hardneg.export.neutralise import neutralised
from hardneg.export.options import ExportOptions, ExportReport, SelectedTables
from hardneg.export.read_back import Passed, check_lines, check_parquet
from hardneg.export.rendering import csv_lines, header, json_lines, separated_lines
from hardneg.export.requirements import required_layout
from hardneg.files import refuse_not_finite, replacing
from hardneg.named_files import kind_of_path
from hardneg.seals import Summed

if TYPE_CHECKING:
    from datasets import Dataset

DEFAULT_OPTIONS = ExportOptions()
_COMPRESSION = {"jsonl.gz": "gzip", "jsonl.zst": "zstd"}


def export(
    selection: SelectedTables, to: str, output: Path | str, *, options: ExportOptions = DEFAULT_OPTIONS
) -> ExportReport:
    """Write the selection as the trainer reads it; the file is whole, and read back, or not there.

    Rows stand by query id (bytes), positives and negatives in the selection's order, so equal selections
    give equal bytes. Raises UsageError for a format, suffix or option that cannot be, InputError for tables
    that do not fit together or cannot be held by the format, StorageError where the file cannot be written,
    DamagedError where it is not read back as it was written.
    """
    output = Path(output)
    found, kind = check_output(to, output, options)
    layout = required_layout(selection, to, found, options)
    tally = _Tally()
    tables = tally.counted(
        found.rows(block, options) for block in tally.seen(blocks(selection, layout, options))
    )
    with replacing(output, "choose another file (--output)") as temporary:
        if kind == "parquet":
            crc32 = _write_parquet(tables, temporary)
            check_parquet(temporary, output, crc32, tally.names, tally.rows)
        else:
            passed = Passed()
            pieces = passed.counted(_pieces(tables, kind, found, options, tally))
            _write_lines(pieces, temporary, _COMPRESSION.get(kind))
            check_lines(temporary, output, passed, tally.names if kind.startswith("jsonl") else None)
    return _report(to, output, layout, tally)


def to_dataset(selection: SelectedTables, to: str, options: ExportOptions = DEFAULT_OPTIONS) -> Dataset:
    """The rows of `export` as a `datasets.Dataset`, in memory. Raises what `export` raises."""
    from datasets import Dataset

    found = find_format(to, options)
    layout = required_layout(selection, to, found, options)
    tables = [decoded(found.rows(block, options)) for block in blocks(selection, layout, options)]
    return Dataset(pa.concat_tables(tables))


class _Tally:
    """Counts what passes by."""

    def __init__(self) -> None:
        self.rows = self.neutralised = 0
        self.names: list[str] = []  # of the columns
        self.empty_texts: set[str] = set()  # ids, for a document may stand in many blocks

    def seen(self, examples: Iterable[Examples]) -> Iterator[Examples]:
        for block in examples:
            empty = pc.equal(block.text.dictionary, "")
            self.empty_texts.update(block.doc_id.dictionary.filter(empty).to_pylist())
            yield block

    def counted(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        for table in tables:
            self.rows += table.num_rows
            self.names = table.column_names
            refuse_not_finite(table, "the training file")
            yield table


def _report(to: str, output: Path, layout: Layout, tally: _Tally) -> ExportReport:
    return ExportReport(
        to=to,
        path=output,
        rows=tally.rows,
        counts=layout.counts,
        empty_texts=len(tally.empty_texts),
        neutralised=tally.neutralised,
    )


# -- before anything is written -------------------------------------------------------------------------


def check_output(to: str, output: Path, options: ExportOptions = DEFAULT_OPTIONS) -> tuple[Format, str]:
    """The format, and the kind of file by its suffix. Raises UsageError for one that cannot be."""
    found = find_format(to, options)
    if kind_of_path(output) == "folder":
        raise UsageError(f"{output} is a folder; name a file in it")
    fitting = [suffix for suffix in found.kinds if output.name.endswith(suffix)]
    if not fitting:
        raise UsageError(f"{output}: {to} is written to names ending in {', '.join(found.kinds)}")
    return found, found.kinds[max(fitting, key=len)]


# -- writing --------------------------------------------------------------------------------------------


def _pieces(
    tables: Iterable[pa.Table], kind: str, found: Format, options: ExportOptions, tally: _Tally
) -> Iterator[bytes | pa.Buffer]:
    """The file piece by piece."""
    begun = False
    for table in tables:
        if kind.startswith("jsonl"):
            yield from json_lines(table)
            continue
        separator = "," if kind == "csv" else found.separator
        if kind == "lines":
            found.refuse(table)
        if not begun and (kind == "csv" or found.header):
            yield header(table, separator)
        begun = True
        if kind == "csv":
            _refuse_lists(table)
            if options.neutralise:
                table, marked = neutralised(table)
                tally.neutralised += marked
            yield from csv_lines(table)
        else:
            yield from separated_lines(table, separator)


def _write_lines(pieces: Iterable[bytes | pa.Buffer], path: Path, compression: str | None) -> None:
    # By Python's own name for it: a file's name need not be UTF-8.
    with path.open("wb") as handle, pa.output_stream(handle, compression=compression) as stream:
        for piece in pieces:
            stream.write(piece)


def _write_parquet(tables: Iterable[pa.Table], path: Path) -> int:
    """The checksum of what was written."""
    import pyarrow.parquet as pq

    writer = None
    with path.open("wb") as handle, ExitStack() as closing:
        sink = Summed(handle)
        for table in map(decoded, tables):
            if writer is None:
                options = {"compression": "zstd", "store_schema": False, "write_page_checksum": True}
                writer = closing.enter_context(pq.ParquetWriter(sink, table.schema, **options))
            writer.write_table(table)
        closing.close()
        return sink.crc32


def _refuse_lists(table: pa.Table) -> None:
    for field in table.schema:
        if pa.types.is_list(field.type):
            raise UsageError(f"CSV cannot hold the lists in {field.name!r}; write .jsonl or .parquet")
