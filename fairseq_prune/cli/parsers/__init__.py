"""Words and flags of each subcommand, for --help: nothing here imports torch or fairseq."""
