"""Rows that hold texts: each a query with its positives and, it may be, negatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hardneg.config import ReadConfig
from hardneg.read.bad_rows import BadRows, RowError
from hardneg.read.columns import ColumnFinder
from hardneg.read.documents import further_values
from hardneg.read.parsed import DOCUMENTS, GIVEN, JUDGMENTS, QUERIES, Parsed
from hardneg.read.queries import optional_text
from hardneg.read.roles import Roles, find_roles
from hardneg.read.rows import Row, Rows
from hardneg.read.tables import TableBuilder, json_text
from hardneg.read.values import as_id, as_number, as_text, describe
from hardneg.texts import is_blank, text_id, text_number


@dataclass(frozen=True)
class Passage:
    """A positive or negative of a row; `place` is its place among those of its kind."""

    text: str
    doc_id: str | None
    score: float | None
    relevance: float
    place: int


@dataclass(frozen=True)
class LabelledRow:
    query: str
    query_id: str | None
    prompt: str | None
    group: str | None
    lang: str | None
    positives: tuple[Passage, ...]
    negatives: tuple[Passage, ...]
    empty_negatives: int


def read_labelled(rows: Rows, config: ReadConfig, parsed: Parsed, bad: BadRows) -> None:
    """Add queries, documents, judgments and given negatives to `parsed`."""
    sink = _filled(_Sink(bad.number_of(rows.name)), rows, config, parsed, bad)
    if sink.ids.conflicts:
        # Now that all rows are known, the same text stays whatever their order.
        bad.forget(rows.name)
        sink = _filled(_Sink(bad.number_of(rows.name), sink.ids.settled()), rows, config, parsed, bad)
    sink.hand_over(parsed, rows.name)


def _filled(sink: _Sink, rows: Rows, config: ReadConfig, parsed: Parsed, bad: BadRows) -> _Sink:
    """The sink with all rows that can be used; the others are refused."""
    finder = ColumnFinder(rows, lambda columns: find_roles(columns, config), bad)
    shown: set[str] = set()
    for line, row in rows.read(bad):
        roles = finder(row, line)
        if roles is None:
            continue
        try:
            parsed_row = parse_row(row, roles)
            sink.add(parsed_row, row, roles, line)
        except RowError as error:
            bad.refuse(error, rows.name, line)
            continue
        _note_roles(roles, shown, parsed)
        parsed.first_row = parsed.first_row or _for_people(parsed_row)
    return sink


def _note_roles(roles: Roles, shown: set[str], parsed: Parsed) -> None:
    """Say once which column was taken for what."""
    line = roles.shown()
    if line in shown or len(shown) > 3 or f"columns: {line}" in parsed.notes:
        return
    shown.add(line)
    parsed.notes.append(f"columns: {line}")
    scores = [name for name, _ in roles.further if name.lower() in ("score", "scores")]
    if scores and roles.relevance is None:
        parsed.notes.append(
            f"column {scores[0]!r} was kept but says nothing here: every row's positive counts as one; "
            "name the column 'relevance' where low values mean negatives"
        )


def _for_people(row: LabelledRow) -> dict[str, Any]:
    shown: dict[str, Any] = {"query": row.query, "positives": [one.text for one in row.positives]}
    if row.negatives:
        shown["negatives"] = [one.text for one in row.negatives]
    return shown


# -- one row ----------------------------------------------------------------------------------------


def parse_row(row: Row, roles: Roles) -> LabelledRow:
    """Raises RowError where the query or a positive is missing, empty or of a wrong type."""
    query = as_text(row[roles.query], roles.query, "query")
    texts = _texts(row[roles.positive], roles.positive, "positive")
    if not texts:
        raise RowError("there is no positive", roles.positive)
    positives = _passages(row, texts, roles.positive_id, roles.positive_scores, roles.relevance)
    negatives, empty = _negatives(row, roles)
    return LabelledRow(
        query=query,
        query_id=_optional_id(row, roles.query_id),
        prompt=optional_text(row, roles.prompt),
        group=_optional_id(row, roles.group),
        lang=optional_text(row, roles.lang),
        positives=positives,
        negatives=negatives,
        empty_negatives=empty,
    )


def _texts(value: Any, column: str, what: str) -> list[str]:
    """One text is a list of one: a string is never taken letter by letter."""
    if isinstance(value, list | tuple):
        return [as_text(one, column, what) for one in value]
    return [as_text(value, column, what)]


def _negatives(row: Row, roles: Roles) -> tuple[tuple[Passage, ...], int]:
    """Given negatives over all their columns, and how many empty ones were left out."""
    texts: list[str] = []
    for column in roles.negatives:
        value = row[column]
        for one in value if isinstance(value, list | tuple) else () if value is None else (value,):
            if one is not None and type(one) is not str:
                raise RowError(f"the negative must be text, not {describe(one)}", column)
            texts.append(one or "")
    found = _passages(row, texts, roles.negative_id, roles.negative_scores, None)
    kept = tuple(passage for passage in found if not is_blank(passage.text))
    return kept, len(found) - len(kept)


def _passages(
    row: Row, texts: list[str], id_column: str | None, score_column: str | None, relevance: str | None
) -> tuple[Passage, ...]:
    ids = _aligned(row, id_column, len(texts))
    scores = _aligned(row, score_column, len(texts))
    grades = _aligned(row, relevance, len(texts))
    return tuple(
        Passage(
            text=text,
            doc_id=None if ids[place] in (None, "") else as_id(ids[place], id_column or ""),
            score=None if scores[place] is None else as_number(scores[place], score_column or "", "score"),
            relevance=1.0 if relevance is None else as_number(grades[place], relevance, "relevance"),
            place=place,
        )
        for place, text in enumerate(texts)
    )


def _aligned(row: Row, column: str | None, count: int) -> Sequence[Any]:
    """The column's values, one a text; all None where it has none. Raises RowError for another number."""
    value = None if column is None else row[column]
    if value is None or value == [] or value == "":
        return [None] * count
    values = value if isinstance(value, list | tuple) else [value]
    if len(values) != count:
        raise RowError(f"holds {len(values)} values for {count} texts", column)
    return values


