"""Sends Data Units to the tasks of goldcrest.celery, and prints one line for each image URL that has to be mended.

    python3 send.py UNITS.jsonl [UNITS PER TASK]

A worker, the broker and a server must run; README.md says how.
"""

import json
import sys

from goldcrest.celery import collect, prewarm


def main(path, size=200):
    with open(path, encoding="utf-8") as lines:
        units = [json.loads(line) for line in lines if line.strip()]
    posted = [prewarm.delay(units[at : at + size]) for at in range(0, len(units), size)]
    collected = []
    for task in posted:
        answer = task.get()
        images = sum(len(unit["images"]) for unit in answer["units"])
        print(f"job {answer['job']}: {len(answer['units'])} units, {images} images", flush=True)
        if answer["job"]:  # None: there was nothing to make.
            collected.append(collect.delay(answer["job"]))
    for task in collected:
        for image in task.get():
            print(f"broken {image['id']} {image['pointer']} {image['reason']}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:3]))
