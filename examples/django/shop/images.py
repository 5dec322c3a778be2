"""What the shop does with callbacks and verdicts."""

from django.db import transaction

from .models import Event, Verdict


def told(event):
    """Takes a callback: job.done at the end of a job, image.broken while it runs."""
    Event.objects.create(type=event["type"], data=event["data"])


@transaction.atomic
def take(job, verdicts):
    """Keeps verdicts. One that comes twice takes its own place."""
    for v in verdicts:
        Verdict.objects.update_or_create(
            unit=v["id"], source=v["source"], variant=v["name"], format=v["format"],
            defaults={"state": v["state"], "reason": v.get("reason", ""), "bytes": v.get("bytes", 0)},
        )
