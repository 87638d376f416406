"""audit: known positives are hidden, every rule mines from the run's candidates, and what comes back counts.

Nothing is encoded or searched, and no selection of the run changes. A repeat looks at the stored candidates
as they would be had the hidden positives never been labelled, learns the guard anew from the labels that are
left, and lets the selector of `hardneg select` choose by each rule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from hardneg.auditing import (
    BARS,
    OWN,
    AuditOptions,
    Point,
    Sums,
    draw,
    exact,
    held,
    hide,
    likeliest,
    looked_at,
    pair_keys,
    points,
    result,
    with_known,
)
from hardneg.config import Config, GuardConfig, SelectConfig
from hardneg.errors import MissingExtraError, UsageError
from hardneg.files import write_json
from hardneg.guard import TextClasses, apply_rules, codes
from hardneg.guard.fitted import Judge, Model, Sight, of_like_width, of_one_text, shipped_weights
from hardneg.plan.guarding import queries_to_leave_out, rules, text_classes
from hardneg.plan.judging import fitted_on, folds_of, learned, likely_rules, sight_of
from hardneg.plan.mine import changed_config, document_vectors, refuse_window_beyond, sources_again
from hardneg.plan.prepare import Prepared, reopen
from hardneg.plan.rescoring import complete
from hardneg.plan.retrieve import base_parts, read_block
from hardneg.plan.retrievers import OwnParts
from hardneg.progress import Silent
from hardneg.protocols import Progress, Rule
from hardneg.quantities import counted
from hardneg.records import Block, Bool, Float32, Float64, Int32, Int64, Pairs
from hardneg.run_directory import RunDirectory
from hardneg.select import Corpus, Negatives, Selection, Selector, alone, philox, stream_keys
from hardneg.select.draws import UInt64
from hardneg.select.selection import UInt8

LOWER_BOUND = (
    "contamination is a lower bound: a positive that nobody labelled counts as a right negative here too"
)
FEW = 20
"""Queries below which an interval says little."""
LEARNING = 100
"""What learning and judging take of a repeat, in steps of which a point is one."""


def audit(
    run: RunDirectory,
    values: Mapping[str, Any],
    options: AuditOptions,
    *,
    selection: str,
    progress: Progress,
    own: OwnParts,
) -> dict[str, Any]:
    """Measure a finished run; keep the numbers and the chart in its folder `audit`, and return the numbers.

    values     guard and select settings in the place of the selection's
    selection  whose settings are measured beside the rules of the field

    Raises UsageError where nothing can be hidden, InputError for a selection that is not there.
    """
    with run.locked("audit", progress.say):
        run.selection_table(selection, "outcomes", ["query_id"])  # says which there are, if not this one
        config = changed_config(run, {**run.told_of(selection)["config"], **values})
        refuse_window_beyond(run.depth(), config.select)
        prepared = reopen(run, config, progress)
        complete(prepared, config, own)
        shared = _Shared.of(prepared, config, options, own)
        numbers = {"selection": selection, **_measured(shared)}
        _keep(numbers, run.audit, progress)
    return numbers


def _keep(numbers: Mapping[str, Any], folder: Path, progress: Progress) -> None:
    """audit.json, and the chart where the libraries for it are there; none of an earlier audit stays."""
    for kind in ("svg", "png"):
        (folder / f"audit.{kind}").unlink(missing_ok=True)
    write_json(numbers, folder / "audit.json")
    try:
        draw(numbers, folder)
    except MissingExtraError as error:
        progress.say(str(error))


def _measured(shared: _Shared) -> dict[str, Any]:
    """All points in all repeats, summed and said."""
    config, options, queries = shared.config, shared.options, len(shared.block.query)
    grid = [*points(shared.depth, _unit(shared), config.guard.guard != "off"), Point(OWN)]
    sums, promotion = Sums(len(grid), queries), Sums(len(BARS), queries)
    counts: Counter[str] = Counter()
    impossible: set[int] = set()
    steps = options.repeats * (len(grid) + LEARNING)
    with shared.prepared.progress.track("audit", steps, "steps") as advance:
        for repeat in range(options.repeats):
            known, hidden = hidden_positives(
                shared.prepared, shared.classes, options.hide, config.select.seed, repeat
            )
            one = _Repeat.of(shared, known, hidden, shared.samples[repeat])
            advance(LEARNING)
            for place, point in enumerate(grid):
                if not _add(shared, one, point, partial(sums.add, place)):
                    impossible.add(place)
                advance(1)
            if one.model is not None:
                _add_promotion(one, promotion)
                counts["fit" if one.model.fitted else "prior"] += 1
            counts["hidden"] += int(hidden.counts[one.block.query].sum())
            counts["in_reach"] += int(one.back.sum())
    kept = [place for place in range(len(grid)) if place not in impossible]
    facts = _facts(shared, counts)
    found = result(
        [grid[place] for place in kept],
        {name: total[kept] for name, total in sums.of.items()},
        promotion.of,
        config.select.seed,
    )
    return {**facts, **found, "notes": _notes(shared, facts, [grid[place] for place in sorted(impossible)])}


# -- what is the same in every repeat ---------------------------------------------------------------------


@dataclass(frozen=True)
class _Shared:
    """fold, several  int32 and bool (queries of the run,): the guard's folds; which can lose a positive
    samples        rows of the queries that each repeat measures
    block          those of any repeat, with all their positives
    scale          of hardness
    sight          what the guard looks at, by the labels of what it is given
    """

    prepared: Prepared
    config: Config
    options: AuditOptions
    depth: int
    classes: TextClasses
    fold: Int32
    several: Bool
    samples: Sequence[Int32]
    block: Block
    scale: _Scale
    sight: Callable[[Prepared], Sight]
    corpus: Corpus

    @classmethod
    def of(cls, prepared: Prepared, config: Config, options: AuditOptions, own: OwnParts) -> _Shared:
        classes, collection = text_classes(prepared, config), prepared.collection
        left_out, _ = queries_to_leave_out(prepared, config)
        several = (prepared.positives.counts >= 2) & ~left_out
        rows = np.flatnonzero(several).astype(np.int32)
        if not len(rows):
            raise UsageError(
                "nothing can be hidden: no query has two positives, and one must stay; audit needs some "
                "queries with several, a few dozen at least"
            )
        drawn = _draws(config.select.seed, "audit sample", 0, _texts(classes)[rows])
        samples = [looked_at(drawn, rows, options.max_queries, n) for n in range(options.repeats)]
        depth = prepared.run.depth()
        found = cache(partial(sources_again, prepared, config, own))
        diverse = config.select.sampler == "diverse"
        block = _block(prepared, np.unique(np.concatenate(samples)), depth)
        return cls(
            prepared=prepared,
            config=config,
            options=options,
            depth=depth,
            classes=classes,
            fold=folds_of(classes),
            several=several,
            samples=samples,
            block=block,
            scale=_Scale.of(block, config.select),
            sight=lambda known: sight_of(known, config, found, shipped_weights()[0]),
            corpus=Corpus(
                query_ids=collection.queries["query_id"],
                doc_ids=collection.corpus["doc_id"],
                classes=classes.document,
                documents=document_vectors(found()) if diverse else None,
            ),
        )


def _block(prepared: Prepared, rows: Int32, depth: int) -> Block:
    """These queries' stored candidates, in one block."""
    parts = []
    for name in base_parts(prepared.run):
        block = read_block(prepared, name, depth)
        here = np.flatnonzero(np.isin(block.query, rows))
        if len(here):
            parts.append(block.rows(here))
    return Block.joined(parts)


