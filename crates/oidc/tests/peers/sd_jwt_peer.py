"""What the PyPI package sd-jwt makes of our membership credentials: as a verifier of the credential and of our wallet's presentation, and
as a holder whose presentation our verifier judges. Exhibits as JSON on standard input, findings as JSON on standard output.

Usage: python3 sd_jwt_peer.py PACKAGES
"""

import base64
import json
import sys

sys.path.insert(0, sys.argv[1])
from cryptography.hazmat.primitives.serialization import load_der_private_key
from jwcrypto.jwk import JWK
from sd_jwt.holder import SDJWTHolder
from sd_jwt.verifier import SDJWTVerifier

exhibits = json.load(sys.stdin)
issuer = JWK.from_json(json.dumps(exhibits["issuer"]))


def attempt(text, *expected):
    try:
        verifier = SDJWTVerifier(text, lambda _issuer, _header: issuer, *expected)
        return {"accepted": True, "claims": verifier.get_verified_payload()}
    except Exception as error:  # whatever it is, the peer refuses
        return {"accepted": False, "why": f"{type(error).__name__}: {error}"}


raw = exhibits["holder"]
secret = load_der_private_key(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)), password=None)
holder = SDJWTHolder(exhibits["credential"])
holder.create_presentation({"age_band": True}, exhibits["nonce"], exhibits["audience"], JWK.from_pyca(secret), "ES256")
print(
    json.dumps(
        {
            "credential": attempt(exhibits["credential"]),
            "presentation": attempt(exhibits["presentation"], exhibits["audience"], exhibits["nonce"]),
            "another_nonce": attempt(exhibits["presentation"], exhibits["audience"], "another"),
            "presented": holder.sd_jwt_presentation,
        }
    )
)
