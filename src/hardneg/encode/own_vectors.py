"""Vectors that the user brings along: a folder with queries and documents, and their ids.

    queries.npy, documents.npy                        float16, float32 or float64 (rows, dimension), or
    queries.safetensors, documents.safetensors        the same as the only tensor of the file, or
    queries.parquet, documents.parquet                columns `id` and `vector` (lists of numbers)
    queries.ids.txt, documents.ids.txt                one id a line, UTF-8; or .ids.json, a list of strings;
                                                      or .ids.npy, strings; Parquet brings its own

npy and safetensors stay on disk, memory-mapped; Parquet is read into memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hardneg.encode.widening import widened
from hardneg.errors import InputError, StoreError
from hardneg.files import load_array, read_parquet
from hardneg.fingerprints import digest, file_digest
from hardneg.json_values import NotJsonError, parse_json
from hardneg.named_files import named_text
from hardneg.protocols import Kind, Progress, Similarity
from hardneg.records import Float32, Int32, Int64

STEMS: Mapping[Kind, str] = {"query": "queries", "document": "documents"}
_FORMATS = (".npy", ".safetensors", ".parquet")
_SAFETENSORS_TYPES = {"F16": "<f2", "F32": "<f4", "F64": "<f8"}
_ROWS_A_CHECK = 16_384
_SHOWN = 3
_SHOWN_LETTERS = 200  # of another library's message
_NOT_NPY = "it is another format, cut off, damaged, or holds Python objects"
_NPY = b"\x93NUMPY"
_LONGEST_IDS = 1 << 32  # bytes
_LONGEST_HEADER = 100_000_000  # as safetensors itself


class OwnVectors:
    """`protocols.Vectors` over the user's file, in the order of a table's rows.

    rows   int64 (table rows,): row of the file, or None where the file has the table's order already
    norms  float32 (table rows,): what to divide by for cosine, or None
    """

    def __init__(self, stored: NDArray[Any], rows: Int64 | None, norms: Float32 | None, count: int) -> None:
        self.shape = (count, int(stored.shape[1]))
        self._stored, self._rows, self._norms = stored, rows, norms

    def take(self, rows: Int32) -> Float32:
        """float32 (len(rows), dimension)."""
        found = widened(self._stored[rows if self._rows is None else self._rows[rows]])
        return self._normalised(found, None if self._norms is None else self._norms[rows])

    def block(self, start: int, stop: int) -> Float32:
        """float32 (stop - start, dimension)."""
        where = slice(start, stop) if self._rows is None else self._rows[start:stop]
        found = widened(self._stored[where])
        return self._normalised(found, None if self._norms is None else self._norms[start:stop])

    @staticmethod
    def _normalised(found: Float32, norms: Float32 | None) -> Float32:
        return found if norms is None else found / norms[:, None]


def load_own_vectors(
    folder: Path | str,
    kind: Kind,
    ids: Any,
    *,
    similarity: Similarity = "dot",
    progress: Progress | None = None,
) -> OwnVectors:
    """The user's vectors of these ids (a column or sequence of str), matched by id.

    Ids that only the file has are passed over, and `progress` is told. Raises InputError for a missing file
    or id, an id that stands twice, a vector that is zero, NaN or infinite, and where queries and documents
    have another dimension.
    """
    path = _vector_file(Path(folder), kind)
    stored = _open_vectors(path)
    wanted = _strings(ids)
    rows = _match(path, _file_ids(path, len(stored)), wanted, progress)
    _check_dimensions(Path(folder), kind, stored)
    norms = _checked_norms(path, stored, rows, wanted)
    in_order = len(rows) == 0 or bool(
        (rows == np.arange(rows[0], rows[0] + len(rows))).all() and rows[0] == 0
    )
    return OwnVectors(
        stored, None if in_order else rows, norms if similarity == "cosine" else None, len(rows)
    )


def own_vectors_fingerprint(folder: Path | str, similarity: Similarity) -> str:
    """Of the content of the folder's vectors and ids: another content, another fingerprint."""
    files = own_vector_files(folder)
    return digest({"similarity": similarity, "files": {path.name: file_digest(path) for path in files}})


def own_vector_files(folder: Path | str) -> list[Path]:
    """The folder's vectors and ids."""
    return [path for kind in STEMS for path in _files(Path(folder), kind)]


# -- files -----------------------------------------------------------------------------------------------


def _files(folder: Path, kind: Kind) -> list[Path]:
    """The vectors and, but for Parquet, the ids of one kind."""
    path = _vector_file(folder, kind)
    return [path] if path.suffix == ".parquet" else [path, _ids_file(path)]


