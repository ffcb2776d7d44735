"""Photographs of the user's own: listed, checked, decoded, prepared, in shards."""
