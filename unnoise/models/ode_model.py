"""Models with a probability-flow ODE: sampling, likelihood, bound, inversion."""

from abc import ABC
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, final

import torch
from torch import Tensor
from typing_extensions import Unpack

from unnoise.catalogue.ranges import LAST_SAMPLE, MOST_DRAWS, MOST_STEPS, whole
from unnoise.catalogue.registry import member
from unnoise.catalogue.schema import check_keywords
from unnoise.core.condition import Condition
from unnoise.core.errors import InputError
from unnoise.core.noise import Noise
from unnoise.denoisers import ClassifierFree, GaussianDenoiser, Guidance, NetworkDenoiser
from unnoise.likelihood import Bound, Likelihood, Sensitivity, elbo, log_prob, sensitivity
from unnoise.likelihood.given import check_answer, check_data
from unnoise.models.base import Generative
from unnoise.models.branches import check_branches
from unnoise.models.conditions import Asked, Conditions
from unnoise.models.guides import Guide, by_weaker
from unnoise.models.interpolation import slerp
from unnoise.models.plan import Plan, plan
from unnoise.models.request import SampleKeywords, SampleRequest
from unnoise.networks import Network
from unnoise.processes import GaussianProcess
from unnoise.solvers import DormandPrince, Solver, Step, grid, integrate
from unnoise.spaces.moments import Moments
from unnoise.system.modes import evaluating, plain_modes, usable
from unnoise.system.progress import counting

AT_ONCE = 256  # rows whose likelihood is computed together
_LIKELIHOOD = ("t", "end", "steps", "divergence", "progress")
_BOUND = ("steps", "draws", "levels", "low", "high", "progress")


