"""Object stores and the Hub's files as fsspec reaches them: sources come from there, exports go there.

Runs and the vector store stay on this machine's disks: they are mapped, locked and renamed, which no object
store can do.
"""

from hardneg.remote.addresses import address_of, name_of, refuse_remote, refuse_remote_inputs
from hardneg.remote.fetch import Fetched, exists, fetch
from hardneg.remote.send import check_target, sent

__all__ = [
    "Fetched",
    "address_of",
    "check_target",
    "exists",
    "fetch",
    "name_of",
    "refuse_remote",
    "refuse_remote_inputs",
    "sent",
]
