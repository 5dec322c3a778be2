"""Celery tasks that prewarm and purge pictures. They need Celery 5.2 or later.

    prewarm.delay([unit, unit, ...])          # posts units
    collect.delay(job)                        # takes the verdicts of a job
    purge.delay([url, url, ...])              # removes the variants of images

Put some hundred units into one task: a call has at most 5,000 units and 16 MiB. The settings are those of goldcrest.conf.
"""

from __future__ import annotations

import random
from itertools import islice
from typing import Any, Dict, Iterable, Iterator, List, Tuple

from celery import shared_task

from . import conf
from .api import Refused

_LONGEST_PAUSE = 600  # seconds
_PAGE = 500  # verdicts in one call of VERDICTS

# A task whose worker dies runs again: it is acknowledged late, and rejected if its process is lost. This is safe, since the
# task's id is the idempotency key, so the server answers with the job of the first run.
_durable = {"bind": True, "acks_late": True, "reject_on_worker_lost": True}


@shared_task(name="goldcrest.prewarm", **_durable, max_retries=200)
def prewarm(self: Any, units: List[Dict[str, Any]], follow: bool = False, **options: Any) -> Dict[str, Any]:
    """Posts the units and returns the server's response: the job, with the signed URL of every variant.

    The pictures are made after the response. options are those of Client.prewarm. follow=True sends collect for the job, for
    projects that the server cannot reach with callbacks.
    """
    options.setdefault("variants", conf.get("VARIANTS"))
    if conf.get("CALLBACK"):
        options.setdefault("callback", {"url": conf.get("CALLBACK"), "events": ["job.done", "image.broken"]})
    try:
        # One try: a retry by the task queue does not keep a worker sleeping.
        answer = conf.client(attempts=1).prewarm(units, key=self.request.id, **options)
    except Refused as refused:
        raise _again(self, refused) from None
    if follow and answer["job"]:
        collect.apply_async((answer["job"],))
    return answer


@shared_task(name="goldcrest.collect", **_durable, max_retries=1000)
def collect(self: Any, job: str) -> List[Dict[str, Any]]:
    """Waits for a job, passes all its verdicts to VERDICTS, and returns the broken images.

    VERDICTS is called with the job and up to 500 verdicts at a time. It may get a verdict twice: verdicts with the same
    "index", "pointer", "name", "format" and "source" are the same one.
    """
    take = conf.function(conf.get("VERDICTS"))
    api = conf.client(attempts=1)
    try:
        state = api.job(job, wait=20)
        if state["state"] in ("queued", "running"):
            raise self.retry(countdown=max(5, min(state.get("eta_s") or 5, 60)))
        if take is None:
            return broken_images(api.results(job, state="broken"))
        broken: List[Dict[str, Any]] = []
        for page in _pages(api.results(job)):
            take(job, page)
            broken += [verdict for verdict in page if verdict["state"] == "broken"]
        return broken_images(broken)
    except Refused as refused:
        raise _again(self, refused) from None


@shared_task(name="goldcrest.purge", **_durable, max_retries=200)
def purge(self: Any, sources: List[str]) -> None:
    """Removes all variants of the images at these URLs. TOKEN needs the scope purge."""
    api = conf.client(attempts=1)
    try:
        for source in sources:
            api.purge(source=source)
    except Refused as refused:
        raise _again(self, refused) from None


def broken_images(verdicts: Iterable[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """One row for each image. There is a verdict for each of its variants and formats, and all name the same source."""
    images: Dict[Tuple[int, str], Dict[str, Any]] = {}
    for v in verdicts:
        row = {"id": v["id"], "pointer": v["pointer"], "source": v["source"], "reason": v.get("reason")}
        images.setdefault((v["index"], v["pointer"]), row)
    return list(images.values())


def _again(task: Any, refused: Refused) -> Exception:
    """What a task raises after a refusal: Celery's retry, or the refusal if a retry would not help."""
    if not refused.retryable:
        return refused
    wait = refused.retry_after if refused.retry_after is not None else min(2**task.request.retries, _LONGEST_PAUSE)
    # The pause that the server requests, else one that doubles; with jitter, so that tasks do not retry at once.
    pause = min(wait, _LONGEST_PAUSE) + random.uniform(0, 1 + wait / 4)
    retry: Exception = task.retry(exc=refused, countdown=pause, throw=False)
    return retry


def _pages(verdicts: Iterator[Dict[str, Any]]) -> Iterator[List[Dict[str, Any]]]:
    while page := list(islice(verdicts, _PAGE)):
        yield page