def _vector_file(folder: Path, kind: Kind) -> Path:
    stem = STEMS[kind]
    found = [folder / f"{stem}{suffix}" for suffix in _FORMATS if (folder / f"{stem}{suffix}").is_file()]
    if not found:
        raise InputError(
            f"holds no {' or '.join(stem + suffix for suffix in _FORMATS)}; put one there", file=folder
        )
    if len(found) > 1:
        raise InputError(f"holds both {found[0].name} and {found[1].name}; leave one of them", file=folder)
    return found[0]


def _ids_file(path: Path) -> Path:
    names = [f"{path.stem}.ids.{suffix}" for suffix in ("txt", "json", "npy")]
    found = next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)
    if found is None:
        raise InputError(f"has no ids beside it; put one id a line into {names[0]}, in its order", file=path)
    return found


def _open_vectors(path: Path) -> NDArray[Any]:
    """(rows, dimension) of floats; mapped, not read, but for Parquet."""
    readers = {".npy": _open_npy, ".safetensors": _open_safetensors, ".parquet": _open_parquet}
    vectors = readers[path.suffix](path)
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or not vectors.shape[1]:
        raise InputError(
            f"holds {vectors.dtype} of shape {vectors.shape}; floats of shape (rows, dimension) are needed",
            file=path,
        )
    return vectors


def _open_npy(path: Path) -> NDArray[Any]:
    return _npy(path, mapped=True)


def _npy(path: Path, *, mapped: bool) -> NDArray[Any]:
    try:
        with path.open("rb") as handle:
            if handle.read(len(_NPY)) != _NPY:  # numpy would open an archive, or look for pickles
                raise ValueError
        return load_array(path, mapped=mapped)
    except (OSError, ValueError, EOFError, OverflowError, SyntaxError, MemoryError, TokenError) as error:
        reason = error.strerror if isinstance(error, OSError) else _NOT_NPY
        raise InputError(f"cannot be read as .npy ({reason}); save it with numpy.save", file=path) from error


def _plain(error: BaseException) -> str:
    return " ".join((getattr(error, "strerror", None) or str(error)).split())[:_SHOWN_LETTERS]


def _open_safetensors(path: Path) -> NDArray[Any]:
    """The file's only tensor: eight bytes of header length, the header as JSON, then the numbers."""
    try:
        with path.open("rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if not 2 <= length <= path.stat().st_size:
                raise ValueError("its header is longer than the file")
            if length > _LONGEST_HEADER:
                raise ValueError("its header is longer than 100 MB")
            header = parse_json(handle.read(length).decode("utf-8"))
        tensors = {name: about for name, about in header.items() if name != "__metadata__"}
        if len(tensors) != 1:
            raise ValueError(f"it holds {len(tensors)} tensors, not one")
        about = next(iter(tensors.values()))
        for key in ("dtype", "shape", "data_offsets"):
            if key not in about:
                raise ValueError(f"its tensor has no {key}")
        if about["dtype"] not in _SAFETENSORS_TYPES:
            raise ValueError(f"its type is {about['dtype']}, not one of {', '.join(_SAFETENSORS_TYPES)}")
        dtype, shape = np.dtype(_SAFETENSORS_TYPES[about["dtype"]]), tuple(map(int, about["shape"]))
        begin, end = map(int, about["data_offsets"])
        if min(shape, default=0) < 0 or not 0 <= begin <= end <= path.stat().st_size:
            raise ValueError("its shape or its offsets cannot be")
        if math.prod(shape) * dtype.itemsize != end - begin:
            raise ValueError("its shape and its offsets speak of different numbers")
        return np.memmap(path, dtype, mode="r", offset=8 + length + begin, shape=shape)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"cannot be read as safetensors ({_plain(error)})", file=path) from error


def _open_parquet(path: Path) -> NDArray[Any]:
    column = _parquet_column(path, "vector").combine_chunks()
    if not (pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)):
        raise InputError(f"holds {column.type}, no lists of numbers", file=path, column="vector")
    if not pa.types.is_floating(column.type.value_type):
        raise InputError(f"its lists hold {column.type.value_type}, not floats", file=path, column="vector")
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) != 1 or not lengths[0]:
        raise InputError(f"its lists are not of one length ({lengths[:_SHOWN]})", file=path, column="vector")
    values = column.flatten()
    if values.null_count:
        raise InputError("holds nulls; every number must be there", file=path, column="vector")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(-1, lengths[0])


def _parquet_column(path: Path, name: str) -> pa.ChunkedArray:
    try:
        table = read_parquet(path, [name])
        return table[name]
    except (StoreError, KeyError) as error:
        raise InputError(
            "cannot be read; columns `id` and `vector` are needed", file=path, column=name
        ) from error


