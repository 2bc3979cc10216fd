"""`python -m omnipipe` is the `omnipipe` command; the supervisor starts its children this way."""

from omnipipe.cli import main

if __name__ == "__main__":
    main()
