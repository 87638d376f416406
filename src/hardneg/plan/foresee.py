"""What can be known to be wrong with a configuration before anything is read, encoded or searched."""

from __future__ import annotations

from pathlib import Path

from hardneg.config import Config
from hardneg.errors import InputError
from hardneg.plan.retrievers import OwnParts, check_path
from hardneg.retriever_specs import encode_config_of, parse_retrievers
from hardneg.select import check


def foresee(config: Config, own: OwnParts) -> None:
    """Raises UsageError for names that the run will not have, InputError for a file that is not there."""
    specs = parse_retrievers(config.search.retriever) if config.search.retriever or not own.retrievers else []
    for spec in specs:
        encode_config_of(spec, config.encode, specs)
        check_path(spec)
    retrievers = [spec.name for spec in specs] + [retriever.name for retriever in own.retrievers]
    check(config.select, retrievers, _scorers(config, own))
    for key in ("exclude_docs", "exclude_queries"):
        path = getattr(config.guard, key)
        if path is not None and not Path(path).is_file():
            raise InputError(f"is no file; give --{key.replace('_', '-')} an existing one", file=path)


def _scorers(config: Config, own: OwnParts) -> list[str]:
    if own.scorer is not None:
        return [own.scorer.name]
    return ["cross_encoder"] if config.rescore.cross_encoder is not None else []
