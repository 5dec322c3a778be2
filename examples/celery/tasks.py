"""Celery tasks that have a server make pictures before anyone asks for them.

    prewarm.delay([unit, unit, ...])

Put some hundred units into one task: a call has at most 5,000 units and 16 MiB.
"""

import os
import random

from celery import shared_task

from goldcrest import Client, Refused  # clients/python

LONGEST_PAUSE = 600  # seconds


def api():
    # One try: a task queue repeats better than a sleeping worker does.
    return Client(os.environ["GOLDCREST_URL"], os.environ["GOLDCREST_TOKEN"], attempts=1)


def pause(refused, retries):
    """How long to wait before the next try: what the server asks for, else longer each time; never the same for many tasks."""
    wait = refused.retry_after if refused.retry_after is not None else min(2**retries, LONGEST_PAUSE)
    return min(wait, LONGEST_PAUSE) + random.uniform(0, 1 + wait / 4)


# A task whose worker dies is run again: it is acknowledged late, and rejected where its process is lost. That is safe: the task's id
# is the idempotency key, so the server answers with the job of the first run.
durable = {"bind": True, "acks_late": True, "reject_on_worker_lost": True}


@shared_task(**durable, max_retries=200)
def prewarm(self, units, **options):
    """Posts the units and returns the job with the signed URL of every variant. The pictures are made behind it."""
    try:
        return api().prewarm(units, key=self.request.id, **options)
    except Refused as refused:
        if not refused.retryable:
            raise  # The units or the token are wrong: trying again would not mend them.
        raise self.retry(exc=refused, countdown=pause(refused, self.request.retries))


@shared_task(**durable, max_retries=1000)
def collect(self, job):
    """Waits for a job and returns the image URLs that have to be mended, with the reason. A callback spares this task."""
    try:
        state = api().job(job, wait=20)
        if state["state"] in ("queued", "running"):
            raise self.retry(countdown=max(5, min(state.get("eta_s") or 5, 60)))
        return broken_images(api().results(job, state="broken"))
    except Refused as refused:
        if not refused.retryable:
            raise
        raise self.retry(exc=refused, countdown=pause(refused, self.request.retries))


def broken_images(verdicts):
    """One row for each image. There is a verdict for each of its variants and formats, and all name the same source."""
    images = {}
    for v in verdicts:
        row = {"id": v["id"], "pointer": v["pointer"], "source": v["source"], "reason": v.get("reason")}
        images.setdefault((v["index"], v["pointer"]), row)
    return list(images.values())
