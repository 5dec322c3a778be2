"""path("goldcrest/", include("goldcrest.django.urls")): the URL of the setting CALLBACK."""

from django.urls import path

from .views import webhook

app_name = "goldcrest"
urlpatterns = [path("", webhook, name="webhook")]
