"""The command line. No module here imports torch before a command runs."""
