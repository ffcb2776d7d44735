"""Floor 3: how probable data is."""

from unnoise.likelihood.bits import Bits, bits_per_dim
from unnoise.likelihood.bound import Bound, elbo
from unnoise.likelihood.divergence import Divergence, ExactTrace, Hutchinson
from unnoise.likelihood.flow_ode import Likelihood, log_prob

__all__ = [
    "Bits",
    "Bound",
    "Divergence",
    "ExactTrace",
    "Hutchinson",
    "Likelihood",
    "bits_per_dim",
    "elbo",
    "log_prob",
]