def _file_ids(path: Path, count: int) -> pa.Array:
    source = path if path.suffix == ".parquet" else _ids_file(path)
    try:
        found = _strings(_parquet_column(path, "id") if source == path else _read_ids(source))
        found.validate(full=True)
    except (UnicodeError, pa.ArrowInvalid) as error:  # half a surrogate pair, or what is no character
        raise InputError("holds an id that is not UTF-8; write the ids as strings", file=source) from error
    if len(found) != count:
        raise InputError(f"holds {len(found)} ids for {count} vectors; one for each is needed", file=source)
    counts = pc.value_counts(found)
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        raise InputError(f"{_some(twice)} stand more than once; keep one vector for each", file=source)
    return found


def _read_ids(path: Path) -> Any:
    if path.suffix == ".npy":
        return _npy_ids(path)
    text = named_text(path, _LONGEST_IDS)
    if path.suffix == ".txt":
        return text.replace("\r\n", "\n").removesuffix("\n").split("\n") if text else []
    try:
        ids = parse_json(text)
    except NotJsonError as error:
        raise InputError(f"is not JSON ({error}); write a list of strings", file=path) from error
    if not isinstance(ids, list) or not all(type(value) in (str, int) for value in ids):
        raise InputError("is no list of strings", file=path)
    return [str(value) for value in ids]


def _npy_ids(path: Path) -> list[str]:
    ids = _npy(path, mapped=False)
    if ids.ndim != 1 or ids.dtype.kind not in "USiu":
        raise InputError(f"holds {ids.dtype} of shape {ids.shape}, no list of strings", file=path)
    return list(map(str, (np.char.decode(ids, "utf-8") if ids.dtype.kind == "S" else ids).tolist()))


def _strings(ids: Any) -> pa.Array:
    if isinstance(ids, pa.ChunkedArray):
        ids = pa.concat_arrays(ids.chunks) if ids.num_chunks else pa.array([], ids.type)
    if not isinstance(ids, pa.Array):
        ids = pa.array(ids, pa.large_string())
    return ids.cast(pa.large_string())


# -- matching and checking ---------------------------------------------------------------------------------


def _match(path: Path, has: pa.Array, wanted: pa.Array, progress: Progress | None) -> Int64:
    """For each wanted id its row in the file."""
    rows = pc.index_in(wanted, value_set=has)
    if rows.null_count:
        absent = wanted.filter(pc.is_null(rows))
        raise InputError(f"has no vector for {_some(absent)}; every {path.stem} row needs one", file=path)
    extra = len(has) - len(wanted)
    if extra and progress is not None:
        progress.say(f"{path}: {extra} of {len(has)} vectors belong to no row and are passed over")
    return np.asarray(rows.cast(pa.int64()).to_numpy(zero_copy_only=False), np.int64)


def _check_dimensions(folder: Path, kind: Kind, stored: NDArray[Any]) -> None:
    other: Kind = "document" if kind == "query" else "query"
    path = _vector_file(folder, other)
    if path.suffix == ".parquet":
        first = _parquet_column(path, "vector").slice(0, 1).to_pylist()
        dimension = len(first[0]) if first and first[0] is not None else stored.shape[1]
    else:
        dimension = _open_vectors(path).shape[1]
    if dimension != stored.shape[1]:
        raise InputError(
            f"its {STEMS[kind]} have {stored.shape[1]} numbers a vector, its {STEMS[other]} {dimension}; "
            "encode both with one model",
            file=folder,
        )


def _checked_norms(path: Path, stored: NDArray[Any], rows: Int64, ids: pa.Array) -> Float32:
    """Euclidean lengths, float32 (table rows,). Raises InputError for zero, NaN and infinite vectors, as
    float32 has them."""
    norms = np.empty(len(rows), np.float32)
    with np.errstate(over="ignore"):  # what does not fit is infinite, and refused
        for start in range(0, len(rows), _ROWS_A_CHECK):
            part = widened(stored[rows[start : start + _ROWS_A_CHECK]]).astype(np.float64)
            norms[start : start + len(part)] = np.sqrt(np.square(part).sum(axis=1))
    for bad, what in ((~np.isfinite(norms), "NaN or infinite"), (norms == 0, "zero")):
        if bad.any():
            names = _some(ids.filter(pa.array(bad)))
            raise InputError(
                f"the vectors of {names} are {what}; encode them again or leave them out", file=path
            )
    return norms


def _some(ids: pa.Array) -> str:
    shown = ", ".join(repr(value) for value in ids.slice(0, _SHOWN).to_pylist())
    return f"{len(ids)} ids ({shown}{', …' if len(ids) > _SHOWN else ''})"
