"""The vector store: a cache that all runs share, in which every text is encoded once per encoder.

    ROOT/KEY/fingerprint.json      what decides the vectors, for people; KEY is its hash
    ROOT/KEY/model.json            what the model was called last
    ROOT/KEY/STEM.npy              a shard: float32 or float16 (texts, dimension), row-major
    ROOT/KEY/STEM.keys.parquet     its keys: hash of prompt and text → row, checksum, truncated

A shard is written before its keys, each under a temporary name: a shard is seen whole or not at all. Stems
are unique, so processes append at once; of a text encoded twice the vector with the smaller stem counts.
Stems begin with the time, or go on from the last where a clock is behind: under the lock of `in_use` that is
the vector that was published first, and which one is a text's never changes while a run looks at it.
"""

from __future__ import annotations

import json
import os
import secrets
import time
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from hardneg.encode.hashes import HASH, Hashes
from hardneg.encode.in_use import appending, using
from hardneg.errors import DamagedError, HardnegError, StoreError
from hardneg.files import (
    TEMPORARY,
    load_array,
    read_json,
    read_metadata,
    read_parquet,
    remove,
    replacing,
    write_json,
    write_parquet,
)
from hardneg.fingerprints import digest
from hardneg.locks import Lock
from hardneg.records import Bool, Float32, Int32, Int64
from hardneg.refusals import is_damage, plainly, refusal
from hardneg.remote import refuse_remote
from hardneg.seals import ANOTHERS, open_stored

LAYOUT = 1
"""Part of every fingerprint: raised when the meaning of the files changes."""

KEYS = pa.schema(
    [("hash", pa.binary(16)), ("row", pa.int32()), ("checksum", pa.uint32()), ("truncated", pa.bool_())]
)
_ABOUT = b"hardneg.shard"
KEYS_SUFFIX = ".keys.parquet"
_OPEN_SHARDS = 128
"""Shards mapped at once at most: each mapping holds a file handle, and systems allow about a thousand."""
_ABANDONED_S = 86_400
FINGERPRINT = "fingerprint.json"
MODEL = "model.json"


def store_root(cache_dir: str | None = None) -> Path:
    """The cache folder: the one named, $HARDNEG_CACHE, or the platform's own."""
    named = cache_dir or os.environ.get("HARDNEG_CACHE")
    if named:
        refuse_remote(named, "the cache")
        return Path(named).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("hardneg"))


@dataclass(frozen=True)
class Locations:
    """Where the vectors of some texts lie.

    stems      names of the shards
    shard      int32 (texts,): place in `stems`, -1 where the store has no vector
    row        int32 (texts,)
    truncated  int8 (texts,): 1 yes, 0 no, -1 unknown or not stored
    """

    stems: tuple[str, ...]
    shard: Int32
    row: Int32
    truncated: NDArray[np.int8]

    @property
    def missing(self) -> Bool:
        missing: Bool = self.shard < 0
        return missing


class VectorStore:
    """All encoders' vectors below one root, stored as `dtype`."""

    def __init__(self, cache_dir: str | Path | None = None, dtype: str = "float32") -> None:
        self.root = store_root(None if cache_dir is None else str(cache_dir)) / "vectors"
        self.dtype = dtype

    def space(self, fingerprint: Mapping[str, Any], model: str = "") -> Space:
        """The folder of one encoder; made if it is not there. Raises StorageError where it cannot be.

        model  what the encoder is called, for who looks what the cache holds
        """
        full = {**fingerprint, "store_dtype": self.dtype, "layout": LAYOUT}
        folder = self.root / digest(full)
        use = using(folder)
        with plainly(folder):
            if not names_its_folder(folder / FINGERPRINT):
                write_json(full, folder / FINGERPRINT)
        if model:
            _note_model(folder / MODEL, model)
        return Space(folder, use)


