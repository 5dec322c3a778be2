"""The Celery tasks and the Django app, in the project of examples/django."""

import base64
import hashlib
import hmac
import io
import json
import os
import pathlib
import sys
import time
import unittest
import warnings
from unittest import mock

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT / "clients" / "python"), str(ROOT / "examples" / "django")]

SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes or more").decode()

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Warnings of the frameworks do not matter here.
        os.environ.update(
            DJANGO_SETTINGS_MODULE="project.settings", DJANGO_SECRET_KEY="test", SHOP_DATABASE=":memory:",
            GOLDCREST_URL="http://127.0.0.1:1", GOLDCREST_TOKEN="t0ken", GOLDCREST_WEBHOOK_SECRETS=SECRET,
        )
        import django
        import django.test.client

        django.setup()
        from django.core.management import call_command
        from django.core.management.base import CommandError, OutputWrapper
        from project.celery import app
        import shop.images
        from shop.models import Event, Product, Verdict

        import goldcrest.celery
        from goldcrest.django import checks, images
        from goldcrest.django.management.commands import goldcrest_backfill as backfill

        app.conf.update(task_always_eager=True)
        call_command("migrate", verbosity=0)
except ModuleNotFoundError as absent:
    raise unittest.SkipTest(f"{absent.name} is not installed") from None

# Nor do deprecations in the frameworks.
warnings.filterwarnings("ignore", category=DeprecationWarning, module="(?!goldcrest|test_|shop|project)")

from django.conf import settings  # noqa: E402
from django.db import transaction  # noqa: E402
from answers import Answers  # noqa: E402
from goldcrest import Refused, conf  # noqa: E402

ROW = {"index": 0, "id": "shop.product:1", "pointer": "/images/0", "source": "https://a/1.jpg", "name": "lite", "format": "webp"}


class Project(Answers):
    """The project, with a server that returns the given answers in turn."""

    def setUp(self):
        super().setUp()
        self.set(URL=self.url)
        call_command("flush", verbosity=0, interactive=False)

    def set(self, **changed):
        changed = mock.patch.dict(settings.GOLDCREST, changed)
        changed.start()
        self.addCleanup(changed.stop)

    def posted(self):
        return [body for _, path, _, body in self.calls if path.startswith("/v1/prewarm")]

    def page(self, *rows):
        return 200, {}, "".join(json.dumps(row) + "\n" for row in rows).encode()


class Saving(Project):
    def test_a_saved_instance_is_posted_once_it_is_committed(self):
        self.answers.append((202, {}, {"job": "j"}))
        self.set(CALLBACK="https://shop.example/goldcrest/", BASE_URL="https://shop.example")
        with transaction.atomic():
            product = Product.objects.create(title="Shoe", photo="/media/1.jpg", gallery=["https://a/2.jpg", "https://a/2.jpg", ""])
            self.assertEqual(self.calls, [])
        self.assertEqual(
            self.posted(),
            [{
                "data_units": [{"data": {"id": f"shop.product:{product.pk}", "images": ["https://shop.example/media/1.jpg", "https://a/2.jpg"]}}],
                "wrapped": True, "select": ["/images"], "variants": ["lite"],
                "callback": {"url": "https://shop.example/goldcrest/", "events": ["job.done", "image.broken"]},
            }],
        )

    def test_what_changes_no_image_is_not_posted(self):
        product = Product.objects.create(title="Shoe")  # It has no image.
        product.photo, product.title = "https://a/1.jpg", "Red shoe"
        product.save(update_fields=["title"])
        try:
            with transaction.atomic():
                product.save()
                raise LookupError
        except LookupError:
            pass
        product.save_base(raw=True)  # As loaddata does.
        self.assertEqual(self.calls, [])
        self.answers.append((202, {}, {"job": None}))
        product.save(update_fields=["photo"])
        self.assertEqual(len(self.posted()), 1)

    def test_a_broker_that_is_down_does_not_fail_the_save(self):
        down = images.OperationalError("down")
        with mock.patch.object(goldcrest.celery.prewarm, "apply_async", side_effect=down), self.assertLogs("goldcrest.django.images") as log:
            product = Product.objects.create(photo="https://a/1.jpg")
        self.assertIn(f"shop.product:{product.pk}", log.output[0])
        self.assertEqual(Product.objects.count(), 1)

    def test_a_function_may_give_the_images(self):
        with mock.patch.object(shop.images, "urls", lambda product: ["https://a/" + product.title], create=True):
            self.set(MODELS={"shop.Product": "shop.images.urls"})
            self.assertEqual(list(checks.faults()), [])
            self.assertEqual(images.unit_of(Product(pk=7, title="x.jpg")), {"id": "shop.product:7", "images": ["https://a/x.jpg"]})

    def test_a_file_field_gives_the_url_of_its_file(self):
        file = django.db.models.fields.files.FieldFile(Product(), django.db.models.FileField(), "1.jpg")
        with self.settings_of(MEDIA_URL="/media/"):
            self.assertEqual(list(images._texts([file, None, 5])), ["/media/1.jpg"])

    def settings_of(self, **changed):
        return django.test.utils.override_settings(**changed)


