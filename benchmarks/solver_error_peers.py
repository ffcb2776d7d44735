"""The solvers of other libraries on one problem, each at its best of many settings."""

import importlib.util
import math
import sys
import types
import warnings
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Denoise = Callable[[Tensor, float], Tensor]
Run = Callable[[Denoise, Tensor, Tensor], Tensor]


def k_diffusion() -> dict[str, Run]:
    """Solvers of k-diffusion: its sampling file alone, which needs little of its package."""
    found = importlib.util.find_spec("k_diffusion")
    if found is None or not found.submodule_search_locations:
        print("k-diffusion is not installed; left out.")
        return {}
    for name in ("torchdiffeq", "torchsde"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["torchdiffeq"].odeint = None  # pyright: ignore
    package = types.ModuleType("k_diffusion_alone")
    package.__path__ = list(found.submodule_search_locations)
    sys.modules["k_diffusion_alone"] = package
    utils = types.ModuleType("k_diffusion_alone.utils")
    utils.append_dims = lambda x, n: x.reshape(x.shape + (1,) * (n - x.ndim))  # pyright: ignore
    sys.modules["k_diffusion_alone.utils"] = utils
    sampling = importlib.import_module("k_diffusion_alone.sampling")
    for name in ("torchdiffeq", "torchsde"):
        del sys.modules[name]  # only stand-ins: others look for the real ones

    def of(function: Callable, **how: object) -> Run:
        def run(denoise: Denoise, x: Tensor, sigmas: Tensor) -> Tensor:
            def model(x: Tensor, sigma: Tensor) -> Tensor:
                return denoise(x, float(sigma[0]))

            return function(model, x, sigmas, disable=True, **how)

        return run

    return {
        "k-diffusion euler": of(sampling.sample_euler),
        "k-diffusion heun": of(sampling.sample_heun),
        "k-diffusion dpmpp_2m": of(sampling.sample_dpmpp_2m),
        "k-diffusion lms 4": of(sampling.sample_lms, order=4),
        "k-diffusion lms 3": of(sampling.sample_lms, order=3),
    }


def azula() -> dict[str, Run]:
    """Solvers of azula under alpha = 1, sigma = t."""
    try:
        from azula import denoise as beliefs
        from azula import noise, sample
    except ImportError as error:
        print(f"azula is not usable ({error}); left out.")
        return {}

    class Schedule(noise.Schedule):
        def forward(self, t: Tensor):
            return torch.ones_like(t), t

        __call__ = forward

    class Exact(beliefs.Denoiser):
        def __init__(self, known: Denoise):
            super().__init__()
            self.schedule, self.known = Schedule(), known

        def forward(self, x_t: Tensor, t: Tensor, **_: object):
            return beliefs.DiracPosterior(self.known(x_t, float(t)))

    def of(kind: type, **how: object) -> Run:
        def run(denoise: Denoise, x: Tensor, sigmas: Tensor) -> Tensor:
            made = type("Own", (kind,), {"timesteps": property(lambda self: sigmas)})
            sampler = made(Exact(denoise), steps=len(sigmas) - 1, silent=True, **how)
            return sampler(x)

        return run

    found: dict[str, Run] = {"azula DDIM": of(sample.DDIMSampler)}
    for name in ("zAB", "vAB", "zEAB", "xEAB"):
        for order in (2, 3, 4):
            found[f"azula {name} {order}"] = of(getattr(sample, f"{name}Sampler"), order=order)
    return found


def diffusers() -> dict[str, Run]:
    """DPM-Solver++ of diffusers in its EDM form, with sigmas of our choice."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from diffusers import EDMDPMSolverMultistepScheduler as Scheduler
    except ImportError as error:
        print(f"diffusers is not usable ({error}); left out.")
        return {}

    def of(order: int) -> Run:
        def run(denoise: Denoise, x: Tensor, sigmas: Tensor) -> Tensor:
            made = Scheduler(
                sigma_min=float(sigmas[-2]),
                sigma_max=float(sigmas[0]),
                sigma_data=0.5,
                solver_order=order,
                final_sigmas_type="zero",
            )
            made.set_timesteps(len(sigmas) - 1)
            made.sigmas = sigmas
            made.timesteps = made.precondition_noise(sigmas[:-1].clamp(min=1e-8))
            for t, sigma in zip(made.timesteps, sigmas[:-1].tolist(), strict=True):
                # The scheduler undoes EDM's preconditioning; give it what a network would say.
                total = sigma**2 + 0.25
                raw = denoise(x, sigma) - x * 0.25 / total
                x = made.step(raw / (sigma * 0.5 / math.sqrt(total)), t, x).prev_sample
            return x

        return run

    return {f"diffusers DPM-Solver++ {order}": of(order) for order in (1, 2, 3)}


CALLS = {"k-diffusion heun": 2}


def spacings(count: int, high: float) -> Iterator[tuple[str, Tensor]]:
    """Grids of ``count`` noisy sigmas and a 0, as people use them."""
    for low in (0.002, 0.01, 0.03, 0.1):
        for rho in (3.0, 5.0, 7.0):
            steps = torch.linspace(high ** (1 / rho), low ** (1 / rho), count).double() ** rho
            steps[0] = high
            yield f"rho {rho:g}, {low:g}", torch.cat([steps, torch.zeros(1).double()])
        steps = torch.linspace(math.log(high), math.log(low), count).double().exp()
        steps[0] = high
        yield f"log, {low:g}", torch.cat([steps, torch.zeros(1).double()])


def grids(solver: str, calls: int, high: float) -> Iterator[tuple[str, Tensor]]:
    """Grids that cost ``calls`` network calls at most, for a solver."""
    count = calls if CALLS.get(solver, 1) == 1 else (calls + 1) // 2
    if count >= 2:
        yield from spacings(count, high)


def all_peers() -> dict[str, Run]:
    return {**k_diffusion(), **azula(), **diffusers()}
