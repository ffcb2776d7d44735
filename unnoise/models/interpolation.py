"""Between two latents, as ``OdeModel.interpolate`` goes."""

import torch
from torch import Tensor


def slerp(a: Tensor, b: Tensor, share: float) -> Tensor:
    """Between two latents along the great circle, norms in a straight line.

    Arguments:
        a, b: shape (B, *event).
        share: 0 gives a, 1 gives b.

    References:
        Shoemake, Animating rotation with quaternion curves, SIGGRAPH 1985.
    """
    norms = [v.flatten(1).norm(dim=1).clamp(min=1e-12) for v in (a, b)]
    flat = [v.flatten(1) / norm[:, None] for v, norm in zip((a, b), norms, strict=True)]
    angle = (flat[0] * flat[1]).sum(1).clamp(-1, 1).acos()[:, None]
    weights = torch.sin((1 - share) * angle), torch.sin(share * angle)
    # Of parallel ones any weights on the line will do.
    near = angle < 1e-4
    first, second = (
        torch.where(near, line, weight / angle.sin().clamp(min=1e-12))
        for line, weight in zip((1 - share, share), weights, strict=True)
    )
    turned = first * flat[0] + second * flat[1]
    norm = torch.lerp(norms[0], norms[1], share)[:, None]
    return (turned * norm).reshape(a.shape)
