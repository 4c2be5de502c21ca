"""The command ``fairseq-prune``: parsers/NAME.py has the words of a subcommand, NAME.py runs it."""
