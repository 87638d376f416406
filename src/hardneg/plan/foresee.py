"""What can be known to be wrong with a configuration before anything is read, encoded or searched."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hardneg.config import Config, Stage
from hardneg.errors import UsageError
from hardneg.named_files import refuse_no_file
from hardneg.plan.guarding import label_digests
from hardneg.plan.lazily import why_all
from hardneg.plan.retrievers import OwnParts, check_path
from hardneg.retriever_specs import encode_config_of, parse_retrievers
from hardneg.search.choice import deepest, finders
from hardneg.select import check, deepest_rank


def foresee(config: Config, own: OwnParts) -> None:
    """Raises UsageError for names that the run will not have and for an index that the machine cannot make,
    InputError for a file that is not there."""
    specs = parse_retrievers(config.search.retriever) if config.search.retriever or not own.retrievers else []
    for spec in specs:
        encode_config_of(spec, config.encode, specs)
        check_path(spec)
    if config.search.index != "exact" and any(spec.kind in ("dense", "vectors") for spec in specs):
        finders(config.search.index, config.encode.first_device)
        bound = deepest(config.search.index)
        if bound is not None and needed_depth(config) > bound:
            raise UsageError(
                f"--index {config.search.index} finds {bound:,} documents a query at most; ask for a smaller "
                "--depth or --window, or leave --index out"
            )
    dense = {spec.name for spec in specs if spec.kind == "dense"}
    for text in config.encode.prompt:
        name = text.partition("=")[0].rpartition(":")[0]
        if name not in dense:
            raise UsageError(f"prompt {text!r}: {name} takes no prompts; only dense retrievers do")
    retrievers = [spec.name for spec in specs] + [retriever.name for retriever in own.retrievers]
    scorers = _scorers(config, own)
    check(config.select, retrievers, scorers)
    for scorer in scorers:
        why_all(config, scorer)
    for key in ("exclude_docs", "exclude_queries"):
        path = getattr(config.guard, key)
        if path is not None:
            refuse_no_file(Path(path), f"give {_flag(key)} an existing one")
    label_digests(config)


def needed_depth(config: Config) -> int:
    """The depth asked for, or as far as the window reaches."""
    return max(config.search.depth, deepest_rank(config.select.window))


def not_used(config: Config, own: OwnParts) -> list[str]:
    """A line for each setting that was given and changes nothing."""
    specs = parse_retrievers(config.search.retriever) if config.search.retriever or not own.retrievers else []
    dense = [spec for spec in specs if spec.kind == "dense"]
    lines = [
        f"{_flag(key)} is not used: no retriever is dense" for key in _given(config.encode, _OF_DENSE, dense)
    ]
    if dense and all(spec.target for spec in dense):
        lines += [
            f"{_flag(key)} is not used: dense retrievers name theirs"
            for key in _given(config.encode, ("model",))
        ]
    scorer = config.rescore.cross_encoder
    if config.select.rescore != "auto" and not _scorers(config, own):
        lines.append("--rescore is not used: there is no --cross-encoder")
    models = {spec.target or config.encode.model for spec in dense} | {scorer}
    lines += [
        f"--trust-remote-code {name} is not used: no model of this run is called that"
        for name in config.encode.trust_remote_code
        if name not in models
    ]
    return lines + [
        f"{_flag(key)} is not used: there is no --cross-encoder"
        for key in _given(config.rescore, _OF_CROSS_ENCODER, [scorer] if scorer else [])
    ]


def _given(stage: Stage, keys: Sequence[str], users: Sequence[object] = ()) -> list[str]:
    """Those of the keys that have another value than by default, where nothing uses them."""
    fields = type(stage).model_fields
    return [] if users else [key for key in keys if getattr(stage, key) != fields[key].default]


_OF_DENSE = ("model", "query_prompt", "document_prompt")
_OF_CROSS_ENCODER = ("cross_encoder_output", "cross_encoder_batch_size", "cross_encoder_max_length")


def _flag(key: str) -> str:
    return "--" + key.replace("_", "-")


def _scorers(config: Config, own: OwnParts) -> list[str]:
    if own.scorer is not None:
        return [own.scorer.name]
    return ["cross_encoder"] if config.rescore.cross_encoder is not None else []
