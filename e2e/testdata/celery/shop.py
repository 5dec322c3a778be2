"""A Celery project that knows no HTTP: it sends units as task calls, and keeps the verdicts in a database of its own.

    python3 shop.py send FIRST LAST IMAGES PHOTO...    sends the units of these numbers, with the photos in turn
    celery -A shop worker -Q shop                      takes the verdicts
"""

import os
import sqlite3
import sys
import time

from celery import Celery
from kombu import Queue

app = Celery("shop", broker=os.environ["SHOP_BROKER"])
app.conf.update(
    task_queues=[Queue("shop"), Queue("prewarm", routing_key="prewarm", queue_arguments={"x-queue-type": "quorum"})],
    task_default_queue="shop",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options={"confirm_publish": True},
)


def database():
    base = sqlite3.connect(os.environ["SHOP_DATABASE"], timeout=60)
    base.execute(
        "CREATE TABLE IF NOT EXISTS verdicts"
        " (id TEXT PRIMARY KEY, message TEXT, unit TEXT, state TEXT, variants INT, sources TEXT)"
    )
    return base


@app.task(name="shop.verdict")
def verdict(notice):
    if notice["type"] != "unit.done":
        return
    data = notice["data"]
    good = sum(row["state"] in ("made", "present") for row in data["verdicts"])
    sources = " ".join(sorted({row["source"] for row in data["verdicts"]}))
    with database() as base:  # One verdict may come twice; its id is the same.
        base.execute(
            "INSERT OR IGNORE INTO verdicts VALUES (?, ?, ?, ?, ?, ?)",
            (verdict.request.id, data["request_id"], data["id"], data["state"], good, sources),
        )


def send(number, images, photos):
    photo = f"{images}/{number}/{photos[number % len(photos)]}"
    unit = {"id": f"unit-{number}", "title": "a product", "photo": photo}
    while True:
        try:  # Sent again with the same id, whatever became of the first.
            return app.send_task("goldcrest.prewarm", [unit], task_id=f"task-{number}", queue="prewarm", retry=False)
        except Exception as error:  # The broker is away.
            print(f"{unit['id']}: {error!r}; again", flush=True)
            time.sleep(3)


if __name__ == "__main__":
    for number in range(int(sys.argv[2]), int(sys.argv[3])):
        send(number, sys.argv[4], sys.argv[5:])
    print("sent", flush=True)
