"""Lexical vectors: BM25-weighted words, thrown onto 512 dimensions by random signs.

A cosine of the projections estimates that of the word vectors with a standard error of about 1/√512
(Johnson-Lindenstrauss; signs as in Achlioptas 2003). A word's signs are the bits of its hash, so that they
depend on nothing else. Documents and queries have the same weights: saturated term frequency × idf.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hardneg.files import mapped_array, open_mapped
from hardneg.protocols import Progress
from hardneg.records import Float32, Int32
from hardneg.words import words

DIMENSION = 512
SATURATION = 1.2
"""BM25's k1, without its length normalisation: a cosine sees to that."""
STEP = 1024
AT_ONCE = 64
"""Dimensions: signs of all would take 4 KB for each word of a part."""
DOCUMENTS, QUERIES = "lexical-documents.npy", "lexical-queries.npy"

Int8 = npt.NDArray[np.int8]


class Lexical:
    """Vectors as int8, memory-mapped: int8 (documents, DIMENSION) and (queries, DIMENSION)."""

    def __init__(self, documents: Int8, queries: Int8) -> None:
        self._documents, self._queries = documents, queries

    @classmethod
    def write(
        cls, documents: pa.ChunkedArray, queries: pa.ChunkedArray, folder: Path, mark: str, progress: Progress
    ) -> None:
        """Work out the vectors and keep them in the folder, marked as those of these texts."""
        counted = _document_frequencies(documents)
        signs = _Signs(counted, len(documents))
        with progress.track("lexical vectors", len(documents) + len(queries), "texts") as advance:
            for texts, name in ((documents, DOCUMENTS), (queries, QUERIES)):
                shape = (len(texts), DIMENSION)
                with mapped_array(folder / name, np.int8, shape, mark) as out:
                    for start, part in _parts(texts):
                        out[start : start + len(part)] = signs.project(part)
                        advance(len(part))

    @classmethod
    def open(cls, folder: Path, mark: str) -> Lexical:
        """Raises DamagedError where a file is not as it was written."""
        documents, queries = (open_mapped(folder / name, mark) for name in (DOCUMENTS, QUERIES))
        return cls(documents, queries)

    @staticmethod
    def written(folder: Path) -> bool:
        return (folder / DOCUMENTS).exists() and (folder / QUERIES).exists()

    def document(self, rows: Int32) -> Float32:
        return np.asarray(self._documents[rows], np.float32)

    def query(self, rows: Int32) -> Float32:
        return np.asarray(self._queries[rows], np.float32)


def project_all(documents: pa.ChunkedArray, queries: pa.ChunkedArray) -> tuple[Int8, Int8]:
    """Both in memory."""
    signs = _Signs(_document_frequencies(documents), len(documents))
    one, other = (
        np.concatenate([signs.project(part) for _, part in _parts(texts)]) for texts in (documents, queries)
    )
    return one, other


def _document_frequencies(documents: pa.ChunkedArray) -> Counter[str]:
    found: Counter[str] = Counter()
    for _, part in _parts(documents):
        for text in part:
            found.update(set(words(text)))
    return found


def _parts(texts: pa.ChunkedArray) -> Iterator[tuple[int, list[str]]]:
    for start in range(0, len(texts), STEP):
        yield start, texts.slice(start, STEP).to_pylist()


class _Signs:
    """Words with their idf and signs. Words are in their own order, so that sums are too."""

    def __init__(self, frequency: Counter[str], num_documents: int) -> None:
        self._number = {word: number for number, word in enumerate(sorted(frequency))}
        counts = np.array([frequency[word] for word in self._number], np.float64)
        self._idf = np.log1p((num_documents - counts + 0.5) / (counts + 0.5))
        self._bits = _bits(self._number)

    def project(self, texts: list[str]) -> Int8:
        """int8 (texts, DIMENSION): the direction alone, the longest coordinate well within int8."""
        from scipy.sparse import csr_matrix

        found = [words(text) for text in texts]
        row = np.repeat(np.arange(len(texts)), np.fromiter(map(len, found), np.int64, len(texts)))
        numbers = map(self._number.get, chain.from_iterable(found), repeat(-1))
        number = np.fromiter(numbers, np.int64, len(row))
        size = max(len(self._number), 1)
        word_of_text, count = np.unique((row * size + number)[number >= 0], return_counts=True)
        row, column = np.divmod(word_of_text, size)
        weights = count * (SATURATION + 1) / (count + SATURATION) * self._idf[column]
        start = np.searchsorted(row, np.arange(len(texts) + 1))
        used, place = np.unique(column, return_inverse=True)
        matrix = csr_matrix((weights, place, start), shape=(len(texts), len(used)))
        out = np.zeros((len(texts), DIMENSION))
        for first in range(0, DIMENSION if len(used) else 0, AT_ONCE):
            out[:, first : first + AT_ONCE] = matrix @ self._signs(used, first)
        norm = np.sqrt((out * out).sum(axis=1, keepdims=True))
        unit = out / np.maximum(norm, 1e-12) * (127 / 4.5 * np.sqrt(DIMENSION))
        directions: Int8 = np.clip(np.rint(unit), -127, 127).astype(np.int8)
        return directions

    def _signs(self, used: npt.NDArray[np.int64], first: int) -> npt.NDArray[np.float64]:
        """float64 (used words, AT_ONCE): 1 and -1 of the dimensions from `first` on."""
        bits = self._bits[used, first // 8 : (first + AT_ONCE) // 8]
        signs = np.unpackbits(bits, axis=1).astype(np.float64)
        signs *= 2
        signs -= 1
        return signs


def _bits(vocabulary: Iterable[str]) -> npt.NDArray[np.uint8]:
    """uint8 (words, DIMENSION / 8)."""
    size = DIMENSION // 8
    digests = [
        hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=size).digest()
        for word in vocabulary
    ]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, size)