class Space:
    """The vectors of one encoder fingerprint."""

    def __init__(self, folder: Path | str, use: Lock | None = None) -> None:
        """use  held already on the folder, which is held here anyway as long as this object lives"""
        self.folder = Path(folder)
        self._use = use or using(self.folder)
        about = self.folder / FINGERPRINT
        if not about.is_file():
            raise StoreError(
                f"{self.folder}: is no part of a vector store any more; run `hardneg mine` again"
            )
        if not names_its_folder(about):
            raise DamagedError(about, "is not what its folder is named by", "run `hardneg mine` again")
        self.dtype = np.dtype(str(read_json(about)["store_dtype"]))
        self.lost: list[str] = []
        """Shards that are gone or cut short; their texts count as not stored."""
        self._keys: dict[str, _ShardKeys] = {}
        self._index: _Index | None = None
        self._seen: list[str] = []
        self._own: set[str] = set()
        self._open: OrderedDict[str, NDArray[Any]] = OrderedDict()
        self._verified: set[str] = set()
        self._swept = False

    # -- reading ------------------------------------------------------------------------------------

    def lookup(self, hashes: Hashes) -> Locations:
        """Where the vectors of these texts are; what another process has added meanwhile is seen."""
        return self._refreshed().find(hashes)

    @property
    def dimension(self) -> int | None:
        """Of the stored vectors; None while there are none."""
        self._refreshed()
        return next((keys.dimension for keys in self._keys.values()), None)

    def shard(self, stem: str) -> NDArray[Any]:
        """The shard, memory-mapped; on its first opening its checksum is compared: one pass over the file."""
        found = self._open.get(stem)
        if found is None:
            found = self._open[stem] = self._opened(stem)
            if len(self._open) > _OPEN_SHARDS:
                self._open.popitem(last=False)
        else:
            self._open.move_to_end(stem)
        return found

    def zeros(self, found: Locations) -> Bool:
        """Which of these texts have a vector of nothing but zeros; told by the checksums that keys hold."""
        zero = np.zeros(len(found.shard), np.bool_)
        for place, stem in enumerate(found.stems):
            keys = self._keys.get(stem)
            if keys is not None and len(keys.zero_rows):
                zero |= (found.shard == place) & np.isin(found.row, keys.zero_rows)
        return zero

    def check_rows(self, stem: str) -> None:
        """Raises DamagedError where the keys do not name each row of the shard once, by its checksum."""
        vectors, path = self.shard(stem), self.folder / f"{stem}{KEYS_SUFFIX}"
        keys = self._keys.get(stem) or _read_keys(self.folder, stem)
        if not np.array_equal(np.sort(keys.row), np.arange(len(vectors))):
            raise DamagedError(path, "does not name each row of its shard once", _how_to_mend(stem))
        damaged = _damaged_rows(vectors, path)
        if damaged:
            raise DamagedError(path, f"{damaged} rows have other checksums than it says", _how_to_mend(stem))

    def _opened(self, stem: str) -> NDArray[Any]:
        path = self.folder / f"{stem}.npy"
        about = self._keys.get(stem) or _read_keys(self.folder, stem)
        try:
            open_stored(path).close()
            vectors: NDArray[Any] = load_array(path, mapped=True)
        except (OSError, ValueError, EOFError) as error:
            if isinstance(error, OSError) and not is_damage(error):
                raise refusal(error) from error
            raise DamagedError(path, f"cannot be read ({error})", _how_to_mend(stem)) from error
        if vectors.shape != (about.rows, about.dimension) or vectors.dtype != self.dtype:
            raise DamagedError(path, "has another shape than its keys say", _how_to_mend(stem))
        if stem not in self._verified:
            if checksum(vectors) != about.crc32:
                damaged = _damaged_rows(vectors, self.folder / f"{stem}{KEYS_SUFFIX}")
                raise DamagedError(
                    path,
                    f"{damaged} of {about.rows} vectors do not match their checksum",
                    _how_to_mend(stem),
                )
            self._verified.add(stem)
        return vectors

    def others_appended(self) -> bool:
        """Whether another process has added a shard since the last lookup."""
        return not set(self._stems()) <= self._own.union(self._seen)

    def _stems(self) -> list[str]:
        return sorted(p.name.removesuffix(KEYS_SUFFIX) for p in self.folder.glob(f"[!.]*{KEYS_SUFFIX}"))

    def _refreshed(self) -> _Index:
        stems = self._stems()
        if self._index is None or stems != self._seen:
            self._seen = stems
            known, self._keys, self.lost = self._keys, {}, []
            for stem in stems:
                try:
                    keys = known.get(stem) or _read_keys(self.folder, stem)
                except StoreError:
                    if (self.folder / f"{stem}{KEYS_SUFFIX}").exists():
                        raise
                    continue  # removed since it was listed
                if _size(self.folder / f"{stem}.npy") == keys.size:
                    self._keys[stem] = keys
                else:
                    self.lost.append(stem)
            self._index = _Index.of(self._keys)
        return self._index

    # -- writing ------------------------------------------------------------------------------------

    def append(self, hashes: Hashes, vectors: Float32, truncated: NDArray[np.int8]) -> str:
        """Add a shard; its stem is returned. Raises StorageError where it cannot be written.

        It is read back before it takes its name.
        """
        with appending(self.folder):
            stem = self._append(hashes, vectors, truncated)
        self._own.add(stem)
        return stem

    def _append(self, hashes: Hashes, vectors: Float32, truncated: NDArray[np.int8]) -> str:
        with np.errstate(over="ignore"):  # told below, with what to do
            stored = np.ascontiguousarray(vectors, self.dtype)
        if not np.isfinite(stored).all():
            raise StoreError(
                f"a vector does not fit into {self.dtype.name} (largest {np.abs(vectors).max():.3g}); "
                "use --store-dtype float32"
            )
        lost = vectors.any(axis=1) & ~stored.any(axis=1)
        if lost.any():
            raise StoreError(
                f"{int(lost.sum())} vectors are so small that {self.dtype.name} holds nothing of them; "
                "use --store-dtype float32"
            )
        self._sweep()
        stem = f"{self._next_time():020d}-{secrets.token_hex(4)}"
        path = self.folder / f"{stem}.npy"
        with replacing(path) as temporary:
            with temporary.open("wb") as handle:
                np.save(handle, stored, allow_pickle=False)
            size = temporary.stat().st_size
            crc32 = checksum(stored)
            if checksum(load_array(temporary, mapped=True)) != crc32:
                raise DamagedError(path, "read back, is not what was written", "look after the disk")
        table = _keys_table(self.folder.name, hashes, stored, truncated, size, crc32)
        write_parquet(table, self.folder / f"{stem}{KEYS_SUFFIX}")
        return stem

    def _next_time(self) -> int:
        """Now, in ns, or what comes after the last shard where a clock was ahead of ours."""
        last = max((int(stem[:20]) for stem in self._stems() if stem[:20].isdecimal()), default=0)
        return max(time.time_ns(), last + 1)

    def discard(self, stem: str) -> None:
        """Remove a damaged shard: its texts count as not stored."""
        with plainly(self.folder):
            for suffix in (KEYS_SUFFIX, ".npy"):
                remove(self.folder / f"{stem}{suffix}")
        self._index = None
        self._open.pop(stem, None)

    def _sweep(self) -> None:
        """Once a process: remove temporary files that were left here a day ago or longer."""
        if self._swept:
            return
        self._swept = True
        for path in self.folder.glob(f"{TEMPORARY}*"):
            try:
                if time.time() - path.stat().st_mtime > _ABANDONED_S:
                    path.unlink(missing_ok=True)
            except OSError:
                continue


