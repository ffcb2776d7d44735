"""The old place of ``unnoise.views``; goes with 1.0."""

from unnoise.catalogue.renamed import old_names

__getattr__ = old_names(__name__, {"Drawn": "unnoise.views:Drawn", "View": "unnoise.views:View"})
