"""The data set's card: what is in the file, how it was made, and what is known of its false negatives.

Of a card that is there already, what people wrote stays: ours is the part between two marks, and those keys
of the metadata that speak of the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hardneg.errors import UsageError
from hardneg.quantities import counted
from hardneg.terminal import printable

BEGIN, END = "<!-- hardneg: begin -->", "<!-- hardneg: end -->"
_OURS = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
_SIZES = {
    10**3: "n<1K",
    10**4: "1K<n<10K",
    10**5: "10K<n<100K",
    10**6: "100K<n<1M",
    10**7: "1M<n<10M",
}
_LARGER = "n>10M"
_OUR_CONFIG = {"config_name": "default"}


@dataclass(frozen=True)
class Facts:
    """What the card tells; names are as they may be shown to anybody.

    columns    name → type
    models     part → model
    rules      setting → value
    commands   that made it
    counts     what → how many
    hardness   in words
    estimates  what is known of false negatives, a line each
    dropped    reason → candidates that were not chosen for it
    languages  codes that the source gave
    """

    repo_id: str
    to: str
    path: str
    rows: int
    columns: Mapping[str, str]
    source: str
    models: Mapping[str, str]
    rules: Mapping[str, Any]
    commands: Sequence[str]
    counts: Mapping[str, int]
    hardness: str
    estimates: Sequence[str]
    dropped: Mapping[str, int]
    languages: Sequence[str]
    licence: str | None
    version: str


def dataset_card(facts: Facts, existing: str | None = None) -> Any:
    """The README.md as a `huggingface_hub.DatasetCard`. Raises UsageError where the one that is there cannot
    be read."""
    from huggingface_hub import DatasetCard

    try:
        card = DatasetCard(existing or "---\n{}\n---\n", ignore_metadata_errors=True)
    except Exception as error:  # of YAML, and of what is made from it
        raise UsageError(f"the README.md of {facts.repo_id} cannot be read; mend its metadata") from error
    for key, value in _metadata(facts, card.data).items():
        setattr(card.data, key, value)
    ours = f"{BEGIN}\n{_body(facts, card.data.license)}\n{END}"
    kept, found = _OURS.subn(lambda _: ours, card.text, count=1)
    parts = (kept,) if found else (card.text, ours)
    card.text = "\n" + "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"
    return card


def _metadata(facts: Facts, there: Any) -> dict[str, Any]:
    trainer = ["sentence-transformers"] if facts.to.startswith("st-") else []
    configs = getattr(there, "configs", None) or []
    others = [one for one in configs if not isinstance(one, dict) or one.get("config_name") != "default"]
    found: dict[str, Any] = {
        "configs": [_OUR_CONFIG | {"data_files": [{"split": "train", "path": facts.path}]}, *others],
        "size_categories": [next((name for end, name in _SIZES.items() if facts.rows < end), _LARGER)],
        "task_categories": _with(there, "task_categories", ["text-retrieval"]),
        "tags": _with(there, "tags", ["hard-negatives", "hardneg", *trainer]),
    }
    if facts.languages:
        found["language"] = _with(there, "language", facts.languages)
    if facts.licence is not None:
        found["license"] = facts.licence
    return found


def _with(there: Any, key: str, ours: Sequence[str]) -> list[str]:
    """The values of the card's, then ours that it lacks."""
    value = getattr(there, key, None) or []
    known = [value] if isinstance(value, str) else list(value)
    return [*known, *(one for one in ours if one not in known)]


# -- the text ---------------------------------------------------------------------------------------------


def _body(facts: Facts, licence: str | list[str] | None) -> str:
    return "\n\n".join(
        [
            f"# {_plain(facts.repo_id.rpartition('/')[2])}",
            f"Training data for text retrieval with mined hard negatives: {_plain(facts.source)}, mined with "
            f"hardneg {_plain(facts.version)}.",
            *_contents(facts),
            *_making(facts),
            *_false_negatives(facts),
            *_licence(facts, licence),
        ]
    )


def _contents(facts: Facts) -> Iterator[str]:
    yield "## Contents"
    yield f"Format `{facts.to}`, {counted(facts.rows, 'row')}, to be read by their names:"
    yield f'```python\nimport datasets\n\ndatasets.load_dataset("{facts.repo_id}", split="train")\n```'
    yield _table(("column", "type"), facts.columns)
    yield _table(("", "number"), {what: f"{count:,}" for what, count in facts.counts.items()})
    yield f"Hardness of the negatives: {_plain(facts.hardness)}."


def _making(facts: Facts) -> Iterator[str]:
    yield "## How the negatives were chosen"
    yield _table(("part", "model"), facts.models)
    yield _table(("rule", "value"), facts.rules)
    yield "```sh\n" + "\n".join(printable(command).replace("```", "") for command in facts.commands) + "\n```"
    if facts.dropped:
        yield "Candidates that were not chosen, by the first rule that spoke against them:"
        yield _table(("reason", "candidates"), {name: f"{count:,}" for name, count in facts.dropped.items()})


def _false_negatives(facts: Facts) -> Iterator[str]:
    yield "## False negatives"
    if not facts.estimates:
        yield "Nothing is known: no guard judged these negatives, and nobody looked at them."
        return
    yield "What is known of negatives that are answers without a label:"
    yield "\n".join(f"- {_plain(line)}" for line in facts.estimates)


def _licence(facts: Facts, licence: str | list[str] | None) -> Iterator[str]:
    yield "## Licence"
    yield (
        f"**Not stated yet.** The texts are those of the source ({_plain(facts.source)}), whose licence "
        "holds for them. Whoever publishes this looks it up, and names it as `license` in this metadata."
        if not licence
        else f"{_plain(licence)}, as stated by whoever published this."
    )


def _table(names: tuple[str, str], rows: Mapping[str, Any]) -> str:
    lines = [f"| {names[0]} | {names[1]} |", "|---|---|"]
    return "\n".join([*lines, *(f"| {_plain(key)} | {_plain(value)} |" for key, value in rows.items())])


def _plain(value: Any) -> str:
    """Nothing in it means anything to Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(printable(str(value)).split()))
