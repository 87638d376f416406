"""Which of a file's parts (scores, ids, prompts, labels) can be in the new one, and which are not."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hardneg.errors import InputError
from hardneg.export.formats import Format, find_format
from hardneg.export.options import ConvertOptions, ExportOptions
from hardneg.quantities import counted
from hardneg.records import Int64

_ALL_CAN = ("ids", "prompts", "positives", "soft_labels")


@dataclass
class Parts:
    """How many of the groups that can be written have what.

    scores           every text has one
    negative_scores  every negative has one
    some_scores      a text has one
    negatives        [n]: groups with n negatives
    """

    groups: int = 0
    scores: int = 0
    negative_scores: int = 0
    some_scores: int = 0
    ids: int = 0
    prompts: int = 0
    soft_labels: int = 0
    positives: int = 0
    negatives: Int64 = field(default_factory=lambda: np.zeros(1, np.int64))

    def add(self, groups: pa.Table) -> None:
        """Groups without faults."""
        of_pos, of_neg = (pc.list_value_length(groups[side]).to_numpy() for side in ("pos", "neg"))
        pos, neg = (_valued(groups[f"{side}_score"]) for side in ("pos", "neg"))
        self.groups += len(groups)
        self.scores += int(((pos == of_pos) & (neg == of_neg)).sum())
        self.negative_scores += int((neg == of_neg).sum())
        self.some_scores += int((pos + neg > 0).sum())
        self.ids += int(
            (_valued(groups["pos_id"]) + _valued(groups["neg_id"]) > 0).sum()
            + (~groups["query_id"].is_null().to_numpy()).sum()
        )
        self.prompts += len(groups) - groups["prompt"].null_count
        self.soft_labels += int((_valued(groups["pos_label"]) + _valued(groups["neg_label"]) > 0).sum())
        self.positives += int((of_pos > 0).sum())
        counts = np.bincount(of_neg)
        longer = np.zeros(max(len(counts), len(self.negatives)), np.int64)
        longer[: len(counts)] += counts
        longer[: len(self.negatives)] += self.negatives
        self.negatives = longer

    @property
    def most_negatives(self) -> int:
        return int(np.flatnonzero(self.negatives).max(initial=0))


def _valued(column: pa.ChunkedArray) -> Int64:
    """int64 (groups,): how many of a list's elements are not null."""
    lists = column.combine_chunks()
    there = pc.list_parent_indices(lists).filter(pc.is_valid(lists.flatten())).to_numpy()
    return np.bincount(there, minlength=len(lists)).astype(np.int64)


def parts_to_write(
    to: str, found: Format, options: ConvertOptions, parts: Parts
) -> tuple[ExportOptions, tuple[str, ...]]:
    """What the writer is asked for, and what is not in its file.

    Raises UsageError for a part that the format has no place for, InputError for one that the file lacks.
    """
    asked = {name: getattr(options, name) for name in ("scores", *_ALL_CAN)}
    named = {name for name in asked if name in options.model_fields_set}
    have = {name: getattr(parts, name) > 0 for name in _ALL_CAN}
    have["scores"] = parts.scores == parts.groups > 0
    # Where scores take the place of labels, what is a positive would be lost with those.
    in_place_of_labels = "soft_labels" in found.takes
    wanted = {name: have[name] and name in found.takes for name in asked}
    wanted["scores"] &= not in_place_of_labels
    if asked["scores"]:
        wanted["soft_labels"] = False
    wanted |= {name: asked[name] for name in named}
    _refuse_missing(to, found, wanted, have, parts)
    kept = {name: getattr(options, name) for name in ("num_negatives", "shortfall", "neutralise")}
    chosen = ExportOptions(**wanted, **kept)
    find_format(to, chosen)
    return chosen, _remarks(to, found, wanted, named, parts)


def _refuse_missing(
    to: str, found: Format, wanted: dict[str, bool], have: dict[str, bool], parts: Parts
) -> None:
    of_negatives = found.needs_scores == "negatives"
    complete = parts.negative_scores if of_negatives else parts.scores
    if (found.needs_scores or wanted["scores"]) and complete < parts.groups:
        text = "negative" if of_negatives else "text"
        scoring = "score its texts, e.g. with `hardneg add-reranker-score` (a flagembedding file)"
        instead = ", or take --to beir, which has none" if of_negatives else ""
        remedy = f"{scoring}{instead}" if found.needs_scores else "leave --scores off"
        lacking = f"{parts.groups - complete:,} of {counted(parts.groups, 'group lacks', 'groups lack')}"
        raise InputError(f"{to}: {lacking} a score for some {text}; {remedy}")
    for name in ("prompts", "soft_labels"):
        if wanted[name] and not have[name]:
            shown = name.replace("_", "-")
            raise InputError(f"the file has no {shown.replace('-', ' ')}; leave --{shown} off")


def _remarks(
    to: str, found: Format, wanted: dict[str, bool], named: set[str], parts: Parts
) -> tuple[str, ...]:
    there = {
        "scores": parts.some_scores,
        "ids": parts.ids,
        "prompts": parts.prompts,
        "soft_labels": parts.soft_labels,
    }
    remarks = [] if found.holds_texts else [f"texts are not in it: {to} holds ids alone"]
    if parts.positives and not (found.needs_positives or "positives" in found.takes):
        remarks.append(f"positives are not in it: {to} has no place for them")
    for name, count in there.items():
        always = name == "scores" and bool(found.needs_scores)
        if not count or always or wanted[name] or name in named:
            continue
        shown = name.replace("_", " ")
        if name not in found.takes:
            remarks.append(f"{shown} are not in it: {to} has no place for them")
        elif parts.scores < parts.groups:
            lacking = parts.groups - parts.scores
            groups = counted(parts.groups, "group lacks", "groups lack")
            remarks.append(f"scores are not in it: {lacking:,} of {groups} some")
        else:
            remarks.append(f"{shown} are not in it: --scores writes them in the place of labels")
    return tuple(remarks)
