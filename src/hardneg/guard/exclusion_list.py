"""Files that name what to leave out: an id or a text a line, or JSON lines such as a BEIR corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hardneg.errors import InputError
from hardneg.json_values import NotJsonError, parse_json
from hardneg.named_files import LONGEST_LINE, TOO_LONG, named_lines

ID_KEYS = ("_id", "id", "doc_id", "docid", "query_id", "qid")
TEXT_KEYS = ("text", "query", "contents", "passage")


@dataclass(frozen=True)
class Entry:
    """One line. A plain line may be an id or a text, so it is both.

    name   the id, or null where the line names none
    texts  the text, and where there is a title, also `title text`
    """

    line: int
    name: str | None
    texts: tuple[str, ...]


def read_entries(path: Path) -> Iterator[Entry]:
    """The entries of a file, blank lines aside; `.gz` and `.zst` are read as they are.

    Lines are JSON where the first one is a JSON object. Raises InputError, with file and line, for what
    cannot be read, is not UTF-8, is not a JSON object among such, or names neither an id nor a text; and for
    a file without entries.
    """
    read_json: bool | None = None
    for number, line in _lines(path):
        if read_json is None:
            read_json = _is_object(line)
        yield _json_entry(path, number, line) if read_json else Entry(number, line, (line,))
    if read_json is None:
        raise InputError("holds no ids and no texts; write one a line", file=path)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, raw in named_lines(path):
        if len(raw) > LONGEST_LINE:
            raise InputError(f"{TOO_LONG}; write one id or text a line", file=path, line=number)
        line = _decode(path, number, raw).strip()
        if line:
            yield number, line


def _decode(path: Path, number: int, raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8; save the file as UTF-8", file=path, line=number) from error


def _is_object(line: str) -> bool:
    try:
        return isinstance(parse_json(line), dict)
    except NotJsonError:
        return False


def _json_entry(path: Path, number: int, line: str) -> Entry:
    try:
        row = parse_json(line)
    except NotJsonError as error:
        raise InputError(f"is not JSON ({error}); the lines before it are", file=path, line=number) from error
    row = row if isinstance(row, dict) else {}
    name = next((str(row[key]) for key in ID_KEYS if isinstance(row.get(key), str | int)), None)
    text = next((row[key] for key in TEXT_KEYS if isinstance(row.get(key), str) and row[key].strip()), None)
    if name is None and text is None:
        raise InputError(f"names no id ({', '.join(ID_KEYS)}) and no text", file=path, line=number)
    title = row.get("title")
    titled = (f"{title} {text}",) if text and isinstance(title, str) and title.strip() else ()
    return Entry(number, name, (*titled, text) if text else ())
