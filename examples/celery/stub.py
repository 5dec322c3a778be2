"""Runs the tasks against a running server without Celery and without a broker: this file stands in for both.

    GOLDCREST_URL=... GOLDCREST_TOKEN=... python3 stub.py UNITS.jsonl

It prints the job, and one line for each image URL that has to be mended. Retries happen as Celery would do them.
"""

import json
import pathlib
import sys
import time
import types
import uuid


class Retry(Exception):
    def __init__(self, countdown):
        super().__init__(f"again in {countdown:.1f} s")
        self.countdown = countdown


class Task:
    """What a bound task sees of Celery."""

    def __init__(self, function, max_retries):
        self.function, self.max_retries = function, max_retries

    def retry(self, exc=None, countdown=0):
        if self.request.retries >= self.max_retries:
            return exc or RuntimeError("tried too often")
        return Retry(countdown)

    def run(self, *args, **kwargs):
        """Runs the task until it ends, with one id, as Celery does when it delivers a task again."""
        self.request = types.SimpleNamespace(id=str(uuid.uuid4()), retries=0)
        while True:
            try:
                return self.function(self, *args, **kwargs)
            except Retry as again:
                print(again, file=sys.stderr)
                self.request.retries += 1
                time.sleep(again.countdown)


def shared_task(bind, max_retries, acks_late=False):
    return lambda function: Task(function, max_retries)


sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "clients" / "python"))
sys.modules["celery"] = types.SimpleNamespace(shared_task=shared_task)

import tasks  # noqa: E402  (Celery has to stand in first)


def main(path):
    with open(path, encoding="utf-8") as lines:
        units = [json.loads(line) for line in lines if line.strip()]
    answer = tasks.prewarm.run(units)
    images = sum(len(unit["images"]) for unit in answer["units"])
    print(f"job {answer['job']}: {len(units)} units, {images} images")
    for broken in tasks.collect.run(answer["job"]):
        print(f"broken {broken['id']} {broken['pointer']} {broken['reason']}")


if __name__ == "__main__":
    main(sys.argv[1])
