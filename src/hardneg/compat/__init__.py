"""Drop-in faces of other tools, over hardneg's own stages."""
