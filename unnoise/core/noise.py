"""Counter-based random number generator: reproducible streams, one for each sample.

A stream is a pure function: the draw depends on (seed, sample index, path of names, position)
and on nothing else, not on the batch a sample happens to sit in, nor on what was drawn before.
So sample 17 of seed 0 is the same image in any batch split, a run can be resumed without saved
generator state, and changing the solver does not change the starting noise.

Positions are hashed (a 128-bit key mixed twice into a 64-bit counter with the finaliser of
splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014);
normals come from uniforms by Box-Muller. Uniforms are bit-equal on every device, normals up to
the last place of log and cos.
"""

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from unnoise.core.errors import InputError, short


def _signed(word: int) -> int:
    """Torch counts modulo 2^64 in signed integers."""
    return word - (1 << 64) if word >= 1 << 63 else word


_STEP = _signed(0x9E3779B97F4A7C15)
_FIRST = _signed(0xBF58476D1CE4E5B9)
_SECOND = _signed(0x94D049BB133111EB)


def _words(digest: bytes) -> tuple[int, int]:
    return (
        int.from_bytes(digest[:8], "little", signed=True),
        int.from_bytes(digest[8:], "little", signed=True),
    )


def _digest(*parts: bytes) -> bytes:
    return blake2b(b"".join(parts), digest_size=16, person=b"unnoise noise 1").digest()


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical shift to the right: torch's own copies the sign."""
    return (z >> bits).bitwise_and_((1 << (64 - bits)) - 1)


class Noise:
    """Independent streams of random numbers, one for each sample.

    Arguments:
        seed: any integer of at most a hundred digits; seeds 0 and 1 share nothing.
        index: the samples' numbers, one for each row of the tensors drawn, e.g. ``range(64)``.

    Drawing is pure: the same call twice gives the same numbers. Fresh ones come from a child
    stream, ``noise.child("walk").child(3).normal(x)``; different paths are independent.

    Attributes:
        seed: as it was given; children have it too.
    """

    def __init__(self, seed: int, index: Sequence[int]) -> None:
        check_seed(seed)
        self.seed = int(seed)
        root = _digest(b"seed", str(self.seed).encode())
        words = [_words(_digest(root, str(int(i)).encode())) for i in index]
        self._streams = torch.tensor(words, dtype=torch.int64).reshape(-1, 2)
        self._path = b""

    def _like(self, streams: Tensor, path: bytes) -> "Noise":
        other = object.__new__(type(self))
        other.seed, other._streams, other._path = self.seed, streams, path
        return other

    def child(self, name: str | int) -> "Noise":
        """The same samples' streams for another purpose, e.g. ``"start"``, ``"walk"`` or 17."""
        return self._like(self._streams, _digest(self._path, b"/", str(name).encode()))

    def __getitem__(self, rows: slice | Tensor) -> "Noise":
        """The streams of some samples only: ``noise[a:b]``."""
        return self._like(self._streams[rows], self._path)

    def __len__(self) -> int:
        return len(self._streams)

    def _hash(self, like: Tensor, count: int, law: bytes) -> Tensor:
        """64 random bits at each of ``count`` positions of each stream, shape (B, count).

        Every law has bits of its own, so that draws of two kinds share nothing.
        """
        if like.ndim == 0 or like.shape[0] != len(self):
            raise InputError(
                f"{len(self)} streams of noise cannot fill a batch of shape {tuple(like.shape)}; "
                "there must be one stream for each row."
            )
        first, second = _words(_digest(self._path, b"law", law))
        keys = self._streams.to(like.device)
        position = torch.arange(1, count + 1, dtype=torch.int64, device=like.device) * _STEP
        z = (keys[:, :1] ^ first) + position
        z.bitwise_xor_(_shift(z, 30)).mul_(_FIRST).bitwise_xor_(keys[:, 1:] ^ second)
        z.bitwise_xor_(_shift(z, 27)).mul_(_SECOND)
        return z.bitwise_xor_(_shift(z, 31))

    def uniform(self, like: Tensor) -> Tensor:
        """Uniform numbers in [0, 1), of the shape, type and device of ``like`` (B, *event)."""
        size = math.prod(like.shape[1:])
        # The mantissa's own width, so that rounding can never give 1.
        bits = 1 - round(math.log2(torch.finfo(like.dtype).eps))
        kind = torch.float64 if like.dtype == torch.float64 else torch.float32
        drawn = _shift(self._hash(like, size, b"uniform"), 64 - bits).to(kind).mul_(2.0**-bits)
        return drawn.reshape(like.shape).to(like.dtype)

    def normal(self, like: Tensor) -> Tensor:
        """Standard normal numbers, of the shape, type and device of ``like`` (B, *event)."""
        size = math.prod(like.shape[1:])
        kind = torch.float64 if like.dtype == torch.float64 else torch.float32
        half = (size + 1) // 2
        z = self._hash(like, half, b"normal")
        # 32 bits for the radius, kept as a small number near zero where the tail is; 32 for the
        # angle.
        radius = z.bitwise_and(0xFFFFFFFF).to(kind).add_(0.5).mul_(2.0**-32)
        radius = radius.log_().mul_(-2.0).clamp_(min=0.0).sqrt_()
        angle = (z >> 32).to(kind).mul_(2 * math.pi * 2.0**-32)
        drawn = torch.cat([radius * torch.cos(angle), radius.mul_(torch.sin(angle))], 1)
        return drawn[:, :size].reshape(like.shape).to(like.dtype)

    def rademacher(self, like: Tensor) -> Tensor:
        """-1 or 1 with equal chances, of the shape, type and device of ``like`` (B, *event)."""
        size = math.prod(like.shape[1:])
        sign = (self._hash(like, size, b"sign") >> 63).mul_(2).add_(1)
        return sign.reshape(like.shape).to(like.dtype)


def permutation(noise: Noise, n: int) -> Tensor:
    """A random permutation of 0 ... n-1 from the first stream of ``noise``, shape (n,), int64."""
    keys = noise[:1].uniform(torch.empty(1, n, dtype=torch.float64))
    return keys[0].argsort(stable=True)


def check_seed(seed: Any) -> None:
    """Check that a seed is a whole number of at most a hundred digits.

    Raises:
        InputError: it is no whole number, of Python or numpy, or has more than a hundred digits.
    """
    whole = isinstance(seed, Integral) and not isinstance(seed, bool)
    if not whole or abs(int(seed)) >= 10**100:
        raise InputError(f"seed = {short(seed)}: give a whole number of at most a hundred digits.")


def key(seed: int, *path: str | int) -> int:
    """A 63-bit seed for other random generators (torch's own, for dropout and weights)."""
    check_seed(seed)
    text = "/".join(map(str, (seed, *path))).encode()
    return int.from_bytes(_digest(b"key", text)[:8], "little") >> 1


@contextmanager
def seeded(seed: int, *path: str | int) -> Generator[None, None, None]:
    """Seed torch's own generators in a context (weight initialisation), and restore their state.

    Arguments:
        seed: any integer.
        path: what the draws are for, e.g. ``"weights"``.
    """
    # torch.manual_seed queues work for devices that are not there, at a millisecond a call.
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(key(seed, *path))
        if devices:
            torch.cuda.manual_seed_all(key(seed, *path))
        yield
