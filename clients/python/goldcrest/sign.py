"""Signed URLs, made without calling the proxy."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import math
import re
import time
from datetime import timedelta
from typing import Callable, Tuple, Union
from urllib.parse import urlsplit

#: A length of time: seconds, or a timedelta.
Duration = Union[int, float, timedelta]

DAY = 24 * 60 * 60
_LONGEST = 16 << 10  # bytes of a source's URL


def seconds(duration: Duration) -> float:
    """A length of time in seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else duration


def expiry(now: float, ttl: Duration, round: Duration = 0) -> int:
    """The expiry of a URL that is signed now and valid for at least ttl, in seconds since 1970; 0 = never, for a ttl of 0 or less.

    It is rounded up to the next multiple of round (0 = a day, UTC), so that all viewers of the picture within that time share one
    URL, and a CDN keeps it once.
    """
    if seconds(ttl) <= 0:
        return 0
    step = max(int(seconds(round)), 1) if seconds(round) > 0 else DAY
    return -(-math.ceil(now + seconds(ttl)) // step) * step


class Signer:
    """Makes signed URLs. Immutable, and safe to share between threads."""

    def __init__(
        self,
        base_url: str,
        key: str,
        salt: str = "",
        key_id: str = "",
        signature_size: int = 32,
        now: Callable[[], float] = time.time,
        encryption_key: str = "",
    ) -> None:
        """base_url is the URL of the proxy, with its path prefix. key and salt are in hexadecimal digits. key_id names the
        key if the proxy has several. signature_size is the proxy's signing.signature_size. encryption_key is its
        signing.encryption_key, for encrypted_url, which needs the package cryptography."""
        base = urlsplit(base_url)
        if base.scheme not in ("http", "https") or not base.netloc or base.query or base.fragment or base_url[-1] in "?#":
            raise ValueError("the base URL is not an http or https URL with a host and no query")
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,64}", key_id):
            raise ValueError("a key id holds at most 64 letters, digits, '-' and '_'")
        signature_size = signature_size or 32
        if not 16 <= signature_size <= 32:
            raise ValueError("the signature size is not from 16 to 32 bytes")
        self._base = base_url.rstrip("/")
        self._key, self._salt = _unhex("key", key), _unhex("salt", salt)
        if not self._key:
            raise ValueError("the key is empty")
        self._prefix = key_id + "." if key_id else ""
        self._size, self._now = signature_size, now
        self._encryption_key = _unhex("encryption key", encryption_key)
        if len(self._encryption_key) not in (0, 16, 24, 32):
            raise ValueError("the encryption key has not 16, 24 or 32 bytes")

    def url(self, source: str, options: str = "", ttl: Duration = 0, round: Duration = 0) -> str:
        """The signed URL of a variant of source: a URL, or "ref:" and an id from the proxy.

        options are those of the URL ("rs:fit:480:0/net:2g", "pr:lite", or "lite" for a proxy that accepts only presets); empty
        means the whole picture. The URL is valid for at least ttl (0 = for ever); see expiry.
        """
        if re.fullmatch(r"ref:[0-9a-f]{32}", source):
            return self._url("ref/" + source[4:], options, ttl, round)
        return self._url(_base64(parse_source(source).encode("ascii")), options, ttl, round)

    def encrypted_url(self, source: str, options: str = "", ttl: Duration = 0, round: Duration = 0) -> str:
        """Like url, but the source is encrypted, so the URL does not reveal where the original is. One source always has the same
        URL. Needs an encryption_key, and the package cryptography."""
        if not self._encryption_key:
            raise ValueError("there is no encryption key")
        return self._url("enc/" + _base64(_encrypt(self._encryption_key, parse_source(source).encode("ascii"))), options, ttl, round)

    def _url(self, target: str, options: str, ttl: Duration, round: Duration) -> str:
        if re.search(r"[^!-~]|[?#]", options):
            raise ValueError("options contain a character that is not allowed in a URL's path")
        options = options.strip("/")
        end = expiry(self._now(), ttl, round)
        parts = [options] if options else []
        if end:
            parts.append(f"exp:{end}")
        parts.append(target)
        return self._base + self.sign("/" + "/".join(parts))

    def sign(self, path: str) -> str:
        """Returns "/signature" and the path, which must begin with a slash: for paths that the caller builds."""
        if not path.startswith("/"):
            raise ValueError("a path to sign must begin with a slash")
        mac = hmac.new(self._key, self._salt + path.encode("utf-8"), hashlib.sha256).digest()
        return f"/{self._prefix}{_base64(mac[: self._size])}{path}"


def _encrypt(key: bytes, source: bytes) -> bytes:
    """AES-CBC with the IV in front. The IV is a keyed hash of the source, so that one source always has the same URL."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    iv_key = hmac.new(key, b"goldcrest source iv", hashlib.sha256).digest()
    iv = hmac.new(iv_key, source, hashlib.sha256).digest()[:16]
    pad = 16 - len(source) % 16
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return iv + encryptor.update(source + bytes([pad]) * pad) + encryptor.finalize()


def parse_source(raw: str) -> str:
    """Checks the URL of an original and returns the URL to fetch: without its fragment, unsafe bytes escaped. Browsers and the
    proxy do the same."""
    text = raw.encode("utf-8").decode("latin-1")  # one character for each byte
    if len(text) > _LONGEST:
        raise ValueError("the source's URL is too long")
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError("the source's URL contains a control character")
    match = re.fullmatch(r"(https?)://([^/?]*)([^?]*)(.*)", text.partition("#")[0], re.IGNORECASE)
    if not match:
        raise ValueError("the source is not an http or https URL")
    scheme, authority, path, query = match.groups()
    if "@" in authority:
        raise ValueError("the source's URL contains a user name")
    if not _valid_authority(authority):
        raise ValueError("the source's URL has no valid host")
    source = f"{scheme}://{authority}{_escape(path, True)}{_escape(query, False)}"
    if len(source) > _LONGEST:
        raise ValueError("the source's URL is too long")
    return source


def _valid_authority(authority: str) -> bool:
    host, port = _split_port(authority)
    if port and not (re.fullmatch(r"[0-9]+", port) and 0 < int(port) < 1 << 16):
        return False
    allowed = r"[A-Za-z0-9._-]+"
    if host.startswith("["):
        if not host.endswith("]"):
            return False
        host, allowed = host[1:-1], r"[A-Za-z0-9:.]+"
    return bool(re.fullmatch(allowed, host)) and len(host) <= 253 and host.strip(".") != ""


def _split_port(authority: str) -> Tuple[str, str]:
    if ":" not in authority or authority.endswith("]"):
        return authority, ""
    host, _, port = authority.rpartition(":")
    return host, port


def _escape(text: str, path: bool) -> str:
    """Escapes the bytes that a URL must not contain, in a path also a "%" that begins no escape."""
    unsafe = r"[^A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]" + (r"|%(?![0-9A-Fa-f]{2})" if path else "")
    return re.sub(unsafe, lambda m: f"%{ord(m.group()):02X}", text)


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _unhex(name: str, digits: str) -> bytes:
    try:
        return binascii.unhexlify(digits)
    except (binascii.Error, ValueError):
        raise ValueError(f"the {name} is not in hexadecimal digits") from None
