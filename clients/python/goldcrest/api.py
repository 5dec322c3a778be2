"""The private listener: Data Units and jobs."""

from __future__ import annotations

import gzip
import http.client
import json
import random
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.message import Message
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, Union

from .sign import Duration, seconds

_LONGEST_POLL = 25  # seconds that one response may wait


class Refused(Exception):
    """The server refused a call, or could not be reached (status 0).

    retryable says whether the same call may succeed later, retry_after when (seconds; None = not said).
    """

    def __init__(
        self, status: int, code: str, detail: str, retryable: bool, retry_after: Optional[int] = None, request_id: str = ""
    ) -> None:
        # args are the constructor's arguments: pickle and task queues rebuild an exception by calling its class with args.
        super().__init__(status, code, detail, retryable, retry_after, request_id)
        self.status, self.code, self.detail = status, code, detail
        self.retryable, self.retry_after, self.request_id = retryable, retry_after, request_id

    def __str__(self) -> str:
        request = f", request {self.request_id}" if self.request_id else ""
        return f"{self.detail} ({self.status} {self.code}{request})"


@dataclass
class Unit:
    """A Data Unit with other fields besides its data. A unit without other fields may be given as its bare dict. budget is in bytes
    and applies to this unit; 0 = that of the call."""

    data: Mapping[str, Any]
    id: str = ""
    variants: List[Union[str, Mapping[str, str]]] = field(default_factory=list)
    select: List[str] = field(default_factory=list)
    budget: int = 0


