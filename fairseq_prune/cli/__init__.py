"""The command ``fairseq-prune``: one file a subcommand, each parses, calls one function, prints."""
