"""The machine: files, processes, signals, memory, threads."""
