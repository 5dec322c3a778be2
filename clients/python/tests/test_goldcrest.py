"""Run by `make test`: python3 -m unittest discover. The vectors are those of the Go package client."""

import contextlib
import copy
import importlib
import importlib.util
import inspect
import json
import os
import pathlib
import pickle
import pkgutil
import sys
import unittest
import warnings
from datetime import datetime, timedelta, timezone

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "clients" / "python"))

import goldcrest  # noqa: E402
from answers import Answers  # noqa: E402
from goldcrest import BadSignature, Client, Refused, Signer, StaleSignature, Unit, expiry, verify_webhook  # noqa: E402


def vectors(name):
    return json.loads((ROOT / "client" / "testdata" / name).read_text(encoding="utf-8"))


class Signing(unittest.TestCase):
    def test_urls_are_those_of_the_go_client(self):
        for row in vectors("urls.json"):
            with self.subTest(row["name"]):

                secret = row.get("encryption_key", "")
                if secret and not importlib.util.find_spec("cryptography"):
                    self.skipTest("the package cryptography is not installed")

                def sign():
                    signer = Signer(
                        row["base"], row["key"], row["salt"], row["key_id"], row["signature_size"],
                        now=lambda: row["now"], encryption_key=secret,
                    )
                    url = signer.encrypted_url if secret else signer.url
                    return url(row["source"], row["options"], row["ttl"], row["round"])

                if row["url"]:
                    self.assertEqual(sign(), row["url"])
                else:
                    self.assertRaises(ValueError, sign)

    def test_viewers_of_one_day_share_a_url(self):
        now = 1773144000
        signer = Signer("http://localhost:8080", "ab", now=lambda: now)
        first = signer.url("http://a/", "w:5", timedelta(hours=1))
        now += 11 * 3600
        self.assertEqual(signer.url("http://a/", "w:5", 3600), first)
        now += 1
        self.assertNotEqual(signer.url("http://a/", "w:5", 3600), first)
        self.assertEqual(expiry(now, 0), 0)
        self.assertRaises(ValueError, signer.sign, "x")
        self.assertRaises(ValueError, signer.encrypted_url, "http://a/")

    def test_the_signatures_of_the_corpus(self):
        corpus = os.environ.get("GOLDCREST_CORPUS", ROOT.parent / "shared" / "corpus")
        file = pathlib.Path(corpus) / "vectors" / "signature.tsv"
        if not file.exists():
            self.skipTest("the corpus is absent (set GOLDCREST_CORPUS)")
        head, *rows = [line.split("\t") for line in file.read_text(encoding="utf-8").rstrip("\n").split("\n")]
        checked = 0
        for row in (dict(zip(head, values)) for values in rows):
            if row["hash"] != "sha256" or row["base64url"] != "unpadded" or row["cut_to"] or row["message"][0] != "/":
                continue
            signed = Signer("http://a", row["key_hex"], row["salt_hex"]).sign(row["message"])
            self.assertEqual(signed, f"/{row['signature']}{row['message']}", row["id"])
            checked += 1
        self.assertGreaterEqual(checked, 2)


class Webhooks(unittest.TestCase):
    def test_callbacks_are_believed_as_the_go_client_does(self):
        wrong = {"bad": BadSignature, "stale": StaleSignature, "secret": ValueError}
        for row in vectors("webhooks.json"):
            headers = {"Webhook-Id": row["id"], "Webhook-Timestamp": row["at"], "Webhook-Signature": row["signature"]}
            with self.subTest(row["name"]):
                with self.assertRaises(wrong[row["want"]]) if row["want"] != "ok" else contextlib.nullcontext() as caught:
                    event = verify_webhook(row["secret"], headers, row["body"].encode(), row["tolerance"] or 300, lambda: row["now"])
                    self.assertEqual(event, json.loads(row["body"]))
                if caught:
                    self.assertIs(type(caught.exception), wrong[row["want"]])
                    self.assertNotIn("MfKQ", str(caught.exception))

    def test_one_of_several_secrets_is_enough(self):
        row = vectors("webhooks.json")[0]
        headers = {"webhook-id": row["id"], "webhook-timestamp": row["at"], "webhook-signature": row["signature"]}
        event = verify_webhook(["another", row["secret"]], headers, row["body"].encode(), now=lambda: row["now"])
        self.assertEqual(event, json.loads(row["body"]))