def _optional_id(row: Row, column: str | None) -> str | None:
    value = None if column is None else row[column]
    return None if value is None or value == "" else as_id(value, column or "")


# -- all rows ---------------------------------------------------------------------------------------


class _Ids:
    """Which text an id stands for: a row's labels speak of its texts, with an id of another they go astray.

    Held as 64-bit digests, for millions of texts would fill the memory. Of two texts the one of the lower
    digest stays; `settled` holds those of rows read before, `conflicts` says that it is needed.
    """

    def __init__(self, settled: Mapping[tuple[str, str], int] | None = None) -> None:
        self._settled = settled
        self._lowest: dict[tuple[str, str], int] = {}
        self.conflicts = False

    def settled(self) -> Mapping[tuple[str, str], int]:
        return self._lowest

    def check(self, row: LabelledRow) -> None:
        """Raises RowError where an id of the row stands for another text elsewhere, or in the row itself."""
        named = [("query", row.query_id, row.query)]
        named += [("document", one.doc_id, one.text) for one in (*row.positives, *row.negatives)]
        astray: tuple[str, str] | None = None
        for kind, name, text in named:
            if name is None:
                continue
            key, digest = (kind, name), text_number(text.strip())
            known = self._settled if self._settled is not None else self._lowest
            if known.get(key, digest) != digest:
                astray = astray or key
            self._lowest[key] = min(self._lowest.get(key, digest), digest)
        if astray is not None:
            self.conflicts = True
            raise RowError(f"this {astray[0]} id stands there with another text too", row_id=astray[1])


class _Sink:
    """Gathers rows into tables; a text or query met before with the same labels is not stored again."""

    def __init__(self, file: int, settled: Mapping[tuple[str, str], int] | None = None) -> None:
        self._file = file
        self.ids = _Ids(settled)
        self._queries = TableBuilder(QUERIES)
        self._named, self._loose = TableBuilder(DOCUMENTS), TableBuilder(DOCUMENTS)
        self._judgments, self._given = TableBuilder(JUDGMENTS), TableBuilder(GIVEN)
        self._seen: set[tuple[str, ...] | str] = set()
        self._hashed_queries = self._hashed_documents = self._numeric = 0
        self._empty_negatives = self._repeated_queries = self._repeated_documents = 0

    def add(self, row: LabelledRow, source: Row, roles: Roles, line: int) -> None:
        """Raises RowError, and adds nothing, where an id of the row stands for another text."""
        self.ids.check(row)
        query_id = self._add_query(row, source, roles, line)
        self._numeric += any(
            column is not None and isinstance(source[column], int | float)
            for column in (roles.query_id, roles.positive_id, roles.negative_id)
        )
        for passage in row.positives:
            doc_id = self._add_document(passage, row.group, row.lang, line)
            self._judgments.add((query_id, doc_id, passage.relevance, passage.score, self._file, line))
        for passage in row.negatives:
            doc_id = self._add_document(passage, None, row.lang, line)
            self._given.add((query_id, doc_id, passage.place, passage.score, self._file, line))
        self._empty_negatives += row.empty_negatives

    def _add_query(self, row: LabelledRow, source: Row, roles: Roles, line: int) -> str:
        query_id = row.query_id or text_id(row.query, "q-")
        further = further_values(source, roles.further)
        key = (query_id, row.query, json_text([row.prompt, row.lang, further]) or "")
        if key in self._seen:
            self._repeated_queries += 1
            return query_id
        self._seen.add(key)
        self._hashed_queries += row.query_id is None
        self._queries.add((query_id, row.query, row.prompt, row.lang, self._file, line), further)
        return query_id

    def _add_document(self, passage: Passage, group: str | None, lang: str | None, line: int) -> str:
        doc_id = passage.doc_id or text_id(passage.text, "d-")
        named = passage.doc_id is not None
        labels = (group or "", lang or "")
        key = (doc_id, passage.text if named else "", *labels) if named or any(labels) else doc_id
        if key in self._seen:
            self._repeated_documents += 1
            return doc_id
        self._seen.add(key)
        self._hashed_documents += not named
        builder = self._named if named else self._loose
        builder.add((doc_id, None, passage.text, group, lang, self._file, line))
        return doc_id

    def hand_over(self, parsed: Parsed, name: str) -> None:
        for builder, tables in (
            (self._queries, parsed.queries),
            (self._named, parsed.named),
            (self._loose, parsed.loose),
            (self._judgments, parsed.judgments),
            (self._given, parsed.given),
        ):
            if builder.rows:
                tables.append(builder.finish())
            parsed.note_mended(builder.mended, name)
        parsed.counts["duplicate queries merged"] = self._repeated_queries
        parsed.counts["duplicate documents merged"] = self._repeated_documents
        parsed.note_numeric_ids(self._numeric, name)
        self._note(parsed)

    def _note(self, parsed: Parsed) -> None:
        named = [
            what
            for what, count in (("queries", self._hashed_queries), ("documents", self._hashed_documents))
            if count
        ]
        if named:
            parsed.notes.append(
                f"no ids in the source for {' and '.join(named)}: named by their text (q-..., d-...)"
            )
        if self._empty_negatives:
            parsed.notes.append(f"{self._empty_negatives:,} empty given negatives left out")