class OdeModel(Generative, ABC):
    """Base class of models with a probability-flow ODE: samples, likelihoods and latents.

    Attributes:
        denoiser: what believes.
    """

    sampling_kind: ClassVar[str | None] = "walk"
    denoiser: NetworkDenoiser

    @final
    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @final
    @property
    def network(self) -> Network:
        return self.denoiser.network

    @final
    @property
    def process(self) -> GaussianProcess:
        return self.denoiser.process

    @final
    def as_guide(self) -> Guide:
        """Autoguidance: away from this model, which is the weaker one."""
        return by_weaker(self.eval())

    # -- sampling -------------------------------------------------------------------------------

    @final
    def plan(self, request: SampleRequest, denoiser: GaussianDenoiser | None = None) -> Plan:
        """Check a request and plan its walk once, for any of its samples; draws nothing.

        Arguments:
            request: what is asked.
            denoiser: in place of the model's own, such as one that shares its calls with others.
        """
        with plain_modes(self.device.type):
            return plan(self, request, denoiser)

    @final
    def sample(
        self,
        n: int,
        cond: Condition | None = None,
        *,
        progress: bool | None = None,
        **keywords: Unpack[SampleKeywords],
    ) -> Tensor:
        """Draw samples. Sample k of a seed is the same whatever ``n`` and ``first`` are.

        Arguments:
            n, cond, keywords: as of ``SampleRequest``.
            progress: whether a line shows how far it is, as of ``unnoise.progress``.

        Returns:
            Modelled values, shape (n, *event), float32; ``model.info.to_bytes`` makes pictures.

        Raises:
            InputError: before the first network call, when an argument cannot be used.
            NumbersError: the samples hold NaN or infinite numbers.
        """
        return self.plan(SampleRequest.of(n, cond, keywords)).sample(progress=progress)

    @final
    def walk(
        self, n: int, cond: Condition | None = None, **keywords: Unpack[SampleKeywords]
    ) -> Iterator[Step]:
        """The steps that ``sample`` takes, for films and progress; arguments as there."""
        return self.plan(SampleRequest.of(n, cond, keywords)).walk()

    @final
    def vary(
        self,
        x: Tensor,
        strength: float = 0.5,
        *,
        progress: bool | None = None,
        **keywords: Unpack[SampleKeywords],
    ) -> Tensor:
        """Variations of given data: some of the way to noise, and back another way.

        Arguments:
            x: modelled values, shape (B, *event).
            strength: share of the way, in angle: near 0 keeps everything, 1 nothing.
            progress, keywords: as of ``sample``.

        Returns:
            One for each, shape (B, *event); another ``seed`` gives others.

        References:
            Meng et al., SDEdit, ICLR 2022, algorithm 1.
        """
        check_data(x, "the data to vary", self.shape)
        return self.sample(len(x), progress=progress, **{**keywords, "near": (x, strength)})

    # -- likelihood -----------------------------------------------------------------------------

    @final
    def likelihood(
        self,
        x: Tensor,
        cond: Condition | None = None,
        *,
        label: Asked = None,
        seed: int = 0,
        guidance: Guidance | float = 1.0,
        first: int = 0,
        progress: bool | None = None,
        **how: Any,
    ) -> Likelihood:
        """Log-density of modelled values by the probability-flow ODE.

        Arguments:
            x: modelled values, shape (B, *event); of discrete data dequantised ones.
            cond, label: conditions; without them a model with labels answers unconditionally.
            seed: of the probes.
            guidance: of the law that is asked about; 1 is the one that was trained.
            first: number of the first row, among whose probes it takes its own.
            progress: whether a line shows how far it is, as of ``unnoise.progress``.
            how: ``t``, ``end``, ``steps`` and ``divergence`` of ``unnoise.log_prob``.
        """
        check_keywords("likelihood", how, _LIKELIHOOD)
        first = whole(first, "first", 0, LAST_SAMPLE)
        results: list[Likelihood] = []
        with (
            self._given(x, cond, label, guidance) as (x, cond, denoiser),
            counting("likelihood", -(-len(x) // AT_ONCE), "parts", progress) as count,
        ):
            for rows in torch.arange(len(x)).split(AT_ONCE):
                some = None if cond is None else cond[rows]
                noise = Noise(seed, (rows + first).tolist())
                found = log_prob(denoiser, x[rows], some, noise=noise, data=self.moments(), **how)
                results.append(found)
                count()
        parts = [(each.log_prob, each.standard_error, each.latent) for each in results]
        values, errors, latents = (torch.cat(part) for part in zip(*parts, strict=True))
        return Likelihood(values, errors, latents, results[0].calls)

    @final
    def log_prob(self, x: Tensor, cond: Condition | None = None, **how: Any) -> Tensor:
        """Log-density of modelled values in nats, shape (B,); arguments as in ``likelihood``."""
        return self.likelihood(x, cond, **how).log_prob

    @final
    def sensitivity(
        self,
        x: Tensor,
        cond: Condition | None = None,
        *,
        label: Asked = None,
        seed: int = 0,
        guidance: Guidance | float = 1.0,
        **how: Any,
    ) -> Sensitivity:
        """How much ``likelihood`` depends on its steps and ends; arguments as there."""
        check_keywords("sensitivity", how, [name for name in _LIKELIHOOD if name != "end"])
        with self._given(x, cond, label, guidance) as (x, cond, denoiser):
            noise = Noise(seed, range(len(x)))
            return sensitivity(denoiser, x, cond, noise=noise, data=self.moments(), **how)

    @final
    def elbo(
        self,
        x: Tensor,
        cond: Condition | None = None,
        *,
        label: Asked = None,
        seed: int = 0,
        **how: Any,
    ) -> Bound:
        """The variational bound of discrete or continuous data, in nats and bits a dimension.

        Arguments:
            x: modelled values, shape (B, *event).
            cond, label, seed: as in ``likelihood``.
            how: ``steps``, ``draws`` and ``progress`` of ``unnoise.elbo``; levels are those of the
                model's data.
        """
        check_keywords("elbo", how, _BOUND)
        if self.space.ends is not None:
            low, high = self.space.ends
            how = {"levels": self.space.levels, "low": low, "high": high, **how}
        with self._given(x, cond, label, 1.0) as (x, cond, denoiser):
            return elbo(denoiser, x, cond, noise=Noise(seed, range(len(x))), **how)

    # -- latent space ---------------------------------------------------------------------------

    @final
    def encode(self, x: Tensor, cond: Condition | None = None, **how: Any) -> Tensor:
        """Noise that the probability-flow ODE turns into ``x``; ``decode`` is its inverse.

        Arguments:
            x: modelled values, shape (B, *event).
            cond: conditions, one row for each.
            how: ``label`` and ``guidance`` as in ``likelihood``; ``solver``, one that walks both
                ways (default ``DormandPrince()``); ``steps`` between the ends, even in log SNR, of
                which a solver with steps of its own needs one; ``progress`` as in ``sample``.

        Returns:
            The state at t = 1, shape (B, *event).

        Raises:
            InputError: the solver only walks back, or the states hold NaN.
            NumbersError: it ends in NaN or infinite numbers.
        """
        return self._carry(x, cond, True, **how)

    @final
    def decode(self, latent: Tensor, cond: Condition | None = None, **how: Any) -> Tensor:
        """The data, at t_min, of a latent (B, *event); arguments as in ``encode``."""
        return self._carry(latent, cond, False, **how)

    @final
    def interpolate(
        self, x: Tensor, y: Tensor, count: int = 8, *, progress: bool | None = None, **how: Any
    ) -> Tensor:
        """From ``x`` to ``y`` along a great circle of their latents, decoded.

        Arguments:
            x, y: modelled values, shape (B, *event).
            count: of them, ends included, at least 2.
            progress: as of ``sample``.
            how: as in ``encode``.

        Returns:
            Shape (count, B, *event).

        References:
            Song et al., Denoising diffusion implicit models, ICLR 2021, section 5.3.
        """
        count = whole(count, "count", 2, MOST_DRAWS)
        for end in (x, y):
            check_data(end, "the data", self.shape)
        if len(x) != len(y):
            raise InputError(f"between {len(x)} and {len(y)} data: give two batches of one shape.")
        with counting("interpolating", count + 2, "walks", progress) as walked:
            a, b = self.encode(x, **how), self.encode(y, **how)
            walked(2)
            way: list[Tensor] = []
            for share in torch.linspace(0, 1, count).tolist():
                way.append(self.decode(slerp(a, b, share), **how))
                walked()
        return torch.stack(way)

    @final
    def _carry(
        self,
        x: Tensor,
        cond: Condition | None,
        outward: bool,
        *,
        label: Asked = None,
        guidance: Guidance | float = 1.0,
        solver: Solver | str = DormandPrince(),
        steps: int = 1,
        progress: bool | None = None,
        **unknown: Any,
    ) -> Tensor:
        """The state at the other end of the flow: ``outward`` the noise, else the data at t_min."""
        check_keywords("this", unknown, ("cond", "label", "guidance", "solver", "steps"))
        with self._given(x, cond, label, guidance, latent=not outward) as (x, cond, denoiser):
            used: Solver = member(Solver, solver)
            if not used.both_ways:
                raise InputError(
                    f"solver {type(used).__name__} only walks back; encoding needs one of an ODE "
                    'that walks both ways: "dopri5", "euler", "heun" or "rk4".'
                )
            steps = whole(steps, "steps", 1, MOST_STEPS - 1)
            times = grid(self.process, steps + 1)[:-1]
            way = times.flip(0) if outward else times
            found = integrate(used, denoiser, x, way, cond, progress=progress)
            check_answer(found, "the state at the end of the flow", x)
            return found

    @final
    @contextmanager
    def _given(
        self,
        x: Tensor,
        cond: Condition | None,
        label: Asked,
        guidance: Guidance | float,
        latent: bool = False,
    ) -> Generator[tuple[Tensor, Condition | None, GaussianDenoiser]]:
        """Data and condition, checked, and the denoiser that is meant, ``still`` meanwhile."""
        check_data(x, "the latent" if latent else "the data", self.shape)
        if not latent:
            low, high = self.space.range or (0.0, 0.0)
            # Twice the room of other doors: samples of a model that has learned little are asked.
            self.space.check_range(x, "the data", (high - low) / 2)
        free = cond is None and label is None
        asked = Conditions(self.network, len(x), cond, label, known=self.labels, hidden=free)
        cond = asked[torch.arange(len(x))]
        denoiser = ClassifierFree(self.denoiser, guidance, self.network.guided)
        check_branches(self, denoiser.guidance, asked.hidden)
        if next(self.parameters()).is_inference():
            raise InputError(
                "this model was made inside torch.inference_mode(), so nothing can be "
                "differentiated; make or load it outside."
            )
        with self.still(self.sampling.threads):
            wide = next(self.parameters()).dtype == torch.float64
            x = usable(x).to(self.device, torch.float64 if wide else torch.float32)
            if cond is not None:
                cond = self.network.prepared(cond.to(self.device))
            yield x, cond, denoiser

    # -- details --------------------------------------------------------------------------------

    @final
    def moments(self) -> Moments | None:
        """Mean and covariance of the data it was trained on; None before."""
        return None if self.info is None else self.info.moments()

    @final
    @contextmanager
    def still(self, threads: int | None) -> Generator[None]:
        """Evaluation without gradients, in a fixed number of threads; all put back after."""
        with evaluating(self, self.device.type, threads):
            yield
