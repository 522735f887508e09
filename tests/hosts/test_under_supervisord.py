"""Programs that supervisord begins and ends: one that owns its process, and a server that hosts the container."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from host_process import BIN, FULL_LIFE, Host, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (BIN / "supervisord").exists(), reason="supervisord is not installed beside this Python"),
]

CONFIGURATION = f"""
[supervisord]
nodaemon=true
logfile=%(here)s/supervisord.log
pidfile=%(here)s/supervisord.pid

[unix_http_server]
file=%(here)s/socket

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://%(here)s/socket

[program:run]
command={sys.executable} -m typedbus run shop_site:Shop
stopwaitsecs=60

[program:waitress]
command={BIN}/waitress-serve --listen 127.0.0.1:%(ENV_PORT)s shop_site:application
stopsignal=INT
stopwaitsecs=60
"""


def test_a_restart_and_the_end_of_supervisord_exit_each_bus(tmp_path: Path) -> None:
    """SIGTERM for `typedbus run`, SIGINT for a server that catches nothing else."""
    (tmp_path / "supervisord.conf").write_text(CONFIGURATION, encoding="utf-8")
    host = Host([str(BIN / "supervisord"), "-c", str(tmp_path / "supervisord.conf")], tmp_path)

    def lives_are(*expected: list[str]) -> bool:
        host.try_to_get()
        return sorted(host.lives.values()) == sorted(expected)

    try:
        wait_for(lambda: lives_are(["start"], ["start"]), host.described)
        control = [str(BIN / "supervisorctl"), "-c", str(tmp_path / "supervisord.conf"), "restart", "all"]
        subprocess.run(control, check=True, timeout=120, capture_output=True)
        wait_for(lambda: lives_are(FULL_LIFE, FULL_LIFE, ["start"], ["start"]), host.described)

        assert host.end() == 0
        assert list(host.lives.values()) == [FULL_LIFE] * 4
    finally:
        host.kill()
