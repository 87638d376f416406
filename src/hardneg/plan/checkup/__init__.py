"""doctor: what is wrong with a run or with the cache, and what of it can be made again."""

from hardneg.plan.checkup.cache import check_cache
from hardneg.plan.checkup.findings import Checkup, Finding, repair
from hardneg.plan.checkup.run import check_run, repair_run

__all__ = ["Checkup", "Finding", "check_cache", "check_run", "repair", "repair_run"]
