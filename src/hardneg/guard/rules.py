"""The hard exclusions together: which rules a configuration asks for, and what they say of a block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hardneg.config import GuardConfig
from hardneg.errors import UsageError
from hardneg.guard.documents import Flagged, OtherLanguage
from hardneg.guard.excluded_documents import excluded_documents
from hardneg.guard.group import Group
from hardneg.guard.known_positives import KnownPositives
from hardneg.guard.near_duplicate import NearDuplicate
from hardneg.guard.portions import NormalisedTexts
from hardneg.guard.positives import PartlyRelevant, Positive, PositiveText, QueryText, SameQueryPositive
from hardneg.guard.sketches import Sketches
from hardneg.guard.text_classes import TextClasses
from hardneg.progress import Silent
from hardneg.protocols import Progress, Rule
from hardneg.quantities import counted
from hardneg.records import Block, Collection, Pairs

UInt8 = NDArray[np.uint8]

_SHOWN_LINES = 5


def build_rules(
    collection: Collection,
    positives: Pairs,
    classes: TextClasses,
    sketches: Sketches | None,
    config: GuardConfig,
    progress: Progress | None = None,
    *,
    join_title: bool = True,
    partly_relevant: Pairs | None = None,
) -> list[Rule]:
    """The rules of this run in the stated order (see `reasons`).

    positives        all known positives, per row of the query table
    classes          of the collection's texts
    sketches         of the corpus; None only where near_duplicate is off
    progress         is told how many entries of a list are no document of the corpus
    join_title       as for the classes and the sketches
    partly_relevant  documents that are judged relevant to a query without being its positives

    Raises UsageError where `same_lang` lacks the languages, InputError for a list that cannot be read.
    """
    if config.near_duplicate and sketches is None:
        raise UsageError("near_duplicate is on, but sketches is None; pass Sketches.of(...)")
    known = KnownPositives(positives, classes)
    rules: list[Rule] = [
        Positive(known),
        PositiveText(known, classes),
        QueryText(classes),
        SameQueryPositive(known, classes),
    ]
    if partly_relevant is not None and len(partly_relevant.doc):
        rules.append(PartlyRelevant(KnownPositives(partly_relevant, classes), classes))
    if config.near_duplicate and sketches is not None:
        texts = NormalisedTexts(collection.corpus, join_title)
        rules.append(NearDuplicate(known, classes, texts, sketches, config.near_duplicate))
    if "group" in collection.corpus.column_names:
        rules.append(Group(known, collection.corpus["group"]))
    if config.exclude_docs is not None:
        rules.append(_listed(collection, classes, Path(config.exclude_docs), progress or Silent()))
    rules.append(Flagged("empty", classes.characters == 0))
    if config.min_chars:
        rules.append(Flagged("too_short", classes.characters < config.min_chars))
    if config.same_lang:
        rules.append(OtherLanguage(collection))
    return rules


def _listed(collection: Collection, classes: TextClasses, path: Path, progress: Progress) -> Flagged:
    listed = excluded_documents(collection.corpus, classes, path)
    progress.say(
        f"{path}: {counted(listed.entries, 'entry excludes', 'entries exclude')} "
        f"{counted(int(listed.documents.sum()), 'document')}"
        + describe_unmatched(listed.unmatched, "document")
    )
    return Flagged("excluded_document", listed.documents)


def describe_unmatched(lines: Sequence[int], what: str) -> str:
    """`; 12 entries match no document (lines 3, 4, 9, 10, 11, ...)`, or nothing."""
    if not lines:
        return ""
    shown = ", ".join(str(line) for line in lines[:_SHOWN_LINES])
    more = ", ..." if len(lines) > _SHOWN_LINES else ""
    entries = counted(len(lines), f"entry matches no {what} (line", f"entries match no {what} (lines")
    return f"; {entries} {shown}{more})"


def codes(rules: Sequence[Rule]) -> tuple[str, ...]:
    """What the numbers of `apply_rules` mean: `""` at 0, then each rule's code."""
    return ("", *(rule.code for rule in rules))


def apply_rules(block: Block, rules: Sequence[Rule]) -> UInt8:
    """The first rule that excludes each candidate: uint8 (queries, width), an index into `codes(rules)`.

    0 where none does, and where there is no document. Raises UsageError for a rule that gives another shape.
    """
    first = np.zeros(block.doc.shape, np.uint8)
    for number, rule in reversed(list(enumerate(rules, start=1))):
        excluded = rule.exclude(block)
        if excluded.shape != first.shape or excluded.dtype != np.bool_:
            raise UsageError(
                f"rule {rule.code!r} gave {excluded.dtype} {excluded.shape}; it must give bool {first.shape}"
            )
        np.putmask(first, excluded, number)  # the last to write is the first rule
    first *= block.present
    return first
