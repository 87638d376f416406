"""publishing: a training file, and a card that says how it was made, as a data set of the Hub."""

from hardneg.publishing.card import Facts, dataset_card
from hardneg.publishing.hub import Published, check_hub, check_name, send_folder

__all__ = ["Facts", "Published", "check_hub", "check_name", "dataset_card", "send_folder"]
