"""Callbacks: Standard Webhooks."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from typing import Any, Callable, Iterable, Mapping, Union


class BadSignature(Exception):
    """The callback has no valid signature of the proxy. Answer it with 401 and do not act on it."""


class StaleSignature(BadSignature):
    """The callback was signed too long ago or in the future: it may be a replay."""


def verify_webhook(
    secret: Union[str, Iterable[str]],
    headers: Mapping[str, str],
    body: bytes,
    tolerance: float = 300,
    now: Callable[[], float] = time.time,
) -> Any:
    """Checks a callback and returns its parsed JSON.

    secret is the text of a file that prewarm.callbacks.secrets names ("whsec_" and base64, or any other text, used unchanged), or
    several of them. body is the raw body, before any parsing. tolerance is in seconds. A callback may come more than once: remember
    its webhook-id for a day.
    """
    keys = [_key(text) for text in ([secret] if isinstance(secret, str) else secret)]
    values = {name.lower(): value for name, value in headers.items()}
    ident, stamp = values.get("webhook-id", ""), values.get("webhook-timestamp", "")
    text = f"{ident}.{stamp}.".encode() + body
    sums = [hmac.new(key, text, hashlib.sha256).digest() for key in keys]
    if not ident or not re.fullmatch(r"[0-9]{1,15}", stamp) or not _signed_by(sums, values.get("webhook-signature", "")):
        raise BadSignature("the callback is not signed with this secret")
    if abs(now() - int(stamp)) > tolerance:
        raise StaleSignature("the callback was not signed within the tolerated time")
    return json.loads(body)


def _signed_by(sums: Iterable[bytes], signatures: str) -> bool:
    sums = list(sums)
    for signature in signatures.split():
        version, _, text = signature.partition(",")
        if version != "v1":
            continue
        try:
            given = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            continue
        if any([hmac.compare_digest(given, wanted) for wanted in sums]):
            return True
    return False


def _key(secret: str) -> bytes:
    secret = secret.strip()
    if not secret:
        raise ValueError("the callback secret is empty")
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        key = base64.b64decode(secret[len("whsec_") :], validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ValueError("the callback secret begins with whsec_, but base64 does not follow")
    return key