def _texts(classes: TextClasses) -> UInt64:
    """A number for each query's normalised text: queries of one text hide the same positives."""
    return classes.keys[classes.query]


def hidden_positives(
    prepared: Prepared, classes: TextClasses, share: float, seed: int, repeat: int
) -> tuple[Pairs, Pairs]:
    """The positives that stay known in a repeat and those that are hidden, of all queries.

    Whether one is hidden depends on the seed, the repeat, the texts of its query and of itself, and on how
    many positives the query has: other queries change nothing.
    """
    positives = prepared.positives
    texts, count = _texts(classes), len(positives.counts)
    query = positives.query
    draw = _draws(seed, "audit hide", repeat, texts[query], classes.keys[classes.document[positives.doc]])
    gone = hide(positives, draw, _draws(seed, "audit share", repeat, texts), share)
    known, hidden = (Pairs.from_rows(query[of], positives.doc[of], count) for of in (~gone, gone))
    return known, hidden


_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


def _draws(seed: int, purpose: str, repeat: int, text: UInt64, document: UInt64 | None = None) -> Float64:
    """A number in (0, 1) for each text of a query, or of a query and a document, whatever else there is."""
    other = np.zeros_like(text) if document is None else document
    key = stream_keys(seed, [(str(repeat).encode(),)], purpose)
    words = philox((text & _LOW, text >> _HALF, other & _LOW, other >> _HALF), (key & _LOW, key >> _HALF))
    return ((words[0] << _HALF | words[1]) >> np.uint64(11)).astype(np.float64) * 2.0**-53 + 2.0**-54


