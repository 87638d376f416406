"""A selection, or groups of a training file → a trainer's file or folder, or a `datasets.Dataset`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from hardneg.errors import UsageError
from hardneg.export.columns import decoded
from hardneg.export.examples import Examples, blocks
from hardneg.export.formats import Format, Kind, find_format
from hardneg.export.layout import Layout
from hardneg.export.options import ExportOptions, ExportReport, SelectedTables
from hardneg.export.requirements import required_layout
from hardneg.export.table_files import Rendering, Tally, Write, table_file
from hardneg.export.written_once import WrittenOnce
from hardneg.files import replacing, replacing_folder
from hardneg.named_files import kind_of_path, refuse_inputs
from hardneg.remote import address_of, check_target, refuse_remote_inputs
from hardneg.texts import single_spaced

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

DEFAULT_OPTIONS = ExportOptions()
_ELSEWHERE = "choose another file (--output)"


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
    seen = Seen(found.single_spaces)
    tally = write_examples(seen.passing(blocks(selection, layout, options)), found, kind, output, options)
    return _report(to, output, layout, tally, seen)


def to_dataset(
    selection: SelectedTables, to: str, options: ExportOptions = DEFAULT_OPTIONS
) -> Dataset | DatasetDict:
    """The rows of `export` in memory, of a folder a data set a file. Raises what `export` raises."""
    from datasets import Dataset, DatasetDict

    found = find_format(to, options)
    layout = required_layout(selection, to, found, options)
    tables: dict[str, list[pa.Table]] = {}

    def keep(name: str) -> Write:
        return lambda table: tables.setdefault(Path(name).with_suffix("").as_posix(), []).append(
            decoded(table)
        )

    writes = {name: keep(name) for name in found.folder or [to]}
    _fill(blocks(selection, layout, options), found, writes, options)
    sets = {name: Dataset(pa.concat_tables(parts)) for name, parts in tables.items()}
    return DatasetDict(sets) if found.folder else sets[to]


def _report(to: str, output: Path, layout: Layout, tally: Tally, seen: Seen) -> ExportReport:
    return ExportReport(
        to=to,
        path=output,
        rows=tally.rows,
        counts=layout.counts,
        empty_texts=len(seen.empty_texts),
        neutralised=tally.neutralised,
        respaced=seen.respaced,
    )


@dataclass
class Seen:
    """What passed by on its way into a file.

    respaced  texts whose white space is not single spaces, each counted wherever it stands
    """

    single_spaces: bool = False  # what the format makes of white space
    respaced: int = 0
    empty_texts: set[str] = field(default_factory=set)  # ids, for a document may stand in many blocks

    def passing(self, examples: Iterable[Examples]) -> Iterator[Examples]:
        for block in examples:
            empty = pc.index_in(pa.scalar("", block.text.dictionary.type), block.text.dictionary).as_py()
            if empty is not None:
                of_empty = block.doc_id.filter(pc.equal(block.text.indices, empty))
                self.empty_texts.update(of_empty.unique().to_pylist())
            if self.single_spaces:
                self.respaced += _not_single_spaced(block.query) + _not_single_spaced(block.text)
            yield block


def _not_single_spaced(texts: pa.DictionaryArray) -> int:
    changed = pa.array([single_spaced(one) != one for one in texts.dictionary.to_pylist()], pa.bool_())
    return pc.sum(changed.take(texts.indices)).as_py() or 0


# -- before anything is written -------------------------------------------------------------------------


def check_output(to: str, output: Path, options: ExportOptions = DEFAULT_OPTIONS) -> tuple[Format, Kind]:
    """The format, and the kind of file by its suffix. Raises UsageError for one that cannot be.

    output  may be an address, too; what lies there is for others to look at
    """
    found = find_format(to, options)
    address = address_of(output)
    if found.folder:
        if address is None:
            _refuse_other_folder(to, output, found)
        return found, "folder"
    if address is None and kind_of_path(output) == "folder":
        raise UsageError(f"{output} is a folder; name a file in it")
    fitting = [suffix for suffix in found.kinds if output.name.endswith(suffix)]
    if not fitting:
        raise UsageError(f"{address or output}: {to} is written to names ending in {', '.join(found.kinds)}")
    return found, found.kinds[max(fitting, key=len)]


def check_destination(
    to: str, output: Path | str, inputs: Iterable[str], options: ExportOptions = DEFAULT_OPTIONS
) -> None:
    """As `check_output`; also looks whether an address can be written to, and replaces nothing that was read.

    Raises UsageError or StorageError where that cannot be.
    """
    found, _ = check_output(to, Path(output), options)
    address = address_of(output)
    if address is None:
        refuse_inputs(Path(output), inputs)
        return
    refuse_remote_inputs(address, inputs)
    check_target(address, folder=bool(found.folder))


def _refuse_other_folder(to: str, output: Path, found: Format) -> None:
    """A folder is replaced as a whole, so it may hold nothing but what an export wrote there."""
    kind = kind_of_path(output)
    if kind == "file":
        raise UsageError(f"{output} is a file; {to} is a folder of {', '.join(found.folder)}")
    if kind == "folder":
        own = {Path(name).parts[0] for name in found.folder}
        others = sorted(one.name for one in output.iterdir() if one.name not in own)
        if others:
            raise UsageError(
                f"{output}: holds {others[0]!r} beside what {to} writes, and would be replaced whole; name a "
                "new folder"
            )


# -- writing --------------------------------------------------------------------------------------------


def write_examples(
    examples: Iterable[Examples], found: Format, kind: Kind, output: Path, options: ExportOptions
) -> Tally:
    """Write the blocks to a file, or a folder, that is whole and read back, or not there."""
    if found.folder:
        return _write_folder(examples, found, output, options)
    how = Rendering(kind, found.separator, found.header, found.refuse, options.neutralise, found.frame)
    tally = Tally()
    with (
        replacing(output, _ELSEWHERE) as temporary,
        table_file(temporary, output, how, tally) as write,
    ):
        _fill(examples, found, {output.name: write}, options)
    return tally


def _write_folder(examples: Iterable[Examples], found: Format, output: Path, options: ExportOptions) -> Tally:
    """The tally of the first file: the examples."""
    tallies = {name: Tally() for name in found.folder}
    with replacing_folder(output, _ELSEWHERE) as temporary, ExitStack() as open_files:
        writes: dict[str, Any] = {}
        for name, file in found.folder.items():
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            how = Rendering(
                file.kind,
                header=file.header,
                refuse=file.refuse,
                neutralise=options.neutralise,
                frame=file.frame,
            )
            writes[name] = open_files.enter_context(
                table_file(temporary / name, output / name, how, tallies[name])
            )
        _fill(examples, found, writes, options)
    return next(iter(tallies.values()))


def _fill(
    examples: Iterable[Examples], found: Format, writes: dict[str, Write], options: ExportOptions
) -> None:
    """Give each block's rows to the file, or to each file of the folder."""
    if not found.folder:
        (write,) = writes.values()
        for block in examples:
            write(found.rows(block, options))
        return
    once = {name: WrittenOnce(file.key) for name, file in found.folder.items() if file.key is not None}
    for block in examples:
        for name, file in found.folder.items():
            rows = file.rows(block, options)
            writes[name](once[name].unseen(rows) if name in once else rows)
