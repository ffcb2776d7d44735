"""Likelihood of data: exact log-likelihood by the probability-flow ODE, ELBO, bits per dim."""

from unnoise.likelihood.bits import Bits, bits_per_dim
from unnoise.likelihood.bound import Bound, elbo
from unnoise.likelihood.divergence import Divergence, ExactTrace, GaussianProbes, Hutchinson
from unnoise.likelihood.flow_ode import Likelihood, log_prob
from unnoise.likelihood.sensitivity import Sensitivity, sensitivity

__all__ = [
    "Bits",
    "Bound",
    "Divergence",
    "ExactTrace",
    "GaussianProbes",
    "Hutchinson",
    "Likelihood",
    "Sensitivity",
    "bits_per_dim",
    "elbo",
    "log_prob",
    "sensitivity",
]
