"""The registry of named parts, their tables and the checks at their construction."""
