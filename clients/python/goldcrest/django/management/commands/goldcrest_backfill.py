"""manage.py goldcrest_backfill: prewarms the images of existing instances."""

from __future__ import annotations

import json
import time
from itertools import islice
from typing import Any, Callable, Dict, List

from django.apps import apps
from django.core.exceptions import FieldError, ImproperlyConfigured, ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import QuerySet

from .... import conf
from ....api import Refused
from ...images import SELECT, images_of, unit_of


class Command(BaseCommand):
    """Posts the units of a queryset in batches, shows a progress bar, and with --wait waits for the verdicts."""

    help = "Prewarms the images of a model's instances, in the order of their primary keys."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", help="a model of the setting MODELS, such as shop.Product")
        parser.add_argument(
            "--filter", action="append", default=[], metavar="FIELD=VALUE",
            help="as in QuerySet.filter, such as stock__gt=0; the value is JSON, or a text as it is; may be repeated",
        )
        parser.add_argument("--queryset", default="", help="dotted path of a function that gives the queryset")
        parser.add_argument("--after", default="", metavar="PK", help="go on behind this primary key")
        parser.add_argument("--batch", type=int, default=200, help="instances in a call (default 200)")
        parser.add_argument("--variants", default="", help="separated by commas (default: the setting VARIANTS)")
        parser.add_argument("--priority", default="low", choices=["low", "normal", "high"])
        parser.add_argument("--tag", action="append", default=[], help="of the jobs; may be repeated")
        parser.add_argument("--wait", action="store_true", help="wait for the verdicts and name what is broken")

    def handle(self, *_: Any, **options: Any) -> None:
        if options["batch"] < 1:
            raise CommandError("--batch is not a positive number")
        try:
            chosen = queryset(options)
            total = chosen.count()
        except (FieldError, ImproperlyConfigured, LookupError, ValidationError, ValueError) as error:
            raise CommandError(str(error)) from None
        jobs = self._post(chosen, total, options)
        if options["wait"]:
            self._follow(jobs)

    def _post(self, chosen: "QuerySet[Any]", total: int, options: Dict[str, Any]) -> List[str]:
        bar, api, jobs = Bar(self.stderr, "posted", total), conf.client(), []
        done, units, last = 0, 0, options["after"]
        variants = [name for name in options["variants"].split(",") if name] or conf.get("VARIANTS")
        instances = chosen.iterator(chunk_size=options["batch"])
        while batch := list(islice(instances, options["batch"])):
            posted = [unit for unit in map(unit_of, batch) if unit]
            try:
                if posted:
                    answer = api.prewarm(
                        posted, variants=variants, select=SELECT, priority=options["priority"], tags=options["tag"], returns="none"
                    )
                    jobs += [answer["job"]] if answer["job"] else []
            except Refused as refused:
                bar.end()
                raise CommandError(f"{refused}. {done} instances are posted; go on with --after {last or repr('')}") from None
            done, units, last = done + len(batch), units + len(posted), str(batch[-1].pk)
            bar.show(done)
        bar.end()
        self.stdout.write(f"{units} units with images of {done} instances are posted in {len(jobs)} jobs")
        return jobs

    def _follow(self, jobs: List[str]) -> None:
        api, counts, broken = conf.client(), {}, 0
        bar = Bar(self.stderr, "jobs done", len(jobs))
        for n, job in enumerate(jobs, 1):
            state = _follow_one(api.wait, job)
            for name in ("made", "present", "broken", "failed"):
                counts[name] = counts.get(name, 0) + state["counts"].get(name, 0)
            images = {(v["index"], v["pointer"]): v for v in api.results(job, state="broken")}
            if images:
                bar.clear()
            for verdict in images.values():
                self.stdout.write(f"broken {verdict['id']} {verdict['source']} {verdict.get('reason')}")
            broken += len(images)
            bar.show(n)
        bar.end()
        self.stdout.write(f"{', '.join(f'{name} {n}' for name, n in counts.items())} variants; {broken} images are broken")
        if counts.get("failed"):
            raise CommandError("some variants failed: run it again, what is made is not made twice")


def _follow_one(wait: Callable[[str], Dict[str, Any]], job: str) -> Dict[str, Any]:
    try:
        return wait(job)
    except Refused as refused:
        raise CommandError(f"job {job}: {refused}") from None


def queryset(options: Dict[str, Any]) -> "QuerySet[Any]":
    """The instances that the command line chooses, by primary key."""
    model = apps.get_model(options["model"])
    images_of(model)
    make = conf.function(options["queryset"])
    chosen: "QuerySet[Any]" = make() if make else model._default_manager.all()
    for text in options["filter"]:
        name, found, value = text.partition("=")
        if not found:
            raise ValueError(f"--filter {text} is not FIELD=VALUE")
        chosen = chosen.filter(**{name: _value(value)})
    if options["after"]:
        chosen = chosen.filter(pk__gt=options["after"])
    return chosen.order_by("pk")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


class Bar:
    """A progress bar on a terminal; elsewhere a line for each tenth of the total."""

    def __init__(self, out: Any, name: str, total: int, now: Callable[[], float] = time.monotonic) -> None:
        self._out, self._name, self._total, self._now = out, name, total, now
        self._begun, self._drawn, self._tenth = now(), False, 0
        self._live = bool(out.isatty())

    def show(self, done: int) -> None:
        """Shows the progress."""
        part = min(1.0, done / self._total) if self._total else 1.0
        text = f"{self._name} {done} of {self._total} ({part:.0%}), {self._pace(done)}"
        if self._live:
            filled = int(part * 30)
            self._write(f"\r\x1b[K[{'#' * filled}{'-' * (30 - filled)}] {text}")
            self._drawn = True
        elif int(part * 10) > self._tenth:
            self._tenth = int(part * 10)
            self._write(text + "\n")

    def clear(self) -> None:
        """Removes the bar, so that other lines can be written."""
        if self._drawn:
            self._write("\r\x1b[K")
            self._drawn = False

    def end(self) -> None:
        """Leaves the bar visible and moves to the next line."""
        if self._drawn:
            self._write("\n")
            self._drawn = False

    def _pace(self, done: int) -> str:
        seconds = max(self._now() - self._begun, 0.001)
        left = (self._total - done) * seconds / done if done else 0
        return f"{done / seconds:.0f}/s, {left:.0f} s left"

    def _write(self, text: str) -> None:
        self._out.write(text, ending="", style_func=lambda plain: plain)
        self._out.flush()
