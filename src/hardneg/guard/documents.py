"""Never a document that no query should get: listed, empty, too short, in another language."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from hardneg.errors import UsageError
from hardneg.guard.members import NOTHING, by_document, flags_by_document
from hardneg.records import Block, Bool, Collection, Int32


class Flagged:
    """The document is one of some that no query may get."""

    def __init__(self, code: str, documents: Bool) -> None:
        """`documents` is bool (documents,), true where it is one of them."""
        self.code = code
        self._any = bool(documents.any())
        self._flagged = flags_by_document(documents)

    def exclude(self, block: Block) -> Bool:
        if not self._any:
            return np.zeros(block.doc.shape, np.bool_)
        flagged: Bool = self._flagged[block.doc]
        return flagged


class OtherLanguage:
    """The document is in another language than the query; where either has none it is not judged.

    Languages are compared by their first subtag, case aside: `en-GB` and `EN` are one, `zh-Hant` is `zh`.
    """

    code = "other_language"

    def __init__(self, collection: Collection) -> None:
        """Raises UsageError where the corpus or the queries have no languages."""
        numbers: dict[str, int] = {}
        self._document = by_document(_languages(collection.corpus, "corpus", numbers))
        self._query = _languages(collection.queries, "queries", numbers)

    def exclude(self, block: Block) -> Bool:
        document, query = self._document[block.doc], self._query[block.query][:, None]
        excluded: Bool = (document != query) & (document != NOTHING) & (query != NOTHING)
        return excluded


def _languages(table: pa.Table, name: str, numbers: dict[str, int]) -> Int32:
    """A number for each row's language, NOTHING where there is none; `numbers` grows by what is new."""
    column = table["lang"] if "lang" in table.column_names else None
    if column is None or (len(column) and column.null_count == len(column)):
        raise UsageError(f"same_lang needs a language for documents and queries; the {name} have no `lang`")
    encoded = column.combine_chunks().dictionary_encode()
    tags = [
        str(tag).replace("_", "-").partition("-")[0].strip().lower() for tag in encoded.dictionary.to_pylist()
    ]
    own = [numbers.setdefault(tag, len(numbers)) if tag else NOTHING for tag in tags]
    places = encoded.indices.fill_null(len(own)).to_numpy(zero_copy_only=False)
    numbered: Int32 = np.array([*own, NOTHING], np.int32)[places]
    return numbered
