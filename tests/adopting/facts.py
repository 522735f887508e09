"""
The events of seven programs: name, parameters, and what the program does with the results of the listeners.

A line is ``name(parameters)``, and after ``->`` how the program publishes: *results* uses each result, *first* takes the
first answer, *fold* passes the first argument on, *attempt* never raises and ignores the results. Without an arrow the
listeners return nothing. ``...`` is a default.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Final

import attrs

PELICAN: Final = """
pelican_initialized(pelican, /)
get_generators(pelican, /) -> results
all_generators_finalized(generators, /)
get_writer(pelican, /) -> results
pelican_finalized(pelican, /)
readers_init(readers, /)
generator_init(generator, /)
article_generator_init(generator, /)
article_generator_pretaxonomy(generator, /)
article_generator_finalized(generator, /)
article_generator_write_article(generator, /, *, content)
article_writer_finalized(generator, /, *, writer)
article_generator_preread(generator, /)
article_generator_context(generator, /, *, metadata)
page_generator_init(generator, /)
page_generator_finalized(generator, /)
page_generator_write_page(generator, /, *, content)
page_writer_finalized(generator, /, *, writer)
page_generator_preread(generator, /)
page_generator_context(generator, /, *, metadata)
static_generator_init(generator, /)
static_generator_finalized(generator, /)
static_generator_preread(generator, /)
static_generator_context(generator, /, *, metadata)
content_object_init(content, /)
content_written(path, /, *, context)
feed_generated(context, /, *, feed)
feed_written(path, /, *, context, feed)
"""

MKDOCS: Final = """
startup(*, command, dirty)
shutdown()
serve(server, /, *, config, builder) -> fold
config(config, /) -> fold
pre_build(*, config)
files(files, /, *, config) -> fold
nav(nav, /, *, config, files) -> fold
env(env, /, *, config, files) -> fold
post_build(*, config)
build_error(*, error)
pre_template(template, /, *, template_name, config) -> fold
template_context(context, /, *, template_name, config) -> fold
post_template(output_content, /, *, template_name, config) -> fold
pre_page(page, /, *, config, files) -> fold
page_read_source(*, page, config) -> first
page_markdown(markdown, /, *, page, config, files) -> fold
page_content(html, /, *, page, config, files) -> fold
page_context(context, /, *, page, config, nav) -> fold
post_page(output, /, *, page, config) -> fold
"""

CELERY: Final = """
before_task_publish(*, signal=..., sender, body, exchange, routing_key, headers, properties, declare, retry_policy) -> attempt
after_task_publish(*, signal=..., sender, body, headers, exchange, routing_key) -> attempt
task_received(*, signal=..., sender, request) -> attempt
task_prerun(*, signal=..., sender, task_id, task, args, kwargs) -> attempt
task_postrun(*, signal=..., sender, task_id, task, args, kwargs, retval, state) -> attempt
task_success(*, signal=..., sender, result) -> attempt
task_retry(*, signal=..., sender, request, reason=..., einfo) -> attempt
task_failure(*, signal=..., sender, task_id, exception, args, kwargs, traceback, einfo) -> attempt
task_internal_error(*, signal=..., sender, task_id, args, kwargs, request, exception, traceback, einfo) -> attempt
task_revoked(*, signal=..., sender, request, terminated, signum, expired) -> attempt
task_rejected(*, signal=..., sender, message, exc) -> attempt
task_unknown(*, signal=..., sender, message, exc, name, id) -> attempt
task_sent(*, signal=..., sender, task_id, task, args, kwargs, eta, taskset) -> attempt
celeryd_init(*, signal=..., sender, instance, conf, options) -> attempt
celeryd_after_setup(*, signal=..., sender, instance, conf) -> attempt
import_modules(*, signal=..., sender) -> attempt
worker_init(*, signal=..., sender) -> attempt
worker_before_create_process(*, signal=..., sender) -> attempt
worker_process_init(*, signal=..., sender) -> attempt
worker_process_shutdown(*, signal=..., sender, pid, exitcode) -> attempt
worker_ready(*, signal=..., sender) -> attempt
worker_shutdown(*, signal=..., sender) -> attempt
worker_shutting_down(*, signal=..., sender, sig, how, exitcode) -> attempt
heartbeat_sent(*, signal=..., sender) -> attempt
setup_logging(*, signal=..., sender, loglevel, logfile, format, colorize) -> attempt
after_setup_logger(*, signal=..., sender, logger, loglevel, logfile, format, colorize) -> attempt
after_setup_task_logger(*, signal=..., sender, logger, loglevel, logfile, format, colorize) -> attempt
beat_init(*, signal=..., sender) -> attempt
beat_embedded_init(*, signal=..., sender) -> attempt
eventlet_pool_started(*, signal=..., sender) -> attempt
eventlet_pool_preshutdown(*, signal=..., sender) -> attempt
eventlet_pool_postshutdown(*, signal=..., sender) -> attempt
eventlet_pool_apply(*, signal=..., sender, target, args, kwargs) -> attempt
user_preload_options(*, signal=..., sender, app, options) -> attempt
"""


@attrs.frozen
class Fact:
    """
    What is known of an event.

    Attributes:
        signature: The parameters with which its listeners are called.
        use: What follows the arrow; "" if there is none.
    """

    signature: inspect.Signature
    use: str

    @property
    def verb(self) -> str:
        """The method with which the program publishes."""
        return "publish" if self.use in ("", "results") else self.use

    @property
    def has_result(self) -> bool:
        """Whether the program uses what a listener returns."""
        return self.use not in ("", "attempt")


def facts(text: str) -> Mapping[str, Fact]:
    """Return the facts in *text* by the name of the event."""
    lines = re.findall(r"^(\S+?)\((.*)\)(?: -> (.+))?$", text, re.MULTILINE)
    return {name: Fact(inspect.signature(eval(f"lambda {parameters}: 0")), use) for name, parameters, use in lines}


#: The number of events beside the list, which no line can leave unnoticed.
PROGRAMS: Final[Mapping[str, tuple[int, Mapping[str, Fact]]]] = {
    "pelican": (28, facts(PELICAN)),
    "mkdocs": (19, facts(MKDOCS)),
    "celery": (34, facts(CELERY)),
}
