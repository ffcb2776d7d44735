"""Registry of named components, built from config tables and validated at construction."""
