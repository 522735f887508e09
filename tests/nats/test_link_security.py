"""A link uses the secrets in its files, never in plain text where TLS is demanded, and shows none of them."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import attrs
import nkeys
import pytest
from tests.nats.links import holds
from tests.nats.recorded_link import RecordedLink, recorded_link
from tests.nats.servers import NatsServer, certificates, nkey

from typedbus import Bus
from typedbus.nats import TLS, Connected, Link, LinkFault, NotConnected

REFUSED = "the server refuses the user, the token or the key of this process"


def check_connects(server: NatsServer, **options: Any) -> RecordedLink:
    """Connect, send a message to itself, and return the link with its events and its log."""

    async def check() -> RecordedLink:
        async with recorded_link(server.url, **options) as made:
            connection = made.link.session("x").connection
            received: list[bytes] = []
            await connection.subscribe("x", lambda message: received.append(message.data))
            connection.send("x", b"17")
            await holds(lambda: received == [b"17"])
        return made

    return asyncio.run(check())


def check_refused(server: NatsServer, **options: Any) -> str:
    """Connect in vain, and return the text of the error."""

    async def check(seconds: float) -> str:
        began = time.monotonic()
        with pytest.raises(NotConnected) as raised:
            await RecordedLink(server.url, **{"connect_within": seconds, **options}).link.start()
        assert time.monotonic() - began < seconds + 20
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return str(raised.value)

    text = asyncio.run(check(0.5))
    # On a busy machine the server may need longer for its answer.
    return asyncio.run(check(10.0)) if "no server has answered yet" in text else text


def test_a_token_is_read_from_its_file(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("s3cret\n")
    wrong.write_text("0ther")
    with NatsServer(tmp_path / "nats", config="authorization { token: s3cret }") as server:
        check_connects(server, token_file=right)
        check_connects(server, token_file=str(right))
        for file in (wrong, None):
            text = check_refused(server, token_file=file)
            assert REFUSED in text
            assert "correct the address or the credentials" in text
            assert "0ther" not in text


def test_a_changed_token_is_used_for_the_next_connection(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first")

    async def check(server: NatsServer) -> None:
        async with recorded_link(server.url, token_file=token) as made:
            server.config = "authorization { token: second }"
            server.reload()
            await holds(lambda: REFUSED in made.link.check().detail)
            token.write_bytes(b"\xff")
            await holds(lambda: "is no text in UTF-8" in made.link.check().detail)
            token.unlink()
            await holds(lambda: "cannot be read: No such file" in made.link.check().detail)
            token.write_text("second")
            await holds(lambda: made.link.is_connected)

    with NatsServer(tmp_path / "nats", config="authorization { token: first }") as server:
        asyncio.run(check(server))


@pytest.mark.parametrize("userinfo", ["shop:s3cret%40", "shop%3A1:s3cret"])
def test_an_address_may_have_a_user_and_a_password(tmp_path: Path, userinfo: str) -> None:
    user, _, password = userinfo.replace("%40", "@").partition(":")
    config = f"authorization {{ user: '{user.replace('%3A', ':')}', password: '{password}' }}"
    with NatsServer(tmp_path, config=config) as server:
        address = server.url.replace("//", f"//{userinfo}@")

        async def check() -> None:
            async with recorded_link(address) as made:
                assert made.events == [Connected(server.url)]

        asyncio.run(check())


@pytest.mark.parametrize("argument", ["token_file", "nkey_seed", "credentials"])
@pytest.mark.parametrize(
    ("contents", "problem"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"s3cret \xff", "is no text in UTF-8"),
        (b"s3cret\ns3cret", "must have one line|has no seed of a user|has no line 'BEGIN NATS USER JWT'"),
    ],
)
def test_a_file_without_a_secret_fails_the_start(
    tmp_path: Path, argument: str, contents: bytes | None, problem: str
) -> None:
    file = tmp_path / "file"
    if contents is not None:
        file.write_bytes(contents)
    check_fault(argument, problem, str(file), **{argument: file})


def check_fault(argument: str, problem: str, file: str, **options: Any) -> None:
    async def check() -> None:
        with pytest.raises(LinkFault, match=problem) as raised:
            await RecordedLink("nats://127.0.0.1:1", **options).link.start()
        assert raised.value.argument == argument
        assert file in str(raised.value)
        assert "s3cret" not in str(raised.value)

    asyncio.run(check())


def test_a_folder_is_no_file_with_a_secret(tmp_path: Path) -> None:
    check_fault("token_file", "Is a directory", str(tmp_path), token_file=tmp_path)


def test_an_nkey_is_used_and_another_is_refused(tmp_path: Path) -> None:
    key, other = nkey(tmp_path), nkey(tmp_path, "other")
    with NatsServer(tmp_path / "nats", config=f"authorization {{ users: [{{ nkey: {key.public} }}] }}") as server:
        check_connects(server, nkey_seed=key.seed)
        assert REFUSED in check_refused(server, nkey_seed=other.seed)


def test_a_seed_of_an_account_is_no_seed_of_a_user(tmp_path: Path) -> None:
    file = tmp_path / "account"
    file.write_bytes(nkeys.encode_seed(bytes(32), nkeys.PREFIX_BYTE_ACCOUNT))
    check_fault("nkey_seed", "it begins with SU", str(file), nkey_seed=file)


@attrs.define(eq=False)
class Issuer:
    """Signs a JWT for an operator, an account or a user."""

    pair: Any
    seed: bytes

    @classmethod
    def of(cls, prefix: int, number: int = 0) -> Issuer:
        seed = nkeys.encode_seed(bytes([number]) * 32, prefix)
        return cls(nkeys.from_seed(bytearray(seed)), seed)

    @property
    def public(self) -> str:
        return str(self.pair.public_key.decode())

    def sign(self, subject: str, kind: str, **claims: Any) -> str:
        header = {"typ": "JWT", "alg": "ed25519-nkey"}
        body: dict[str, Any] = {"jti": "x", "iat": 1, "iss": self.public, "name": "x", "sub": subject, **claims}
        body["nats"] = {"type": kind, "version": 2, **_LIMITS.get(kind, {})}
        text = ".".join(_encoded(json.dumps(part).encode()) for part in (header, body))
        return f"{text}.{_encoded(self.pair.sign(text.encode()))}"


_LIMITS: dict[str, dict[str, Any]] = {
    "account": {
        "limits": {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "conn": -1, "leaf": -1}
    },
    "user": {"subs": -1, "data": -1, "payload": -1},
}


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_credentials_are_used_until_they_expire(tmp_path: Path) -> None:
    operator, account, user = map(
        Issuer.of, (nkeys.PREFIX_BYTE_OPERATOR, nkeys.PREFIX_BYTE_ACCOUNT, nkeys.PREFIX_BYTE_USER)
    )
    system = Issuer.of(nkeys.PREFIX_BYTE_ACCOUNT, number=1)
    config = (
        f"operator: {operator.sign(operator.public, 'operator')}\nresolver: MEMORY\n"
        f"system_account: {system.public}\n"
        f"resolver_preload {{ {account.public}: {operator.sign(account.public, 'account')}\n"
        f"{system.public}: {operator.sign(system.public, 'account')} }}"
    )
    file = tmp_path / "user.creds"

    def write(end: str = "\n", **claims: Any) -> None:
        lines = [
            "-----BEGIN NATS USER JWT-----",
            account.sign(user.public, "user", **claims),
            "------END NATS USER JWT------",
            "",
            "-----BEGIN USER NKEY SEED-----",
            user.seed.decode(),
            "------END USER NKEY SEED------",
        ]
        file.write_bytes(end.join(lines).encode())

    async def expires(server: NatsServer) -> None:
        write(exp=int(time.time()) + 2)
        async with recorded_link(server.url, credentials=file) as made:
            await holds(lambda: len(made.events) == 2)
            await holds(lambda: REFUSED in made.link.check().detail)
            write()
            await holds(lambda: made.link.is_connected)

    with NatsServer(tmp_path / "nats", config=config) as server:
        for end in ("\n", "\r\n"):
            write(end)
            check_connects(server, credentials=file)
        write(exp=int(time.time()) - 10)
        assert REFUSED in check_refused(server, credentials=file)
        asyncio.run(expires(server))


def test_a_seed_and_credentials_exclude_each_other(tmp_path: Path) -> None:
    seed = nkey(tmp_path).seed
    check_fault("credentials", "give either credentials or nkey_seed", "", nkey_seed=seed, credentials=seed)


def test_a_connection_is_encrypted_and_both_sides_have_certificates(tmp_path: Path) -> None:
    files = certificates(tmp_path / "certificates")
    other = certificates(tmp_path / "others")

    def own(authority: Path, hostname: str | None = None) -> TLS:
        return TLS(authority, files.client, files.client_key, hostname)

    with NatsServer(tmp_path / "nats", config=files.mutual) as server:
        check_connects(server, tls=own(files.authority))
        check_connects(server, tls=own(files.authority, "localhost"))
        text = check_refused(server, tls=own(other.authority))
        assert "the certificate of the server is not trusted; name its authority in TLS(ca_file=...)" in text
        assert "is not trusted" in check_refused(server)
        assert "Hostname mismatch" in check_refused(server, tls=own(files.authority, "shop.example"))
        assert "name it in TLS(cert_file=...)" in check_refused(server, tls=TLS(files.authority))


def test_a_connection_with_tls_is_made_again(tmp_path: Path) -> None:
    files = certificates(tmp_path / "certificates")

    async def check(server: NatsServer) -> None:
        async with recorded_link(server.url, tls=TLS(files.authority)) as made:
            for events in (3, 5):
                server.kill9()
                server.start()
                await holds(lambda: len(made.events) == events)  # noqa: B023  # it ends before the next round
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with NatsServer(tmp_path / "nats", config=files.tls) as server:
        asyncio.run(check(server))


def test_a_server_without_tls_is_refused_where_it_is_demanded(tmp_path: Path, server: NatsServer) -> None:
    files = certificates(tmp_path / "certificates")
    assert "the server does not offer TLS" in check_refused(server, tls=TLS(files.authority))


@pytest.mark.parametrize(
    ("ca_file", "cert_file", "key_file", "problem"),
    [
        ("none.pem", None, None, "none.pem' cannot be read: No such file"),
        ("text", None, None, "has no certificates in PEM format"),
        ("authority.pem", "text", "client.key", "are no certificate and its key"),
        ("authority.pem", "client.pem", "server.key", "are no certificate and its key"),
        ("authority.pem", "client.pem", None, "are no certificate and its key"),
        ("authority.pem", None, "client.key", "give cert_file as well"),
    ],
)
def test_a_wrong_file_of_tls_fails_the_start(
    tmp_path: Path, ca_file: str, cert_file: str | None, key_file: str | None, problem: str
) -> None:
    certificates(tmp_path)
    (tmp_path / "text").write_text("no certificate")
    ca, cert, key = (None if name is None else tmp_path / name for name in (ca_file, cert_file, key_file))
    check_fault("tls", problem, "", tls=TLS(ca, cert, key))


def test_a_key_with_a_password_fails_the_start_instead_of_asking_for_it(tmp_path: Path) -> None:
    files = certificates(tmp_path)
    locked = tmp_path / "locked.key"
    command = ["openssl", "ec", "-in", str(files.client_key), "-out", str(locked), "-aes256", "-passout", "pass:s3cret"]
    subprocess.run(command, check=True, capture_output=True)
    check_fault("tls", "the key has a password", str(locked), tls=TLS(files.authority, files.client, locked))


def test_denied_subjects_are_reported(tmp_path: Path) -> None:
    config = (
        "authorization { users: [{ user: shop, password: x, permissions: "
        '{ publish: { deny: "Orders.>" }, subscribe: { deny: "secret" } } }] }'
    )

    @attrs.define(eq=False)
    class Ward:
        refused: list[str] = attrs.field(factory=list)

        def connected(self, server: str) -> None: ...
        def disconnected(self, reason: str) -> None: ...
        def denied(self, subject: str) -> None:
            self.refused.append(subject)

        def replies_refused(self) -> None: ...

    async def check(server: NatsServer) -> None:
        async with recorded_link(server.url.replace("//", "//shop:x@")) as made:
            session, ward = made.link.session("x"), Ward()
            end = session.watch(ward)
            session.connection.send("Orders.placed", b"17")
            await session.connection.subscribe("secret", lambda _message: None)
            await holds(
                lambda: (
                    ward.refused
                    and "NATS: the server denies this user to subscribe to the subject 'secret'" in made.lines
                )
            )
            assert [subject.lower() for subject in ward.refused] == ["orders.placed"]
            assert made.link.is_connected
            end()

    with NatsServer(tmp_path, config=config) as server:
        asyncio.run(check(server))


def test_no_secret_is_shown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    key = nkey(tmp_path)
    token = tmp_path / "token"
    token.write_text("s3cret-token")
    secrets = ["s3cret-token", "s3cret-word", "s3cret-bearer", key.seed.read_text()]
    shown: list[object] = []

    async def check(server: NatsServer) -> None:
        place = server.url.removeprefix("nats://")
        for address in (f"nats://shop:s3cret-word@{place}", f"s3cret-bearer@{place}", server.url):
            choices: list[dict[str, Path]] = [{}, {"token_file": token}, {"nkey_seed": key.seed}]
            for options in choices:
                made = RecordedLink(address, connect_within=0.3, require_at_start=False, **options)
                await made.link.start()
                session = made.link.session("x")
                shown.extend([made.link, session, session.connection, session.options, made.link.check()])
                await made.link.stop()
                shown.extend([*made.events, *made.lines])
                strict = RecordedLink(address, connect_within=0.3, **options)
                try:
                    await strict.link.start()
                except NotConnected as error:
                    shown.extend([error, repr(error), error.args, error.__cause__, error.__context__])
                else:
                    await strict.link.stop()
        for address in (
            "http://u:s3cret-word@h",
            "u:s3cret-word@a b",
            "nats://u:s3cret-word@a:1,nats://v:s3cret-word@b:1",
        ):
            for servers in ([address], address, [address.encode()], address.encode()):
                with pytest.raises(LinkFault) as raised:
                    Link(Bus(), servers)  # type: ignore[arg-type]  # wrong on purpose
                shown.extend([raised.value, raised.value.args, raised.value.__cause__, raised.value.__context__])

    config = f"authorization {{ users: [{{ nkey: {nkey(tmp_path, 'other').public} }}] }}"
    with NatsServer(tmp_path / "nats", config=config) as server:
        asyncio.run(check(server))
    output = capfd.readouterr()
    text = "\n".join([*(f"{one} {one!r}" for one in shown), caplog.text, output.out, output.err])
    assert "authorization violation" in text
    for secret in secrets:
        assert secret not in text
