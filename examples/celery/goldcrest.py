"""A small client for Goldcrest's private listener. Standard library only.

    api = Goldcrest("http://goldcrest.internal:8081", token)
    answer = api.prewarm(units, key=task_id, variants=["lite", "std"])
    verify(body, headers, secrets)      # in the view that receives the callbacks
"""

import base64
import binascii
import gzip
import hashlib
import hmac
import json
import time
import urllib.error
import urllib.parse
import urllib.request


class Refused(Exception):
    """The server refused a call. `retryable` says whether the same call may succeed later, `retry_after` when (seconds, or None)."""

    def __init__(self, status, code, detail, retryable, retry_after=None):
        super().__init__(f"{detail} ({status} {code})")
        self.status, self.code, self.detail = status, code, detail
        self.retryable, self.retry_after = retryable, retry_after


class Goldcrest:
    """Calls the private listener. It does not repeat calls by itself: a task queue does that better."""

    def __init__(self, url, token, timeout=90):
        self.url, self.token, self.timeout = url.rstrip("/"), token, timeout

    def prewarm(self, units, key, wait=0, **options):
        """Posts Data Units: a list of dicts, as they are. When this returns, the server has them on disk.

        `key` makes repeats safe: the same key with the same units gives the same job. Take the task's id. `options` are the
        fields of the call: variants, select, priority, deadline, ttl, round, tags, callback, and `return`, which Python wants
        written as **{"return": "rewritten"}.
        """
        headers = {"Idempotency-Key": key}
        if wait:
            headers["Prefer"] = f"wait={int(wait)}"
        call = {**options, "data_units": [{"data": unit} for unit in units]}
        return self._call("POST", "/v1/prewarm", call, headers)

    def job(self, job, wait=0):
        """The state of a job; with wait (seconds, at most 60) once it has ended."""
        query = f"?wait={int(wait)}" if wait else ""
        return self._call("GET", f"/v1/jobs/{urllib.parse.quote(job, safe='')}{query}")

    def results(self, job, state=None):
        """The verdicts of a job, page by page; state filters, as in state="broken"."""
        path = f"/v1/jobs/{urllib.parse.quote(job, safe='')}/results"
        query = {"state": state} if state else {}
        while path:
            request = self._request("GET", f"{path}?{urllib.parse.urlencode(query)}")
            with self._open(request) as answer:
                for line in answer:
                    yield json.loads(line)
                link = answer.headers.get("Link", "")
            path = None
            if 'rel="next"' in link:
                path, _, text = link[1 : link.index(">")].partition("?")
                query = dict(urllib.parse.parse_qsl(text))

    def _call(self, method, path, body=None, headers=None):
        with self._open(self._request(method, path, body, headers)) as answer:
            return json.load(answer)

    def _request(self, method, path, body=None, headers=None):
        headers = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        data = None
        if body is not None:
            data = gzip.compress(json.dumps(body).encode(), compresslevel=1)
            headers.update({"Content-Type": "application/json", "Content-Encoding": "gzip"})
        return urllib.request.Request(self.url + path, data=data, headers=headers, method=method)

    def _open(self, request):
        try:
            return urllib.request.urlopen(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            raise _refusal(error) from None
        except OSError as error:  # no connection, or it broke: nothing was decided
            raise Refused(0, "connect_failed", f"the server does not answer: {error}", True) from error


def _refusal(error):
    """Reads a problem document (RFC 9457)."""
    try:
        with error:
            problem = json.load(error)
    except ValueError:
        problem = {}
    after = error.headers.get("Retry-After", "")
    return Refused(
        error.code,
        problem.get("code", "no_problem_document"),
        problem.get("detail", error.reason),
        problem.get("retryable", error.code in (429, 502, 503, 504)),
        int(after) if after.isdigit() else None,
    )


class BadSignature(Exception):
    """A callback that did not come from the server, or came too late."""


def verify(body, headers, secrets, tolerance=300, now=time.time):
    """Checks a callback by Standard Webhooks and returns what it says.

    `body` is the raw bytes: check before parsing. `headers` maps lower-case names to values. `secrets` are the raw secrets in
    force; during a rotation there are two. Callbacks come at least once: keep `headers["webhook-id"]` for as long as the
    server repeats (a day) and drop those already seen.
    """
    try:
        ident, stamp = headers["webhook-id"], headers["webhook-timestamp"]
        signatures = headers["webhook-signature"].split(" ")
        if abs(now() - int(stamp)) > tolerance:
            raise BadSignature("the callback is too old, or the clocks differ")
    except (KeyError, ValueError):
        raise BadSignature("a webhook header is absent or not readable") from None
    text = f"{ident}.{stamp}.".encode() + body
    wanted = [hmac.new(secret, text, hashlib.sha256).digest() for secret in secrets]
    for signature in signatures:
        version, _, value = signature.partition(",")
        if version != "v1":
            continue
        try:
            given = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            continue
        if any(hmac.compare_digest(given, w) for w in wanted):
            return json.loads(body)
    raise BadSignature("no signature matches a secret")


def secret(text):
    """Reads a secret as Standard Webhooks writes it: whsec_ and base64; anything else is taken as it stands."""
    text = text.strip()
    if text.startswith("whsec_"):
        return base64.b64decode(text[len("whsec_") :])
    return text.encode()