def exceptions():
    """Every exception class of the package."""
    modules = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Warnings of the frameworks do not matter here.
        for m in pkgutil.walk_packages(goldcrest.__path__, "goldcrest."):
            try:
                modules.append(importlib.import_module(m.name))
            except ModuleNotFoundError as absent:
                if absent.name not in ("celery", "django", "kombu"):
                    raise
    classes = {c for module in modules for _, c in inspect.getmembers(module, inspect.isclass)}
    return sorted((c for c in classes if issubclass(c, Exception) and c.__module__.startswith("goldcrest")), key=lambda c: c.__name__)


class Exceptions(unittest.TestCase):
    """Task queues and process pools transfer exceptions by pickle, or by their class and args."""

    def test_every_exception_is_whole_after_a_round_trip(self):
        self.assertGreaterEqual({c.__name__ for c in exceptions()}, {"BadSignature", "Refused", "StaleSignature"})
        for kind in exceptions():
            own = inspect.signature(kind) if kind.__init__ is not Exception.__init__ else None
            # Each argument has another value, so that a lost or swapped one is noticed.
            arguments = [f"{name}-{i}" for i, name in enumerate(own.parameters)] if own else ["detail"]
            first = kind(*arguments)
            ways = {
                "copy": copy.copy(first),
                "deepcopy": copy.deepcopy(first),
                "args": kind(*json.loads(json.dumps(first.args))),
                "repr": eval(repr(first), {kind.__name__: kind}),
            }
            ways.update({f"pickle {p}": pickle.loads(pickle.dumps(first, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)})
            for way, again in ways.items():
                with self.subTest(exception=kind.__name__, way=way):
                    self.assertIs(type(again), kind)
                    self.assertEqual((again.args, str(again), vars(again)), (first.args, str(first), vars(first)))
            for value in arguments:
                self.assertIn(value, list(vars(first).values()) or first.args)


class Api(Answers):
    def test_units_are_posted_again_after_what_passes_by_itself(self):
        self.answers += [(0, {}, b""), self.problem(429, True, {"Retry-After": "7"}, code="queue_full"), (202, {}, {"job": "j1"})]
        unit = Unit({"photo": "https://a/1.jpg"}, id="u1", select=["/photo"], budget=9000)
        answer = self.api.prewarm(
            [unit, {"x": "y" * 5000}], variants=["lite"], ttl=timedelta(hours=1), round=60, returns="enriched", wait=0.5,
            deadline=datetime(2026, 1, 1, tzinfo=timezone.utc), tags=["t"], budget=120000, again=True,
        )
        self.assertEqual(answer, {"job": "j1"})
        self.assertEqual(len({headers["Idempotency-Key"] for _, _, headers, _ in self.calls}), 1)
        self.assertTrue(self.pauses[0] <= 1 and 7 <= self.pauses[1] < 8, self.pauses)
        method, path, headers, body = self.calls[2]
        self.assertEqual((method, path), ("POST", "/v1/prewarm?body=envelope"))
        self.assertEqual((headers["Authorization"], headers["Prefer"], headers["Content-Encoding"]), ("Bearer t0ken", "wait=1", "gzip"))
        self.assertEqual(body.pop("data_units")[0], {"data": {"photo": "https://a/1.jpg"}, "id": "u1", "select": ["/photo"], "budget": 9000})
        self.assertEqual(body, {"wrapped": True, "variants": ["lite"], "budget": 120000, "again": True, "ttl": "3600000ms", "round": "60000ms", "return": "enriched", "deadline": "2026-01-01T00:00:00Z", "tags": ["t"]})

    def test_a_pause_that_is_longer_than_all_that_are_left_is_not_begun(self):
        self.answers.append(self.problem(429, True, {"Retry-After": "3600"}, code="quota_exceeded"))
        with self.assertRaises(Refused) as caught:
            self.api.prewarm(urls=["http://a/"])
        self.assertEqual((caught.exception.code, caught.exception.retry_after, len(self.calls)), ("quota_exceeded", 3600, 1))

    def test_refusals_for_good_are_not_repeated_and_tries_end(self):
        self.answers.append(self.problem(422, False, code="bad_selector", detail="no", request_id="r1"))
        with self.assertRaises(Refused) as caught:
            self.api.prewarm(urls=["http://a/"])
        self.assertEqual((caught.exception.status, caught.exception.code), (422, "bad_selector"))
        self.assertIn("r1", str(caught.exception))
        self.answers += [(503, {}, b"busy")] * 3
        with self.assertRaises(Refused) as caught:
            Client(self.url, "t", attempts=3, sleep=self.pauses.append).job("a/b")
        self.assertTrue(caught.exception.retryable)
        self.assertEqual([path for _, path, _, _ in self.calls[1:]], ["/v1/jobs/a%2Fb"] * 3)
        self.assertRaises(ValueError, self.api.prewarm)
        for url, token in (("gc:8081", "t"), ("http://", "t"), ("http://u:s3cret@gc", "t"), ("http://gc", ""), ("http://gc", "a b"), ("http://gc", "a\n")):
            with self.assertRaises(ValueError) as caught:
                Client(url, token)
            self.assertNotIn("s3cret", str(caught.exception))

    def test_an_answer_that_breaks_off_is_asked_for_again(self):
        cut = (200, {"Content-Length": "999"}, b'{"job":')
        self.answers += [cut, (200, {}, {"job": "j"}), cut, (200, {}, b'{"index":0}\n'), (502, {"Content-Type": "application/problem+json"}, []), (200, {}, {"job": "j"})]
        self.assertEqual(self.api.job("j"), {"job": "j"})
        self.assertEqual(list(self.api.results("j")), [{"index": 0}])
        self.assertEqual(self.api.job("j"), {"job": "j"})
        self.assertEqual(len(self.pauses), 3)

    def test_the_token_goes_to_the_server_alone(self):
        self.answers += [(302, {"Location": self.url + "/elsewhere"}, b""), (200, {}, b"<html>")]
        with self.assertRaises(Refused) as caught:
            self.api.job("j")
        self.assertEqual(caught.exception.status, 302)
        with self.assertRaises(Refused) as caught:
            self.api.job("j")
        self.assertEqual((caught.exception.code, caught.exception.retryable), ("not_json", False))
        self.assertEqual(len(self.calls), 2)
        for error in (caught.exception, Refused(0, "c", "d", True)):
            self.assertNotIn("t0ken", repr(error) + repr(pickle.dumps(error)))

    def test_a_job_is_polled_and_its_verdicts_read_page_by_page(self):
        self.answers += [
            (200, {}, {"state": "running"}),
            (200, {}, {"state": "partial"}),
            (200, {"Link": '</v1/jobs/j/results?cursor=c%2B1>; rel="next"'}, b'{"index":0}\n'),
            (200, {}, b'{"index":1}\n'),
            (200, {}, b'{"ind'),
        ]
        seen = []
        self.assertEqual(self.api.wait("j", lambda state: seen.append(state["state"]))["state"], "partial")
        self.assertEqual(seen, ["running", "partial"])
        self.assertEqual([v["index"] for v in self.api.results("j", "broken")], [0, 1])
        self.assertEqual(self.calls[3][1], "/v1/jobs/j/results?limit=1000&state=broken&cursor=c%2B1")
        self.assertRaises(Refused, list, self.api.results("j"))

    def test_lists_broken_sources_check_and_purge(self):
        self.answers += [(200, {}, {"jobs": [1], "cursor": "2"}), (200, {}, {"jobs": [2]}), (200, {}, {"broken": [3]}), (200, {}, {"usage": [4]})] + [(200, {}, {"purged": 1})] * 4
        self.assertEqual(list(self.api.jobs()), [1, 2])
        self.assertEqual(self.api.broken(datetime(1970, 1, 1, tzinfo=timezone.utc), 5), [3])
        self.assertEqual(self.api.usage("shop", 3), [4])
        self.api.check(urls=["http://a/"])
        self.assertEqual(self.api.purge(source="http://a/")["purged"], 1)
        self.api.retry("j")
        self.api.cancel("j")
        self.assertEqual(
            [f"{method} {path}" for method, path, _, _ in self.calls[1:]],
            ["GET /v1/jobs?cursor=2", "GET /v1/broken?since=1970-01-01T00%3A00%3A00Z&limit=5", "GET /v1/usage?owner=shop&days=3", "POST /v1/check?body=envelope", "POST /v1/purge", "POST /v1/jobs/j/retry", "DELETE /v1/jobs/j"],
        )

    def test_check_has_units_read_as_prewarm_does(self):
        self.answers += [(200, {}, {})] * 2
        self.api.check(data_units=[{"id": 1, "data": {"keys": ["x"]}}], select=["/photo"])
        self.api.check(keys=["v1/a"])
        self.assertEqual([path for _, path, _, _ in self.calls], ["/v1/check?body=envelope", "/v1/check"])
        self.assertEqual(
            self.calls[0][3], {"data_units": [{"data": {"id": 1, "data": {"keys": ["x"]}}}], "wrapped": True, "select": ["/photo"]}
        )
        self.assertEqual(self.calls[1][3], {"keys": ["v1/a"]})


if __name__ == "__main__":
    unittest.main()