class Deleting(Project):
    def purged(self):
        return [body for _, path, _, body in self.calls if path == "/v1/purge"]

    def test_the_images_of_a_deleted_instance_are_purged_once_it_is_committed(self):
        self.set(PURGE=True, BASE_URL="https://shop.example")
        # After a temporary refusal the whole task is retried.
        self.answers += [(200, {}, {}), self.problem(503, True, {"Retry-After": "1"}, code="overloaded"), (200, {}, {}), (200, {}, {})]
        self.answers.insert(0, (202, {}, {"job": None}))
        product = Product.objects.create(photo="/media/1.jpg", gallery=["https://a/2.jpg"])
        with transaction.atomic():
            product.delete()
            self.assertEqual(self.purged(), [])
        first, second = {"source": "https://shop.example/media/1.jpg"}, {"source": "https://a/2.jpg"}
        self.assertEqual(self.purged(), [first, second, first, second])

    def test_nothing_is_purged_unless_it_is_set_and_committed_and_there_are_images(self):
        self.answers += [(202, {}, {"job": None})] * 2
        self.set(PURGE=False)
        Product.objects.create(photo="https://a/1.jpg").delete()
        self.set(PURGE=True)
        Product.objects.create(title="no image").delete()
        product = Product.objects.create(photo="https://a/1.jpg")
        try:
            with transaction.atomic():
                product.delete()
                raise LookupError
        except LookupError:
            pass
        self.assertEqual(self.purged(), [])

    def test_a_broker_that_is_down_does_not_fail_the_deletion(self):
        self.answers.append((202, {}, {"job": None}))
        self.set(PURGE=True)
        product, down = Product.objects.create(photo="https://a/1.jpg"), images.OperationalError("down")
        with mock.patch.object(goldcrest.celery.purge, "apply_async", side_effect=down), self.assertLogs("goldcrest.django.images") as log:
            product.delete()
        self.assertIn("shop.product:", log.output[0])
        self.assertEqual(Product.objects.count(), 0)


class Tasks(Project):
    def test_units_are_posted_again_with_the_same_key(self):
        self.answers += [self.problem(503, True, {"Retry-After": "1"}, code="overloaded"), (202, {}, {"job": None})]
        goldcrest.celery.prewarm.apply(([{"photo": "https://a/1.jpg"}],), task_id="t1").get()
        self.assertEqual([headers["Idempotency-Key"] for _, _, headers, _ in self.calls], ["t1", "t1"])

    def test_what_is_wrong_for_good_is_raised(self):
        self.answers.append(self.problem(422, False, code="bad_selector", detail="no"))
        with self.assertRaises(Refused):
            goldcrest.celery.prewarm.delay([{}]).get()
        self.assertEqual(len(self.calls), 1)

    def test_a_retry_waits_as_long_as_the_server_says(self):
        task = mock.Mock(request=mock.Mock(retries=3))
        for after, least, most in ((7, 7, 10), (None, 8, 11), (100000, 600, 25602)):
            goldcrest.celery._again(task, Refused(503, "overloaded", "", True, after))
            pause = task.retry.call_args.kwargs["countdown"]
            self.assertTrue(least <= pause <= most, pause)

    def test_the_verdicts_of_a_job_that_runs_are_waited_for(self):
        self.answers += [(200, {}, {"state": "running", "eta_s": 7}), (200, {}, {"state": "done"}), self.page()]
        goldcrest.celery.collect.delay("j").get()
        self.assertEqual([path for _, path, _, _ in self.calls], ["/v1/jobs/j?wait=20"] * 2 + ["/v1/jobs/j/results?limit=1000"])

    def test_verdicts_are_kept_once_however_often_they_come(self):
        broken = {**ROW, "format": "", "state": "broken", "reason": "source_not_found"}
        for _ in range(2):
            self.answers += [(200, {}, {"state": "partial"}), self.page({**ROW, "state": "made", "bytes": 5}, broken)]
            found = goldcrest.celery.collect.delay("j").get()
            self.assertEqual(found, [{"id": ROW["id"], "pointer": ROW["pointer"], "source": ROW["source"], "reason": "source_not_found"}])
        self.assertEqual(sorted(Verdict.objects.values_list("state", "reason", "bytes")), [("broken", "source_not_found", 0), ("made", "", 5)])

    def test_without_a_function_only_what_is_broken_is_read(self):
        self.set(VERDICTS="")
        self.answers += [(200, {}, {"state": "done"}), self.page()]
        self.assertEqual(goldcrest.celery.collect.delay("j").get(), [])
        self.assertEqual(self.calls[-1][1], "/v1/jobs/j/results?limit=1000&state=broken")

    def test_a_project_without_callbacks_follows_its_jobs(self):
        self.answers += [(202, {}, {"job": "j"}), (200, {}, {"state": "done"}), self.page({**ROW, "state": "present"})]
        Product.objects.create(photo="https://a/1.jpg")
        self.assertEqual(Verdict.objects.get().state, "present")

    def test_settings_come_from_the_environment_where_there_is_no_django(self):
        with mock.patch.object(conf, "_django_settings", return_value=None):
            with mock.patch.dict(os.environ, GOLDCREST_VARIANTS="lite, std"):
                self.assertEqual((conf.get("VARIANTS"), conf.get("MODELS")), (["lite", "std"], {}))
            with mock.patch.dict(os.environ, GOLDCREST_TOKEN=""):
                self.assertRaises(ValueError, conf.client)


