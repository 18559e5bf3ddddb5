"""`python -m abacod` is the `abacod` command."""

from abacod.cli.main import main

if __name__ == "__main__":
    main()