@dataclass(frozen=True)
class _ShardKeys:
    """The keys of one shard, and what its file must be like.

    zero_rows  int32, ascending: rows with the checksum of zeros
    """

    hashes: Hashes
    row: Int32
    truncated: NDArray[np.int8]
    zero_rows: Int32
    rows: int
    dimension: int
    size: int
    crc32: int


@dataclass(frozen=True)
class _Index:
    """All keys sorted by the upper half of their hash; among equals the earlier shard first.

    25 bytes a text: ten million texts take a quarter of a gigabyte.
    """

    stems: tuple[str, ...]
    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    shard: Int32
    row: Int32
    truncated: NDArray[np.int8]

    @classmethod
    def of(cls, keys: Mapping[str, _ShardKeys]) -> _Index:
        parts = list(keys.values())
        hashes = _joined([part.hashes for part in parts], HASH)
        order = np.argsort(hashes["high"], kind="stable")
        shard = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part.hashes) for part in parts])
        return cls(
            stems=tuple(keys),
            high=hashes["high"][order],
            low=hashes["low"][order],
            shard=shard[order],
            row=_joined([part.row for part in parts], np.dtype(np.int32))[order],
            truncated=_joined([part.truncated for part in parts], np.dtype(np.int8))[order],
        )

    def find(self, hashes: Hashes) -> Locations:
        shard = np.full(len(hashes), -1, np.int32)
        row = np.full(len(hashes), -1, np.int32)
        truncated = np.full(len(hashes), -1, np.int8)
        open_place: Int64 = np.arange(len(hashes))
        at: Int64 = np.searchsorted(self.high, hashes["high"])
        while len(open_place):  # runs once, and again only where two texts share the upper half
            inside = at < len(self.high)
            open_place, at = open_place[inside], at[inside]
            same_high = self.high[at] == hashes["high"][open_place]
            open_place, at = open_place[same_high], at[same_high]
            same = self.low[at] == hashes["low"][open_place]
            found, here = open_place[same], at[same]
            shard[found], row[found], truncated[found] = (
                self.shard[here],
                self.row[here],
                self.truncated[here],
            )
            open_place, at = open_place[~same], at[~same] + 1
        return Locations(self.stems, shard, row, truncated)


