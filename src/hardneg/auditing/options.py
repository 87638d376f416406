"""How an audit measures."""

from __future__ import annotations

from pydantic import Field

from hardneg.config import Stage


class AuditOptions(Stage):
    """audit: how much is hidden, and how often."""

    hide: float = Field(0.3, gt=0, lt=1, description="Share of each query's known positives that is hidden.")
    repeats: int = Field(5, ge=1, le=100, description="How often, each time others.")
    max_queries: int = Field(
        500, ge=1, description="Queries measured in each repeat, at most; in the next come others."
    )
