"""Which key may prove which signature."""

from __future__ import annotations

import pytest
from joserfc.jwk import ECKey, RSAKey

from orion.platform.issuer_keys import fits

P256 = ECKey.generate_key("P-256", {"kid": "k1"})
P384 = ECKey.generate_key("P-384", {"kid": "k1"})
RSA = RSAKey.generate_key(2048, {"kid": "k1"})
NAMED = RSAKey.import_key({**RSA.as_dict(private=False), "alg": "PS256"})


@pytest.mark.parametrize(
    ("key", "algorithms"),
    [(P256, {"ES256"}), (P384, {"ES384"}), (RSA, {"RS256", "PS256"}), (NAMED, {"PS256"})],
    ids=["P-256", "P-384", "RSA", "RSA that names its algorithm"],
)
def test_a_key_is_for_its_own_algorithms_only(key: ECKey | RSAKey, algorithms: set[str]) -> None:
    assert {a for a in ("ES256", "ES384", "RS256", "PS256") if fits(key, a)} == algorithms
