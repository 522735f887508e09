"""The site for a WSGI server: gunicorn, or Apache with ``WSGIScriptAlias / .../examples/site/wsgi.py``."""

import os
from pathlib import Path

from examples.site.container import WSGISite
from typedbus.hosting.wsgi import Hosted

# No command line names another file here; the environment may.
os.environ.setdefault("TYPEDBUS_CONFIG", str(Path(__file__).with_name("site.toml")))
site = WSGISite()
# A lambda, since an exit of the bus discards the components and the next start makes others.
application = Hosted(lambda environ, start_response: site.front()(environ, start_response), site)  # noqa: PLW0108
