"""`python -m hardneg`: the command line where no `hardneg` command is on the path."""

from hardneg.cli import main

if __name__ == "__main__":
    main()
