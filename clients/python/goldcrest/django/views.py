"""The view that takes the server's callbacks."""

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from .. import conf
from ..celery import collect
from ..webhook import BadSignature, verify_webhook

_DAY = 24 * 60 * 60


@csrf_exempt  # The signature authenticates the call.
@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    """Checks a callback's signature, passes its event to EVENTS, and sends the task collect for a job that is done.

    An exception of EVENTS, or a broker that is down, causes a 500, so that the callback is sent again. Django's default cache
    keeps the webhook-id of each accepted callback, and a repeated one is dropped. If the cache loses the id, the callback is
    processed again: delivery is at least once.
    """
    try:
        event = verify_webhook(conf.get("SECRETS"), request.headers, request.body)
    except BadSignature:
        return HttpResponse(status=401)
    known = "goldcrest.webhook." + request.headers["webhook-id"]
    if cache.get(known):
        return HttpResponse(status=204)
    take = conf.function(conf.get("EVENTS"))
    if take:
        take(event)
    if event["type"] == "job.done" and conf.get("VERDICTS"):
        collect.apply_async((event["data"]["job"],), ignore_result=True)
    cache.set(known, True, _DAY)
    return HttpResponse(status=204)