def _unit(shared: _Shared) -> float:
    """The size of a positive's score, by which absolute margins are laid out."""
    block = shared.block
    scores = np.abs(block.positive_scores[shared.config.select.score_by or block.retrievers[0]])
    scores = scores[np.isfinite(scores)]
    return float(np.median(scores)) if len(scores) else 1.0


@dataclass(frozen=True)
class _Scale:
    """On which scale a negative is hard: a score's own, or where several retrievers each give their own,
    standard deviations from the mean of that retriever's candidates.

    mean, deviation  float64 (retrievers,)
    """

    name: str
    mean: Float64
    deviation: Float64

    @classmethod
    def of(cls, block: Block, config: SelectConfig) -> _Scale:
        names = block.retrievers
        if config.score_by is not None or len(names) == 1:
            return cls(config.score_by or names[0], np.zeros(len(names)), np.ones(len(names)))
        scores = [exact(block.scores[name][np.isfinite(block.scores[name])]) for name in names]
        mean = np.array([score.mean() if len(score) else 0.0 for score in scores])
        deviation = np.array([score.std() if len(score) else 1.0 for score in scores])
        return cls("standardised", mean, np.where(deviation > 0, deviation, 1.0))

    def hardness(self, chosen: Negatives) -> Float64:
        """float64 (negatives,), NaN where there is no score; sums of them are exact."""
        by = np.maximum(chosen.retriever, 0)
        return exact((chosen.score.astype(np.float64) - self.mean[by]) / self.deviation[by])


# -- one repeat -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Repeat:
    """row        int64 (queries,): where the measured queries stand in the shared block
    block        they, with known positives alone and with what the guard says
    hidden       the hidden positives of all queries, by `pair_keys`
    back         bool (queries, width): hidden positives among the candidates, none of them excluded
    excluded     uint8 (queries, width), by the hard exclusions `rules`
    model        the guard's; None: off
    """

    row: Int64
    block: Block
    hidden: Int64
    back: Bool
    rules: Sequence[Rule]
    excluded: UInt8
    model: Model | None

    @classmethod
    def of(cls, shared: _Shared, known: Pairs, hidden: Pairs, queries: Int32) -> _Repeat:
        prepared = replace(shared.prepared, positives=known)
        hard = rules(replace(prepared, progress=Silent()), shared.config, shared.classes)
        row = np.searchsorted(shared.block.query, queries)
        block = with_known(shared.block.rows(row), known)
        portions = [(at, block.rows(at).trimmed()) for at in of_like_width(block)]
        excluded = np.zeros(block.doc.shape, np.uint8)
        for at, part in portions:
            excluded[at] = apply_rules(part, hard)
        asked = [(at, part, part.present & (excluded[at] == 0)) for at, part in portions]
        model, chance = _judged(shared, prepared, block, asked)
        class_of, keys = shared.classes.document, pair_keys(hidden, shared.classes.document)
        return cls(
            row=row,
            block=replace(block, p_false_negative=chance),
            hidden=keys,
            back=held(block.query[:, None], block.doc, keys, class_of) & (excluded == 0),
            rules=hard,
            excluded=excluded,
            model=model,
        )


Asked = Sequence[tuple[Int64, Block, Bool]]


def _judged(shared: _Shared, prepared: Prepared, block: Block, asked: Asked) -> tuple[Model | None, Float32]:
    """The guard learned from what is known, and what it says of the candidates: float32 (queries, width)."""
    chance = np.full(block.doc.shape, np.nan, np.float32)
    config = shared.config.guard
    if config.guard == "off":
        return None, chance
    if config.label_completeness is not None:
        left = len(prepared.positives.doc) / len(shared.prepared.positives.doc)
        config = config.model_copy(update={"label_completeness": config.label_completeness * left})
    sight, prior = shared.sight(prepared), shipped_weights()[1]
    blocks = [(part, candidate) for _, part, candidate in asked]
    # Told of as many queries as the run's own fit is, it looks at as many episodes of each.
    queries = int(fitted_on(shared.prepared).sum())
    model = learned(config, lambda: blocks, lambda: blocks, sight, shared.fold, prior, queries)
    judge = Judge(sight, model, shared.fold)
    for at, part, candidate in asked:
        found = judge.log_odds(part, candidate)
        log_odds = of_one_text(found, part.doc, shared.classes.document).astype(np.float32)
        chance[at] = model.probability(log_odds.astype(np.float64))
    return model, chance


# -- one point --------------------------------------------------------------------------------------------