def _note_model(path: Path, model: str) -> None:
    """For people only: where it cannot be written, it is not known."""
    try:
        if not path.exists() or read_json(path).get("model") != model:
            write_json({"model": model}, path)
    except (HardnegError, AttributeError):
        return


def checksum(vectors: NDArray[Any]) -> int:
    """crc32 of the array's bytes, read a few megabytes at a time."""
    value = 0
    step = max(1, (4 << 20) // max(1, vectors.shape[1] * vectors.itemsize))
    for start in range(0, len(vectors), step):
        part = np.ascontiguousarray(vectors[start : start + step])
        value = zlib.crc32(part.data, value)
    return value


def _row_checksums(vectors: NDArray[Any]) -> NDArray[np.uint32]:
    return np.fromiter((zlib.crc32(row) for row in np.ascontiguousarray(vectors)), np.uint32, len(vectors))


def _checksums_of_zeros(dimension: int) -> list[int]:
    """Of a row of zeros, in each dtype that is stored."""
    return [zlib.crc32(bytes(dimension * size)) for size in (2, 4)]


def _damaged_rows(vectors: NDArray[Any], keys_path: Path) -> int:
    """How many rows differ from the checksums in the key table."""
    stored = read_parquet(keys_path, ["row", "checksum"])
    expected = np.zeros(len(vectors), np.uint32)
    expected[stored["row"].to_numpy()] = stored["checksum"].to_numpy()
    return int((_row_checksums(vectors) != expected).sum())


def _keys_table(
    space: str, hashes: Hashes, stored: NDArray[Any], truncated: NDArray[np.int8], size: int, crc32: int
) -> pa.Table:
    raw = pa.py_buffer(np.ascontiguousarray(hashes))
    columns = [
        pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(hashes), [None, raw]),
        pa.array(np.arange(len(hashes), dtype=np.int32)),
        pa.array(_row_checksums(stored)),
        pa.array(truncated > 0, mask=truncated < 0),
    ]
    about = {
        "space": space,
        "rows": stored.shape[0],
        "dimension": stored.shape[1],
        "size": size,
        "crc32": crc32,
    }
    return pa.table(columns, schema=KEYS.with_metadata({_ABOUT: json.dumps(about, allow_nan=False)}))


def _read_keys(folder: Path, stem: str) -> _ShardKeys:
    path = folder / f"{stem}{KEYS_SUFFIX}"
    table = read_parquet(path, ["hash", "row", "truncated", "checksum"]).combine_chunks()
    about = shard_about(path)
    try:
        hashes = table["hash"].combine_chunks()
        raw = np.frombuffer(hashes.buffers()[1], HASH) if len(hashes) else np.zeros(0, HASH)
        truncated = np.asarray(table["truncated"].cast(pa.int8()).fill_null(-1).to_numpy(), np.int8)
        row = np.asarray(table["row"].to_numpy(), np.int32)
        zero = np.isin(table["checksum"].to_numpy(), _checksums_of_zeros(about["dimension"]))
        return _ShardKeys(
            hashes=raw[hashes.offset : hashes.offset + len(hashes)],
            row=row,
            truncated=truncated,
            zero_rows=np.sort(row[zero]),
            **about,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedError(path, "is no key table of this version") from error


def shard_about(keys: Path) -> dict[str, int]:
    """What a key table says of its shard: `rows`, `dimension`, `size` in bytes, `crc32`.

    Raises DamagedError where it says nothing, or is of another encoder.
    """
    try:
        about = json.loads((read_metadata(keys).metadata or {})[_ABOUT])
        if about.get("space", keys.parent.name) != keys.parent.name:
            raise DamagedError(keys, ANOTHERS, _how_to_mend(keys.name.removesuffix(KEYS_SUFFIX)))
        return {key: int(about[key]) for key in ("rows", "dimension", "size", "crc32")}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DamagedError(keys, "is no key table of this version") from error


def _joined(parts: list[NDArray[Any]], dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0, dtype)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _how_to_mend(stem: str) -> str:
    return f"remove it and {stem}{KEYS_SUFFIX}, then run again: only its texts are encoded anew"


def names_its_folder(path: Path) -> bool:
    """Whether a space's `fingerprint.json` is whole: the folder's name is its digest."""
    try:
        return path.exists() and digest(read_json(path)) == path.parent.name
    except (DamagedError, ValueError):
        return False
