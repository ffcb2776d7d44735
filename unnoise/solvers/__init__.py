"""Samplers: solvers of the reverse SDE and the probability-flow ODE, and their time grids."""

from unnoise.catalogue.renamed import old_names
from unnoise.solvers.ancestral import Ancestral
from unnoise.solvers.auto import AutoGrid, GaussianExponential
from unnoise.solvers.base import Leg, Moved, OneStep, Solver, Step, integrate, trajectory
from unnoise.solvers.ddim import DDIM
from unnoise.solvers.deis import DEIS
from unnoise.solvers.dormand_prince import DormandPrince
from unnoise.solvers.dpm_solver import DPMSolverPP
from unnoise.solvers.dps import DPS
from unnoise.solvers.euler_maruyama import EulerMaruyama
from unnoise.solvers.grids import Grid, grid
from unnoise.solvers.karras import Churned
from unnoise.solvers.langevin import Corrector, Langevin, LangevinPaper, langevin
from unnoise.solvers.predictor_corrector import PredictorCorrector, Stay, annealed_langevin
from unnoise.solvers.repaint import Replacing, Settled
from unnoise.solvers.reverse_diffusion import ReverseDiffusion
from unnoise.solvers.runge_kutta import RK4, Euler, Heun
from unnoise.solvers.twisted import TDS
from unnoise.solvers.unipc import UniPC

__all__ = [
    "DDIM",
    "DEIS",
    "DPS",
    "RK4",
    "TDS",
    "Ancestral",
    "GaussianExponential",
    "AutoGrid",
    "Churned",
    "PredictorCorrector",
    "Corrector",
    "DPMSolverPP",
    "DormandPrince",
    "Euler",
    "EulerMaruyama",
    "Grid",
    "Heun",
    "Langevin",
    "LangevinPaper",
    "Leg",
    "Moved",
    "OneStep",
    "Replacing",
    "ReverseDiffusion",
    "Settled",
    "Solver",
    "Stay",
    "Step",
    "UniPC",
    "annealed_langevin",
    "grid",
    "integrate",
    "langevin",
    "trajectory",
]

__getattr__ = old_names(
    __name__, {"Auto": "GaussianExponential", "Corrected": "PredictorCorrector"}
)
