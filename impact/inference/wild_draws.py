"""Auxiliary weights of the wild bootstrap, in blocks that stay in cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from impact.errors import InferenceError, check_choice

__all__ = ["Law", "WildDraws"]

Floats = NDArray[np.float64]
Law = Literal["auto", "rademacher", "webb", "mammen"]

_CELLS = 2**17
_COARSE_LATTICE = 0.01
_WEBB_POINTS = np.sqrt(np.array([0.5, 1.0, 1.5]))
_MAMMEN_POINTS = np.array([(1 - np.sqrt(5.0)) / 2, (1 + np.sqrt(5.0)) / 2])
_MAMMEN_LOW = (np.sqrt(5.0) + 1) / (2 * np.sqrt(5.0))


@dataclass(frozen=True)
class WildDraws:
    """Draw independent weights of mean zero and variance one for each of M groups.

    Parameters
    ----------
    n_groups : M
    law : "rademacher" (signs), "webb" (six points), "mammen" (two points, third moment one);
        "auto" takes signs unless they give fewer than 100 distinct p-values, then Webb's points
    size : draws asked for
    seed : of the generator

    Notes
    -----
    If 2^(M-1) is no more than ``size``, all sign patterns replace random ones. Since
    t*(-v) = -t*(v), only the half with a positive first sign is produced.

    Source
    ------
    Mammen (1993), Annals of Statistics 21(1); Davidson and Flachaire (2008), Journal of
    Econometrics 146(1); Webb (2023), Canadian Journal of Economics 56(3).
    """

    n_groups: int
    law: Law
    size: int
    seed: int

    def __post_init__(self) -> None:
        check_choice("weights", self.law, ("auto", "rademacher", "webb", "mammen"), InferenceError)
        if self.size < 1:
            raise InferenceError(
                f"draws, the number of bootstrap draws, is at least 1; it was {self.size}."
            )

    @property
    def kind(self) -> str:
        """Law used, with "auto" settled."""
        if self.law != "auto":
            return self.law
        return "rademacher" if self._sign_lattice <= _COARSE_LATTICE else "webb"

    @property
    def enumerated(self) -> bool:
        """Whether all sign patterns are used instead of random draws."""
        return self.kind == "rademacher" and self._sign_lattice * self.size >= 1

    @property
    def lattice(self) -> float:
        """Smallest p-value that the draws can give."""
        if self.enumerated:
            return self._sign_lattice
        points = {"rademacher": self._sign_lattice, "webb": 2 * 6.0**-self.n_groups}
        return max(points.get(self.kind, 2.0**-self.n_groups), 1.0 / (1 + self.size))

    @property
    def _sign_lattice(self) -> float:
        return 2.0 ** (1 - self.n_groups)

    def blocks(self) -> Iterator[Floats]:
        """Yield the weights, shape (M, draws of the block)."""
        total = 2 ** (self.n_groups - 1) if self.enumerated else self.size
        width = max(64, _CELLS // self.n_groups)
        rng = np.random.default_rng(self.seed)
        for start in range(0, total, width):
            stop = min(start + width, total)
            if self.enumerated:
                yield _sign_patterns(self.n_groups, start, stop)
            else:
                yield _random(rng, self.kind, (self.n_groups, stop - start))


def _sign_patterns(n_groups: int, start: int, stop: int) -> Floats:
    bits = np.arange(start, stop) >> np.arange(n_groups)[:, None] & 1
    signs = 1.0 - 2.0 * bits
    return np.asarray(signs[::-1])


def _random(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> Floats:
    cells = shape[0] * shape[1]
    if kind == "rademacher":
        octets = rng.integers(0, 256, -(-cells // 8), dtype=np.uint8)
        bits: Floats = np.unpackbits(octets, count=cells).reshape(shape).astype(np.float64)
        return 1.0 - 2.0 * bits
    if kind == "webb":
        points = np.concatenate((-_WEBB_POINTS, _WEBB_POINTS))
        return np.asarray(points[rng.integers(0, 6, shape, dtype=np.int8)])
    return np.asarray(np.where(rng.random(shape) < _MAMMEN_LOW, *_MAMMEN_POINTS))
