"""Forward (noising) processes: noise schedules, discrete chains, SDEs."""

from unnoise.processes.base import SDE, Process
from unnoise.processes.chains import (
    Betas,
    CosineBetas,
    DDPMChain,
    LinearBetas,
    ListedBetas,
    ScaledLinearBetas,
    SigmoidBetas,
    SMLDChain,
    ZeroTerminalSNR,
)
from unnoise.processes.gaussian import GaussianProcess
from unnoise.processes.ito import ItoSDE, simulate
from unnoise.processes.schedules import EDM, VE, VP, Cosine, Rectified, SubVP

__all__ = [
    "EDM",
    "SDE",
    "VE",
    "VP",
    "Betas",
    "Cosine",
    "CosineBetas",
    "DDPMChain",
    "GaussianProcess",
    "ItoSDE",
    "LinearBetas",
    "ListedBetas",
    "Process",
    "Rectified",
    "SMLDChain",
    "ScaledLinearBetas",
    "SigmoidBetas",
    "SubVP",
    "ZeroTerminalSNR",
    "simulate",
]