def _add(shared: _Shared, one: _Repeat, point: Point, add: Callable[..., None]) -> bool:
    """Choose by the point's rule and add up; False where the labels do not allow it."""
    config = shared.config
    own = point.rule == OWN
    guard = config.guard if own else GuardConfig(**point.guard)
    select = (
        config.select.model_copy(update={"shortfall": "keep"}) if own else alone(config.select, point.select)
    )
    likely: Sequence[Rule] = []
    if one.model is not None:
        chance = one.block.p_false_negative
        try:
            likely = likely_rules(
                one.model, one.model.probability, shared.fold, guard, lambda: chance[np.isfinite(chance)]
            )
        except UsageError:
            return False
    dropped = apply_rules(one.block, likely)
    excluded = np.where((one.excluded == 0) & (dropped > 0), dropped + len(one.rules), one.excluded)
    selector = Selector(select, codes([*one.rules, *likely]), shared.corpus)
    selection = selector.select(one.block, excluded.astype(np.uint8))
    add(one.row, asked=selection.missing, reach=one.back.sum(axis=1))
    add(one.row, passed=(one.back & (dropped == 0)).sum(axis=1))
    _add_chosen(shared, one, selection, add)
    return True


def _add_chosen(shared: _Shared, one: _Repeat, selection: Selection, add: Callable[..., None]) -> None:
    chosen = selection.negatives
    row = np.searchsorted(shared.block.query, chosen.query)
    score = shared.scale.hardness(chosen)
    scored, ranked = np.isfinite(score), chosen.rank > 0
    hidden = held(chosen.query, chosen.doc, one.hidden, shared.classes.document)
    add(row, asked=1, chosen=1, hidden=hidden, scored=scored, ranked=ranked)
    add(row, score=np.where(scored, score, 0.0), rank=np.where(ranked, chosen.rank, 0))


def _add_promotion(one: _Repeat, sums: Sums) -> None:
    chance = one.block.p_false_negative
    said = exact(np.nan_to_num(chance))
    for place, promoted in enumerate(likeliest(chance)):
        right = (promoted & one.back).sum(axis=1)
        total = np.where(promoted, said, 0.0).sum(axis=1)
        sums.add(place, one.row, promoted=promoted.sum(axis=1), right=right, chance=total)


# -- what is said -----------------------------------------------------------------------------------------


def _facts(shared: _Shared, counts: Mapping[str, int]) -> dict[str, Any]:
    positives, options = shared.prepared.positives.counts, shared.options
    return {
        "queries": {
            "total": len(positives),
            "one_positive": int((positives == 1).sum()),
            "several_positives": int(shared.several.sum()),
            "measured": len(shared.block.query),
        },
        "hidden": {
            "share": options.hide,
            "repeats": options.repeats,
            "seed": shared.config.select.seed,
            "positives": counts["hidden"],
            "in_reach": counts["in_reach"],
        },
        "judged_by": {by: counts[by] for by in ("fit", "prior")},
        "hardness_by": shared.scale.name,
    }


def _notes(shared: _Shared, facts: Mapping[str, Any], impossible: Sequence[Point]) -> list[str]:
    queries, hidden = facts["queries"], facts["hidden"]
    notes = [
        LOWER_BOUND,
        f"it is that of labels of which {hidden['share']:.0%} are missing at random, not that of the "
        "selection; compare rules by it",
    ]
    if one := queries["one_positive"]:
        notes.append(
            f"{one:,} of {queries['total']:,} queries have one positive, which must stay: nothing of theirs "
            f"is hidden or measured; figures are of the {queries['several_positives']:,} with several"
        )
    if queries["measured"] < FEW:
        measured = counted(queries["measured"], "query", "queries")
        notes.append(f"only {measured} could be measured: intervals say little")
    if not hidden["in_reach"]:
        notes.append("no hidden positive came back among the candidates; a greater --depth would reach more")
    by = facts["judged_by"]
    guard = shared.config.guard.guard
    if by.get("prior") and guard in ("auto", "fit"):
        notes.append(
            f"in {by['prior']} of {hidden['repeats']} repeats too few labels were left to fit the guard, and "
            "the shipped weights judged; fitted on all labels it may do better than is shown"
        )
    if guard == "off":
        notes.append("the guard is off in this selection; --guard auto measures it too")
    if shared.config.guard.labels:
        notes.append("judged labels are set aside: what is hidden and what is known are the data's own")
    if impossible:
        flags = ", ".join(point.flags or "the selection itself" for point in impossible)
        why = "shipped weights keep to no" if guard == "prior" else "too few labels were left to keep to a"
        notes.append(f"not measured, for {why} miss rate: {flags}")
    return notes
