"""`python -m hardneg`: the command line where no `hardneg` command is on the path."""

from hardneg.interruption import end_on_signals
from hardneg.terminal import open_streams


def main() -> None:
    """The command line; a signal finds it ready before anything large is imported."""
    open_streams()
    end_on_signals()
    from hardneg import cli

    cli.main()


if __name__ == "__main__":
    main()
