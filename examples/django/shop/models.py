"""Products with photos, and what became of the photos."""

from django.db import models


class Product(models.Model):
    """Something with a photo, and more of them in a list of URLs."""

    title = models.CharField(max_length=200)
    photo = models.URLField(blank=True)
    gallery = models.JSONField(default=list, blank=True)


class Verdict(models.Model):
    """What became of one image in one variant and format."""

    unit = models.CharField(max_length=200)  # such as shop.product:42
    source = models.TextField()
    variant = models.CharField(max_length=200)
    format = models.CharField(max_length=16, blank=True)
    state = models.CharField(max_length=16)
    reason = models.CharField(max_length=64, blank=True)
    bytes = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["unit", "source", "variant", "format"], name="one_verdict")]


class Event(models.Model):
    """A callback, so that support sees what was told when."""

    type = models.CharField(max_length=64)
    data = models.JSONField()
    at = models.DateTimeField(auto_now_add=True)
