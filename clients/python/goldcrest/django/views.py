"""The view that takes the server's callbacks."""

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from .. import conf
from ..celery import collect
from ..webhook import BadSignature, verify_webhook

_DAY = 24 * 60 * 60


@csrf_exempt  # The signature says whose call it is.
@require_POST
def webhook(request: HttpRequest) -> HttpResponse:
    """Checks a callback's signature, gives its event to EVENTS, and has the task collect take the verdicts of a job that is done.

    An exception of EVENTS, or a broker that is down, is answered with 500, so that the callback comes again. One that was
    taken before is known by its webhook-id, in Django's default cache, and dropped. A cache that forgets lets it through: a
    callback comes at least once.
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
