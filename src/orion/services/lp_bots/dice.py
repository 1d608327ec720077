"""Chance on a seed: the same names give the same number, whatever else happened in between."""

from __future__ import annotations

import hashlib
from statistics import NormalDist

_NORMAL = NormalDist()


class Dice:
    """One dealer's chance."""

    def __init__(self, seed: int, lp_id: str):
        self._prefix = f"{seed}/{lp_id}/".encode()

    def uniform(self, *names: str) -> float:
        """A number in (0, 1) that belongs to these names."""
        digest = hashlib.blake2b(self._prefix + "/".join(names).encode(), digest_size=8).digest()
        return (int.from_bytes(digest, "big") + 0.5) / 2**64

    def log_normal(self, median: float, sigma: float, *names: str) -> float:
        """A delay: half are below `median`; `sigma` (1 = always the median) stretches the rest."""
        return median * sigma ** _NORMAL.inv_cdf(self.uniform(*names))
