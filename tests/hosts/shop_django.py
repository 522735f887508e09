"""The site as an application of Django in one module, for `runserver`."""

import time
from typing import Any

import django.http
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path
from shop_site import note, shop

from typedbus.hosting import wsgi

if not settings.configured:
    settings.configure(
        ROOT_URLCONF=__name__,
        WSGI_APPLICATION="shop_django.application",
        ALLOWED_HOSTS=["*"],
        DEBUG=True,
        SECRET_KEY="of the tests",
    )


def page(request: Any) -> Any:
    if request.path == "/slow":
        note("request")
        time.sleep(0.5)
    return django.http.HttpResponse(shop.database().pid())


urlpatterns = [path("", page), path("slow", page), path("second", page)]
application = wsgi.Hosted(get_wsgi_application(), shop)

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line()
