"""Contract tests of a Gaussian process (noise schedule)."""

from abc import ABC
from collections.abc import Callable

import torch
from torch import Tensor

from unnoise.core.distributions import Normal
from unnoise.processes import GaussianProcess
from unnoise.testing.compare import draw, slope, smooth_times, times_of, worst


class ProcessContract(ABC):
    """Contract tests for every Gaussian process (noise schedule).

    Attributes:
        make: returns the process under test.
    """

    make: Callable[[], GaussianProcess]

    def triples(self, process: GaussianProcess) -> tuple[Tensor, Tensor, Tensor]:
        """Times s < u < t of all sizes, the last of them 1."""
        t = times_of(process, 23)
        return t[:-2], t[1:-1], t[2:]

    def test_check_passes(self) -> None:
        process = self.make()
        process.check()
        assert 0 < process.t_min < process.t_max <= 1
        assert process.scales(process.t_max)[0] > 0

    def test_zero_is_the_data(self) -> None:
        process, x0 = self.make(), draw(3, 2)
        t = torch.tensor([0.0, 0.5, 0.0], dtype=torch.float64)
        alpha, sigma = process.scales(t)
        assert alpha[[0, 2]].tolist() == [1, 1] and sigma[[0, 2]].tolist() == [0, 0]
        assert torch.equal(process.forward(x0, t).mean[::2], x0[::2])
        assert process.forward(x0, 0.0).variance.abs().max() == 0

    def test_noise_grows(self) -> None:
        process = self.make()
        t = times_of(process, 1001)
        alpha, sigma = process.scales(t)
        assert (alpha >= 0).all() and (sigma > 0).all()
        assert (process.angle(t).diff() > 0).all()
        assert (process.log_snr(t).diff() < 0).all()

    def test_times_of_any_shape(self) -> None:
        process = self.make()
        t = times_of(process, 12)[:18].reshape(2, 3, 3)
        for function in (process.alpha, process.sigma):
            assert torch.equal(function(t).flatten(), function(t.flatten()))
            assert function(t[0, 0, 0]).shape == ()

    def test_rates_are_derivatives(self) -> None:
        process = self.make()
        t = smooth_times(process)
        for rate, function in zip(process.rates(t), (process.alpha, process.sigma), strict=True):
            size = function(t).abs() / torch.minimum(t, 1 - t)
            assert worst(rate, slope(function, t), scale=size) < 1e-9

    def test_transitions_compose(self) -> None:
        process = self.make()
        s, u, t = self.triples(process)
        (a_su, v_su), (a_ut, v_ut) = process.transition(s, u), process.transition(u, t)
        a, v = process.transition(s, t)
        assert worst(a_su * a_ut, a, scale=a_su) < 1e-12
        assert worst(v_ut + a_ut**2 * v_su, v, scale=process.scales(t)[1] ** 2) < 1e-12

    def test_transitions_lead_to_the_marginal(self) -> None:
        process = self.make()
        s, _, t = self.triples(process)
        s = torch.cat([torch.zeros(1).double(), s[1:]])
        a, v = process.transition(s, t)
        (alpha_s, sigma_s), (alpha_t, sigma_t) = process.scales(s), process.scales(t)
        assert worst(a * alpha_s, alpha_t) < 1e-12
        assert worst(a**2 * sigma_s**2 + v, sigma_t**2) < 1e-12
        assert (v >= 0).all()

    def test_bridge_averages_to_the_marginal(self) -> None:
        """Over x_t and an exact Gaussian belief about x_0, the bridge gives p_s, for every eta."""
        process = self.make()
        middle, spread = 0.7, 0.3
        s, _, t = self.triples(process)
        s = torch.cat([torch.zeros(1).double(), s[1:]])
        (alpha_s, sigma_s), (alpha_t, sigma_t) = process.scales(s), process.scales(t)
        total = alpha_t**2 * spread + sigma_t**2
        gain = alpha_t * spread / total

        def believed(x: Tensor) -> Normal:
            return Normal(middle + gain * (x - alpha_t * middle), sigma_t**2 * spread / total)

        for eta in (0.0, 0.3, 1.0):
            at = [alpha_t * middle, alpha_t * middle + 1]
            mean, ahead = (process.bridge(believed(x), x, t, s, eta) for x in at)
            var = mean.variance + (ahead.mean - mean.mean) ** 2 * total
            assert worst(mean.mean, alpha_s * middle, scale=1.0) < 1e-12
            assert worst(var, alpha_s**2 * spread + sigma_s**2) < 1e-12

    def test_bridge_is_bayes(self) -> None:
        """At eta = 1 the bridge is Bayes' posterior: transition times marginal, normalised."""
        process = self.make()
        s, _, t = self.triples(process)
        x0, x = draw(len(s), name="x0"), draw(len(s), name="x")
        (a, v), (alpha, sigma) = process.transition(s, t), process.scales(s)
        share = v / (v + a**2 * sigma**2)
        mean = share * alpha * x0 + (1 - share) * x / torch.where(a > 0, a, 1)
        mean = torch.where(a > 0, mean, alpha * x0)
        bridge = process.bridge(Normal(x0), x, t, s)
        scale = mean.abs() + sigma * (x / process.scales(t)[1]).abs()
        assert worst(bridge.mean, mean, scale=scale) < 1e-10
        assert worst(bridge.variance, share * sigma**2) < 1e-10

    def test_drift_and_diffusion_move_the_moments(self) -> None:
        """alpha' = f alpha and (sigma^2)' = 2 f sigma^2 + g^2."""
        process = self.make()
        t = smooth_times(process, end=min(process.t_max, 0.995))
        x = torch.ones(len(t), dtype=torch.float64)
        f, g = process.drift(x, t), process.diffusion(t)
        alpha, sigma = process.scales(t)
        size = 1 / torch.minimum(t, 1 - t)
        assert worst(f * alpha, slope(process.alpha, t), scale=size * alpha) < 1e-9
        growth = slope(lambda t: process.sigma(t) ** 2, t)
        assert worst(2 * f * sigma**2 + g**2, growth, scale=size * sigma**2) < 1e-9

    def test_time_inverts_angle(self) -> None:
        process = self.make()
        t = times_of(process)
        again = process.time(process.angle(t))
        assert worst(process.angle(again), process.angle(t), scale=1.0) < 1e-14
        assert worst(again, t, scale=1.0) < 1e-9

    def test_conversions(self) -> None:
        """From x_t = alpha x_0 + sigma eps: eps, the score, dx/dt and d(x / rho) / d(phi)."""
        process = self.make()
        t = smooth_times(process)
        x0, eps = draw(len(t), 2, name="x0"), draw(len(t), 2, name="eps")
        alpha, sigma = process.scales(t, x0)
        x = alpha * x0 + sigma * eps
        small = 1 + (alpha / sigma) * x0.abs() + eps.abs()
        assert worst(process.noise(x0, x, t), eps, scale=small) < 1e-14
        assert worst(process.score(x0, x, t), -eps / sigma, scale=small / sigma) < 1e-14
        path = slope(process.alpha, t)[:, None] * x0 + slope(process.sigma, t)[:, None] * eps
        size = small * (1 + alpha + sigma) / torch.minimum(t, 1 - t)[:, None]
        assert worst(process.velocity(x0, x, t), path, scale=size) < 1e-9
        phi = process.angle(t)[:, None]
        turn = phi.cos() * eps - phi.sin() * x0
        assert worst(process.turning(x0, x, t), turn, scale=small / alpha.clamp(max=1)) < 1e-13

    def test_samples_have_their_own_times(self) -> None:
        process, x = self.make(), draw(3, 2)
        t = torch.tensor([0.1, 0.6, 0.9], dtype=torch.float64)
        s = t / 2
        together = process.bridge(Normal(x), x, t, s)
        for i in range(3):
            row = x[i : i + 1]
            alone = process.bridge(Normal(row), row, t[i], s[i])
            assert torch.equal(together.mean[i : i + 1], alone.mean)
            assert torch.equal(process.drift(x, t)[i : i + 1], process.drift(row, t[i]))

    def test_cast_once(self) -> None:
        """Scales reach float32 data with one rounding, from the smallest times on."""
        process = self.make()
        t = times_of(process, 501)
        exact = process.scales(t)
        cast = process.scales(t, torch.zeros(len(t), 1))
        for wanted, got in zip(exact, cast, strict=True):
            assert got.dtype == torch.float32
            assert worst(got[:, 0].double(), wanted) <= 2.4e-7

    def test_prior_is_the_end(self) -> None:
        process = self.make()
        prior, end = process.prior((4, 2)), process.forward(torch.zeros(4, 2), 1.0)
        assert torch.equal(prior.mean, end.mean)
        assert worst(prior.variance, end.variance) < 1e-6
