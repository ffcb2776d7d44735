"""Floor 3: how noise becomes data."""

from unnoise.solvers.adams import DEIS, DPMSolverPP, UniPC
from unnoise.solvers.adaptive import DormandPrince
from unnoise.solvers.ancestral import Ancestral
from unnoise.solvers.autogrid import AutoGrid
from unnoise.solvers.base import Leg, Moved, OneStep, Solver, Step, integrate, trajectory
from unnoise.solvers.correctors import Corrector, Langevin, LangevinPaper, langevin
from unnoise.solvers.exponential import Auto
from unnoise.solvers.grids import Grid, grid
from unnoise.solvers.imputing import DPS, Replacing, Settled
from unnoise.solvers.ode import RK4, Euler, Heun
from unnoise.solvers.onestep import DDIM, ReverseDiffusion
from unnoise.solvers.particles import TDS
from unnoise.solvers.sde import EulerMaruyama
from unnoise.solvers.wrappers import Churned, Corrected, Stay, annealed_langevin

__all__ = [
    "DDIM",
    "DEIS",
    "DPS",
    "RK4",
    "TDS",
    "Ancestral",
    "Auto",
    "AutoGrid",
    "Churned",
    "Corrected",
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