class Callbacks(Project):
    def call(self, event, ident="m1", secret=SECRET):
        body, at = json.dumps(event).encode(), str(int(time.time()))
        mac = hmac.new(base64.b64decode(secret[len("whsec_"):]), f"{ident}.{at}.".encode() + body, hashlib.sha256).digest()
        headers = {
            "HTTP_WEBHOOK_ID": ident, "HTTP_WEBHOOK_TIMESTAMP": at, "HTTP_WEBHOOK_SIGNATURE": "v1," + base64.b64encode(mac).decode(),
        }
        client = django.test.client.Client(enforce_csrf_checks=True, raise_request_exception=False)
        return client.post("/goldcrest/", body, content_type="application/json", **headers).status_code

    def test_a_job_that_is_done_has_its_verdicts_taken_once(self):
        done = {"type": "job.done", "data": {"job": "j"}}
        self.answers += [(200, {}, {"state": "done"}), self.page({**ROW, "state": "made"})]
        self.assertEqual([self.call(done, "once"), self.call(done, "once")], [204, 204])
        self.assertEqual((Event.objects.count(), Verdict.objects.count()), (1, 1))

    def test_a_callback_that_could_not_be_taken_comes_again(self):
        broken = {"type": "image.broken", "data": {"broken": []}}
        with mock.patch.object(shop.images, "told", side_effect=OSError), self.assertLogs("django.request"):
            self.assertEqual(self.call(broken, "again"), 500)
        self.assertEqual(self.call(broken, "again"), 204)
        self.assertEqual(Event.objects.get().type, "image.broken")

    def test_what_is_not_signed_is_refused(self):
        other = "whsec_" + base64.b64encode(b"another secret of 24 bytes").decode()
        with self.assertLogs("django.request"):
            self.assertEqual(self.call({"type": "job.done", "data": {"job": "j"}}, secret=other), 401)
            self.assertEqual(django.test.client.Client().get("/goldcrest/").status_code, 405)
        self.set(SECRETS=[])
        with self.assertLogs("django.request"):
            self.assertEqual(self.call({"type": "job.done", "data": {"job": "j"}}), 401)
        self.assertEqual((self.calls, Event.objects.count()), ([], 0))