class Client:
    """Calls the private listener. It retries temporary failures; every call is safe to repeat. Safe to share between threads.
    It returns the JSON of openapi.yaml as dicts."""

    def __init__(
        self,
        url: str,
        token: str,
        timeout: float = 90,
        attempts: int = 8,
        max_pause: float = 30,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """url is that of the private listener. attempts=1 leaves retries to the caller, such as a task queue."""
        base = urllib.parse.urlsplit(url)
        if base.scheme not in ("http", "https") or not base.hostname or "@" in base.netloc or base.query or base.fragment:
            raise ValueError("the URL of the private listener is not an http or https URL with a host and no user or query")
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError("the API needs a bearer token that may stand in a header")
        self._url, self._token, self._timeout = url.rstrip("/"), token, timeout
        self._attempts, self._max_pause, self._sleep = attempts, max_pause, sleep
        self._opener = urllib.request.build_opener(_NoRedirects)

    def prewarm(
        self,
        units: Iterable[Union[Unit, Mapping[str, Any]]] = (),
        *,
        urls: Iterable[str] = (),
        variants: Iterable[Union[str, Mapping[str, str]]] = (),
        select: Iterable[str] = (),
        budget: int = 0,
        again: bool = False,
        priority: str = "",
        deadline: Optional[datetime] = None,
        ttl: Duration = 0,
        round: Duration = 0,
        tags: Iterable[str] = (),
        returns: str = "",
        callback: Optional[Mapping[str, Any]] = None,
        key: str = "",
        wait: Duration = 0,
    ) -> Dict[str, Any]:
        """Posts Data Units, or plain image URLs. When this returns, the server has them on disk, and the signed URLs in the response
        work. budget is the maximum bytes of all images of one unit, in each variant and format. again fetches sources again that are
        known to be broken. key is the idempotency key, which makes the call safe to repeat: use an id that outlives the caller, such
        as a task's. wait is how long the response may wait for the verdicts, up to a minute. ttl and round apply to the signed
        URLs."""
        call: Dict[str, Any] = {
            "variants": list(variants), "select": list(select), "budget": budget, "again": again, "priority": priority,
            "tags": list(tags), "return": returns,
            "ttl": _duration(ttl), "round": _duration(round), "callback": callback, "urls": list(urls),
            "data_units": [_unit(u) for u in units],
            "deadline": deadline.astimezone(timezone.utc).isoformat().replace("+00:00", "Z") if deadline else None,
        }
        call = {name: value for name, value in call.items() if value}
        if "data_units" in call:
            call["wrapped"] = True  # Nothing inside a unit is a field of the call.
        if ("data_units" in call) == ("urls" in call):
            raise ValueError("a call has units or URLs: one of them")
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        if wait:
            headers["Prefer"] = f"wait={_whole(wait)}"
        return self._fetch("POST", "/v1/prewarm", query={"body": "envelope"}, body=call, headers=headers)

    def job(self, job: str, wait: Duration = 0) -> Dict[str, Any]:
        """The state of a job. With wait (up to a minute) the response waits for the job's end."""
        return self._fetch("GET", _job(job), query={"wait": str(_whole(wait))} if wait else None)

    def wait(self, job: str, each: Optional[Callable[[Dict[str, Any]], None]] = None) -> Dict[str, Any]:
        """Polls until the job ends. each is called with every state."""
        while True:
            asked = time.monotonic()
            state = self.job(job, _LONGEST_POLL)
            if each:
                each(state)
            if state["state"] not in ("queued", "running"):
                return state
            # A server that is shutting down answers early. It must not be polled without a pause.
            self._sleep(max(0.0, 1 - (time.monotonic() - asked)))

    def jobs(self) -> Iterator[Dict[str, Any]]:
        """Jobs, the latest first."""
        query: Dict[str, str] = {}
        while True:
            page = self._fetch("GET", "/v1/jobs", query=query)
            yield from page["jobs"]
            if not page.get("cursor"):
                return
            query["cursor"] = page["cursor"]

    def results(self, job: str, state: str = "") -> Iterator[Dict[str, Any]]:
        """The verdicts of a job, page by page; state filters, as in state="broken"."""
        query = {"limit": "1000"}
        if state:
            query["state"] = state
        while True:
            page, headers = self._send("GET", _job(job) + "/results", query=query)
            if page and not page.endswith(b"\n"):
                raise Refused(0, "connect_failed", "the verdicts end in the middle of a line", True)
            for line in page.splitlines():
                yield _parse(line)
            target, _, rel = headers.get("Link", "").partition(">")
            cursor = urllib.parse.parse_qs(urllib.parse.urlsplit(target.lstrip("<")).query).get("cursor")
            if 'rel="next"' not in rel or not cursor:
                return
            query["cursor"] = cursor[0]

    def retry(self, job: str) -> Dict[str, Any]:
        """Retries a job's failed and broken variants."""
        return self._fetch("POST", _job(job) + "/retry")

    def cancel(self, job: str) -> Dict[str, Any]:
        """Cancels the part of a job that has not been started."""
        return self._fetch("DELETE", _job(job))

    def broken(self, since: datetime, limit: int = 0) -> List[Dict[str, Any]]:
        """The sources found broken since a time, the latest last."""
        query = {"since": since.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")}
        if limit:
            query["limit"] = str(limit)
        found: List[Dict[str, Any]] = self._fetch("GET", "/v1/broken", query=query)["broken"]
        return found

    def usage(self, owner: str = "", days: int = 0) -> List[Dict[str, Any]]:
        """The token's usage by day, and what is left of its quota; with scope admin that of every owner."""
        query = {name: str(value) for name, value in (("owner", owner), ("days", days)) if value}
        used: List[Dict[str, Any]] = self._fetch("GET", "/v1/usage", query=query)["usage"]
        return used

    def check(self, **call: Any) -> Dict[str, Any]:
        """Reports what is stored, queued or broken, without any work: urls=[...], data_units=[...] or keys=[...]; variants, select.
        Units are read as in prewarm()."""
        if "keys" in call:
            return self._fetch("POST", "/v1/check", body=call)
        if "data_units" in call and "wrapped" not in call:
            call.update(data_units=[_unit(u) for u in call["data_units"]], wrapped=True)
        return self._fetch("POST", "/v1/check", query={"body": "envelope"}, body=call)

    def purge(self, **what: Any) -> Dict[str, Any]:
        """Removes variants everywhere: source=..., unit=..., tag=..., prefix=... or all=True. The response lists the CDN's tags."""
        return self._fetch("POST", "/v1/purge", body=what)

    def _fetch(self, method: str, path: str, **more: Any) -> Dict[str, Any]:
        body, _ = self._send(method, path, **more)
        document: Dict[str, Any] = _parse(body)
        return document

    def _send(
        self, method: str, path: str, query: Optional[Mapping[str, str]] = None, body: Any = None, headers: Optional[Mapping[str, str]] = None
    ) -> Tuple[bytes, Message]:
        """Repeats a call until the response is complete, or the call is refused permanently."""
        target = self._url + path + ("?" + urllib.parse.urlencode(query) if query else "")
        sent, data = {"Authorization": f"Bearer {self._token}", **(headers or {})}, None
        if body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
            if len(data) > 4 << 10:
                data, sent["Content-Encoding"] = gzip.compress(data, compresslevel=1), "gzip"
        attempt = 1
        while True:
            try:
                return self._once(urllib.request.Request(target, data=data, headers=sent, method=method))
            except Refused as refused:
                if not refused.retryable or attempt >= self._attempts:
                    raise
                if (refused.retry_after or 0) > (self._attempts - attempt) * self._max_pause:
                    raise  # Longer than all remaining pauses.
                jitter = random.uniform(0, 2 ** min(attempt - 1, 5))
                wait = jitter if refused.retry_after is None else refused.retry_after + jitter / 4
                self._sleep(min(wait, self._max_pause))
                attempt += 1

    def _once(self, request: urllib.request.Request) -> Tuple[bytes, Message]:
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            raise _refusal(error) from None
        except (OSError, http.client.HTTPException) as error:  # no connection, or it broke before the answer's end
            raise Refused(0, "connect_failed", f"the server does not answer: {error}", True) from error


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: urllib would send the token to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _parse(text: bytes) -> Any:
    """Reads a response's JSON. A body that is not JSON comes from something between client and server."""
    try:
        return json.loads(text)
    except ValueError:
        raise Refused(0, "not_json", "the answer is not JSON: is there something else at the server's address?", False) from None


def _refusal(error: urllib.error.HTTPError) -> Refused:
    """Reads a problem document; for any other body the status decides."""
    problem: Dict[str, Any] = {}
    try:
        with error:
            if error.headers.get_content_type() == "application/problem+json":
                problem = dict(json.loads(error.read(64 << 10)))
    except (OSError, http.client.HTTPException, TypeError, ValueError):
        pass  # The status is enough.
    after = error.headers.get("Retry-After", "")
    return Refused(
        error.code,
        problem.get("code", "no_problem_document"),
        problem.get("detail") or problem.get("title") or str(error.reason),
        problem.get("retryable", error.code in (429, 502, 503, 504)),
        int(after) if after.isdigit() and int(after) else None,
        problem.get("request_id", ""),
    )


def _unit(unit: Union[Unit, Mapping[str, Any]]) -> Dict[str, Any]:
    if not isinstance(unit, Unit):
        return {"data": unit}
    more = {"id": unit.id, "variants": unit.variants, "select": unit.select, "budget": unit.budget}
    return {"data": unit.data, **{name: value for name, value in more.items() if value}}


def _job(job: str) -> str:
    return "/v1/jobs/" + urllib.parse.quote(job, safe="")


def _duration(duration: Duration) -> str:
    return f"{round(seconds(duration) * 1000)}ms" if duration else ""


def _whole(duration: Duration) -> int:
    """Seconds, rounded up: a wait of less than a second is one."""
    return int(-(-seconds(duration) // 1))
