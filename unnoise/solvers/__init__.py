"""Floor 3: how noise becomes data."""

from unnoise.solvers.ancestral import Ancestral
from unnoise.solvers.base import Leg, Moved, OneStep, Solver, Step, integrate, trajectory
from unnoise.solvers.grids import Grid, grid
from unnoise.solvers.multistep import DPMSolverPP
from unnoise.solvers.ode import Heun
from unnoise.solvers.onestep import DDIM, EulerMaruyama

__all__ = [
    "DDIM",
    "Ancestral",
    "DPMSolverPP",
    "EulerMaruyama",
    "Grid",
    "Heun",
    "Leg",
    "Moved",
    "OneStep",
    "Solver",
    "Step",
    "grid",
    "integrate",
    "trajectory",
]