class Backfill(Project):
    def setUp(self):
        super().setUp()
        Product.objects.bulk_create(Product(pk=n, title=f"p{n % 2}", photo=f"https://a/{n}.jpg" if n != 3 else "") for n in range(1, 6))
        self.out, self.err = io.StringIO(), io.StringIO()

    def run_it(self, *arguments):
        call_command("goldcrest_backfill", "shop.Product", *arguments, stdout=self.out, stderr=self.err)

    def ids(self):
        return [[int(unit["data"]["id"].partition(":")[2]) for unit in body["data_units"]] for body in self.posted()]

    def test_a_queryset_is_posted_in_batches(self):
        self.answers += [(202, {}, {"job": "j1"}), (202, {}, {"job": "j2"}), (202, {}, {"job": "j3"})]
        self.run_it("--batch", "2", "--variants", "std,lite", "--tag", "old")
        self.assertEqual(self.ids(), [[1, 2], [4], [5]])
        body = self.posted()[0]
        self.assertEqual((body["variants"], body["priority"], body["tags"], body["return"]), (["std", "lite"], "low", ["old"], "none"))
        self.assertIn("4 units with images of 5 instances are posted in 3 jobs", self.out.getvalue())
        self.assertRegex(self.err.getvalue(), r"posted 2 of 5 \(40%\), \d+/s, \d+ s left\n")

    def test_it_is_filtered_and_goes_on_where_it_stopped(self):
        self.answers += [(202, {}, {"job": "j"})] * 2
        self.run_it("--filter", "title=p1", "--filter", "pk__lt=5", "--after", "1")
        self.run_it("--filter", "title=p1", "--filter", "pk__in=[1, 2]")
        self.assertEqual(self.ids(), [[1]])

    def test_a_refusal_says_where_to_go_on(self):
        self.answers += [(202, {}, {"job": "j"}), self.problem(429, True, {"Retry-After": "90000"}, code="quota_exceeded", detail="no more")]
        with self.assertRaisesRegex(CommandError, "no more .*2 instances are posted; go on with --after 2"):
            self.run_it("--batch", "2")

    def test_verdicts_are_waited_for_and_what_is_broken_is_named(self):
        broken = {**ROW, "state": "broken", "reason": "source_not_found"}
        ended = {"state": "partial", "counts": {"made": 6, "broken": 2, "failed": 1}}
        self.answers += [(202, {}, {"job": "j"}), (200, {}, ended), self.page(broken, {**broken, "format": "avif"})]
        with self.assertRaisesRegex(CommandError, "some variants failed"):
            self.run_it("--wait")
        self.assertIn("broken shop.product:1 https://a/1.jpg source_not_found\n", self.out.getvalue())
        self.assertIn("made 6, present 0, broken 2, failed 1 variants; 1 images are broken", self.out.getvalue())

    def test_what_cannot_be_chosen_is_told(self):
        for arguments in (("--filter", "colour=red"), ("--filter", "pk"), ("--filter", "pk=x"), ("--batch", "0"), ("--queryset", "shop.nothing.here")):
            with self.subTest(arguments), self.assertRaises(CommandError):
                self.run_it(*arguments)
        with self.assertRaisesRegex(CommandError, "MODELS does not name shop.Event"):
            call_command("goldcrest_backfill", "shop.Event", stdout=self.out, stderr=self.err)

    def test_a_terminal_gets_a_bar(self):
        terminal, now = io.StringIO(), iter([0.0, 2.0, 4.0])
        terminal.isatty = lambda: True
        bar = backfill.Bar(OutputWrapper(terminal), "posted", 4, now=lambda: next(now))
        bar.show(1)
        bar.show(4)
        bar.end()
        self.assertEqual(
            terminal.getvalue(),
            f"\r\x1b[K[{'#' * 7}{'-' * 23}] posted 1 of 4 (25%), 0/s, 6 s left\r\x1b[K[{'#' * 30}] posted 4 of 4 (100%), 1/s, 0 s left\n",
        )


class Checks(Project):
    def test_the_example_is_right_and_mistakes_are_named(self):
        self.assertEqual(list(checks.faults()), [])
        for changed, said in (
            ({"TOKENS": "s3cret"}, "no setting TOKENS: did you mean TOKEN"),
            ({"VARIANTS": "lite"}, "VARIANTS is not a list"),
            ({"URL": ""}, "URL"),
            ({"CALLBACK": "https://a/", "SECRETS": []}, "CALLBACK is set without SECRETS"),
            ({"VERDICTS": "shop.images.nothing"}, "VERDICTS: shop.images.nothing is not the dotted path of a function"),
            ({"MODELS": {"shop.Nothing": []}}, "shop.Nothing, which is no model"),
            ({"MODELS": {"shop.Product": ["foto"]}}, "foto, which is no field of shop.Product"),
        ):
            with self.subTest(said), mock.patch.dict(settings.GOLDCREST, changed):
                found = [error.msg for error in checks.check()]
                self.assertEqual(len(found), 1, found)
                self.assertIn(said, found[0])
                self.assertNotIn("s3cret", found[0])


if __name__ == "__main__":
    unittest.main()
