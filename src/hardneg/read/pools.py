"""Where a pool of documents lies: a file, a folder, or the Hub."""

from __future__ import annotations

from pathlib import Path

from hardneg.config import nearest
from hardneg.errors import InputError
from hardneg.named_files import kind_of_path
from hardneg.read.beir import find_file
from hardneg.read.hub import forced_hub_name, hub_documents, is_hub_id
from hardneg.read.row_files import file_rows
from hardneg.read.rows import Rows


def pool_rows(pool: str, streaming: bool = False) -> Rows:
    """A pool's rows: a file, a BEIR folder's corpus, a folder as on the Hub, or the Hub's after `hf:`.

    streaming  read what is on the Hub as it arrives
    """
    if pool.startswith("hf:"):
        return hub_documents(forced_hub_name(pool), streaming)
    path = Path(pool).expanduser()
    if kind_of_path(path) == "folder":
        inner = find_file(path, "corpus")
        if inner is None:
            return hub_documents(hub_folder(path), streaming)
        path = inner
    if kind_of_path(path) == "nothing":
        hint = "; put hf: before the id of a Hub data set" if is_hub_id(pool) else ""
        raise InputError(f"there is no such file or folder{near_file(path)}{hint}", file=pool)
    return file_rows(path)


def near_file(path: Path) -> str:
    folder = path.parent
    return nearest(path.name, [one.name for one in folder.iterdir()]) if folder.is_dir() else ""


def hub_folder(path: Path) -> str:
    """A folder as `datasets` takes it, which wants a name. Raises InputError where it is empty."""
    if not any(path.iterdir()):
        raise InputError("is an empty folder", file=path)
    return str(path if path.name.strip(".") else path.resolve())
