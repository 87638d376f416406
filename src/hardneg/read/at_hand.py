"""What an address (`s3://...`) names, copied to this disk while it is read; messages name the address."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from hardneg.config import ReadConfig, TrainingFileOptions
from hardneg.errors import HardnegError, InputError, UsageError
from hardneg.leftovers import scratch_folder
from hardneg.quantities import size_text
from hardneg.read.beir import is_beir_folder
from hardneg.read.training.formats import is_folder_of_format
from hardneg.remote import Fetched, address_of, exists, fetch

_HUB = "hf://datasets/"
_NAMED = ("qrels", "corpus", "queries")
Settings = TypeVar("Settings", ReadConfig, TrainingFileOptions)


@dataclass(frozen=True)
class AtHand(Generic[Settings]):
    """A source and its settings, with paths of this disk in the place of addresses."""

    source: Any
    config: Settings
    copies: Sequence[Fetched] = ()

    def shown(self, text: str) -> str:
        """The text as people know it: with addresses in the place of the copies' paths."""
        for copy in self.copies:
            text = copy.shown(text)
        return text

    def told(self, error: InputError | UsageError) -> HardnegError:
        """The error as people know what it is of."""
        if not isinstance(error, InputError):
            return UsageError(self.shown(str(error)))
        file = None if error.file is None else self.shown(error.file)
        return InputError(
            self.shown(error.reason), file=file, line=error.line, column=error.column, row_id=error.row_id
        )

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(
            f"{copy.address}: copied here to be read ({size_text(copy.bytes)}; files: {copy.files:,})"
            for copy in self.copies
        )


@contextmanager
def at_hand(source: Any, config: Settings) -> Iterator[AtHand[Settings]]:
    """Copies live as long as the block, whose errors name the addresses.

    Raises InputError or StorageError for what cannot be had.
    """
    with ExitStack() as stack:
        copier = _Copier(stack, whole_sets=isinstance(config, TrainingFileOptions))
        named = {key: copier.local(getattr(config, key), key) for key in _NAMED if hasattr(config, key)}
        local = copier.source(source, has_qrels=config.qrels is not None)
        have = AtHand(local, config.model_copy(update=named), tuple(copier.copies))
        try:
            yield have
        except (InputError, UsageError) as error:
            if not have.copies:
                raise
            raise have.told(error) from error


class _Copier:
    """Copies each address into a folder of its own, of a scratch folder that is made with the first.

    whole_sets  whether data sets of the Hub are copied, too: `datasets` does not know their files
    """

    def __init__(self, stack: ExitStack, *, whole_sets: bool) -> None:
        self._stack, self._whole_sets = stack, whole_sets
        self._scratch: Path | None = None
        self.copies: list[Fetched] = []

    def source(self, source: Any, *, has_qrels: bool) -> Any:
        if isinstance(source, Mapping) and any(map(address_of, source.values())):
            return {key: self.local(value, key) for key, value in source.items()}
        local = self.local(source, "source")
        if local is not source and not has_qrels and _lacks_judgments(Path(local)):
            neighbour = f"{address_of(source)}".rstrip("/") + "-qrels"
            if exists(neighbour):  # where BEIR's data sets of the Hub keep them
                self._copy(neighbour, "source")
        return local

    def local(self, named: Any, role: str) -> Any:
        """A path of this disk where it is an address, else what it is."""
        address = address_of(named)
        if address is None:
            return named
        inside = address.removeprefix(_HUB).rstrip("/")
        if address.startswith(_HUB) and inside.count("/") <= 1 and not self._whole_sets:
            return f"hf:{inside}"  # a whole data set: `datasets` knows best
        return os.fspath(self._copy(address, role).path)

    def _copy(self, address: str, role: str) -> Fetched:
        if self._scratch is None:
            self._scratch = self._stack.enter_context(scratch_folder()).resolve()
        wanted = partial(_of_table, table=role) if role in ("corpus", "queries") else _of_source
        self.copies.append(fetch(address, self._scratch / role, wanted))
        return self.copies[-1]


def _lacks_judgments(folder: Path) -> bool:
    return folder.is_dir() and is_beir_folder(folder) and not _has_judgments(folder)


def _has_judgments(folder: Path) -> bool:
    return (folder / "qrels").is_dir() or any(path.name.startswith("qrels.") for path in folder.iterdir())


def _of_source(names: Sequence[str]) -> Sequence[str]:
    """Of a BEIR folder its tables, of any other folder everything."""
    first = frozenset(name.partition("/")[0] for name in names)
    if not any(_table(name) == "queries" for name in names) or is_folder_of_format(first):
        return names
    return [name for name in names if _table(name) in ("corpus", "queries", "qrels")]


def _of_table(names: Sequence[str], table: str) -> Sequence[str]:
    """This table of a BEIR folder, else everything."""
    return [name for name in names if _table(name) == table] or names


def _table(name: str) -> str:
    """`qrels` of `qrels/train.tsv` and of `qrels.tsv`; "" of what lies deeper in another folder."""
    first, _, rest = name.partition("/")
    return first.partition(".")[0] if not rest or first == "qrels" else ""
