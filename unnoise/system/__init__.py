"""Operating system: atomic files, distributed processes, signals, memory, threads."""
