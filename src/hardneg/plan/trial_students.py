"""The student that a trial's options ask for."""

from __future__ import annotations

from functools import cache

from hardneg.config import Config
from hardneg.encode import DenseEncoder, open_encoder
from hardneg.errors import UsageError
from hardneg.fingerprints import digest
from hardneg.plan.retrievers import KINDS, OwnParts
from hardneg.plan.scoring import open_scorer
from hardneg.protocols import Student
from hardneg.retriever_specs import encode_config_of, parse_retrievers
from hardneg.trialing import ADAPTER, Adapter, FineTuned, Static, TrialOptions, Words

_OF_A_STUDENT = ("name", "at_once", "fingerprint", "untrained", "train")
_USERS = {
    "side": ("adapter",),
    "loss": ("full",),
    "trial_model": ("full", "static"),
    "trial_max_length": ("full",),
}


def not_used(options: TrialOptions, student: Student | None) -> list[str]:
    """A line for each option that was given and that the student has no use for.

    student  a caller's own, for which all of them are nothing
    """
    name = options.student if student is None else student.name
    return [
        f"--{key.replace('_', '-')} is not used: it is of the student {' or '.join(users)}, not of {name}"
        for key, users in _USERS.items()
        if getattr(options, key) != TrialOptions.model_fields[key].default and (student or name not in users)
    ]


def refuse_no_student(student: object) -> None:
    """Raises UsageError for an object that is no `protocols.Student`."""
    lacking = [name for name in _OF_A_STUDENT if not hasattr(student, name)]
    if lacking:
        raise UsageError(
            f"student: {type(student).__name__} has no {', '.join(lacking)}; give adapter, full, static "
            "or a hardneg.protocols.Student"
        )


def opened(options: TrialOptions, config: Config, own: OwnParts) -> Student:
    """Raises UsageError where no model is named and the run's retrievers have none."""
    if options.student == ADAPTER:
        return Adapter(options.side)
    encoder = _encoder(options, config, own)
    mark = {str(kind): dict(encoder.fingerprint(kind)) for kind in KINDS}
    if options.student == "static":
        return Static(cache(lambda: Words(*encoder.words())), mark)
    return FineTuned(
        encoder.trainable(),
        digest(mark),
        query_prompt=encoder.prompt("query"),
        document_prompt=encoder.prompt("document"),
        loss=options.loss,
        device=config.encode.first_device,
        teacher=open_scorer(config, own) if options.loss == "margin-mse" else None,
    )


def _encoder(options: TrialOptions, config: Config, own: OwnParts) -> DenseEncoder:
    """The model that is trained: the one named, or that of the run's first dense retriever."""
    settings = config.encode.model_copy(
        update={"max_length": options.trial_max_length or config.encode.max_length}
    )
    name = options.trial_model
    if name is None:
        specs = parse_retrievers(config.search.retriever) if config.search.retriever else []
        dense = next((spec for spec in specs if spec.kind == "dense"), None)
        if dense is None:
            raise UsageError(
                f"the student {options.student!r} is made of a model, and this run has no dense retriever; "
                "name one with --trial-model"
            )
        settings = encode_config_of(dense, settings, specs)
        name = dense.target or settings.model
    found = open_encoder(own.models.get(name, name), settings)
    if not isinstance(found, DenseEncoder):
        raise UsageError(
            f"the student {options.student!r} trains sentence-transformers models; this is another encoder"
        )
    return found
