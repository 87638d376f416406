"""encode: texts → vectors in the vector store. Importing this imports no torch."""

from hardneg.encode.dense import DenseEncoder, open_encoder
from hardneg.encode.encode import EncodedTexts, encode_texts
from hardneg.encode.hashes import text_hashes
from hardneg.encode.own_vectors import (
    OwnVectors,
    load_own_vectors,
    own_vector_files,
    own_vectors_fingerprint,
)
from hardneg.encode.store import (
    FINGERPRINT,
    KEYS_SUFFIX,
    Locations,
    Space,
    VectorStore,
    names_its_folder,
    store_root,
)
from hardneg.encode.vectors import StoredVectors

__all__ = [
    "FINGERPRINT",
    "KEYS_SUFFIX",
    "DenseEncoder",
    "EncodedTexts",
    "Locations",
    "OwnVectors",
    "Space",
    "StoredVectors",
    "VectorStore",
    "encode_texts",
    "load_own_vectors",
    "names_its_folder",
    "open_encoder",
    "own_vector_files",
    "own_vectors_fingerprint",
    "store_root",
    "text_hashes",
]
