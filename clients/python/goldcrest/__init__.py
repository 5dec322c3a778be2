"""Goldcrest for Python backends: signed URLs, Data Units, callbacks. Standard library only.

    signer = Signer("https://img.example.com", key=KEY, salt=SALT)
    signer.url("https://example.com/cat.jpg", "rs:fit:480:0/net:2g", ttl=3600)

    api = Client("http://goldcrest.internal:8081", TOKEN)
    answer = api.prewarm(units, variants=["lite", "std"], key=task_id)

    event = verify_webhook(SECRET, headers, body)      # in the view that receives the callbacks
"""

from .api import Client, Refused, Unit
from .sign import Signer, expiry
from .webhook import BadSignature, StaleSignature, verify_webhook

__all__ = ["BadSignature", "Client", "Refused", "Signer", "StaleSignature", "Unit", "expiry", "verify_webhook"]
