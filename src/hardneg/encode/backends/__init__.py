"""What runs a model: torch, or OpenVINO in the place of its transformer. Importing this imports neither."""

from hardneg.encode.backends.choice import Choice, kept_choice
from hardneg.encode.backends.running import Running, open_running

__all__ = ["Choice", "Running", "kept_choice", "open_running"]
