"""Floor 7: the command line. No module here imports torch before a command runs."""
