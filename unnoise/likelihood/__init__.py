"""Floor 3: how probable data is."""

from unnoise.likelihood.bits import Bits, bits_per_dim
from unnoise.likelihood.divergence import Divergence, ExactTrace, Hutchinson
from unnoise.likelihood.flow_ode import Likelihood, log_prob

__all__ = [
    "Bits",
    "Divergence",
    "ExactTrace",
    "Hutchinson",
    "Likelihood",
    "bits_per_dim",
    "log_prob",
]
