"""Floor 1: the machine: files, processes, signals, memory, threads."""
