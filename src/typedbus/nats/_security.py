"""TLS, and the files with the secrets of a link."""

from __future__ import annotations

import importlib.util
import itertools
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from typedbus.nats._addresses import Address
from typedbus.nats._errors import LinkFault

_MARKS: Final = ("BEGIN NATS USER JWT", "BEGIN USER NKEY SEED")


@attrs.frozen
class TLS:
    """
    How a connection is encrypted, and the certificate of this process.

    Args:
        ca_file: The certificates of the authorities that may sign the certificate of the server; None for the system's.
        cert_file: The certificate of this process, if the server demands one.
        key_file: Its key, without a password; None if *cert_file* has it as well.
        hostname: The name that the certificate of the server must have; None for the host of the address.
    """

    ca_file: Path | str | None = None
    cert_file: Path | str | None = None
    key_file: Path | str | None = None
    hostname: str | None = None

    def context(self) -> ssl.SSLContext:
        """
        Return a context with these files.

        Raises:
            LinkFault: A file cannot be read, or is no certificate or key.
        """
        for file in (self.ca_file, self.cert_file, self.key_file):
            if file is not None:
                text_of("tls", file)
        if self.key_file is not None and self.cert_file is None:
            raise LinkFault("tls", f"the key {str(self.key_file)!r} has no certificate; give cert_file as well")
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except ssl.SSLError as error:
            raise LinkFault("tls", f"{str(self.ca_file)!r} has no certificates in PEM format: {error}") from error
        if self.cert_file is not None:
            try:
                # The default asks for the password on the terminal.
                context.load_cert_chain(self.cert_file, self.key_file, password=_no_password)
            except (ssl.SSLError, ValueError) as error:
                files = f"{str(self.cert_file)!r} and {str(self.key_file or self.cert_file)!r}"
                raise LinkFault("tls", f"{files} are no certificate and its key in PEM format: {error}") from error
        return context


def _no_password() -> str:
    raise ValueError("the key has a password; write it to a file without one")


def text_of(argument: str, file: Path | str) -> str:
    """
    Return the text in *file*.

    Raises:
        LinkFault: It cannot be read, or it is empty; names *argument*, and not the contents.
    """
    try:
        text = Path(file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise LinkFault(argument, f"{str(file)!r} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError:
        # The error has the contents.
        raise LinkFault(argument, f"{str(file)!r} is no text in UTF-8") from None
    if not text:
        raise LinkFault(argument, f"{str(file)!r} is empty")
    return text


@attrs.frozen
class Secrets:
    """
    The files of a link. Each method returns None without its file.

    Args:
        token_file: The file with a token.
        nkey_seed: The file with the seed of an nkey.
        credentials: The file with a JWT and a seed.
    """

    token_file: Path | str | None = None
    nkey_seed: Path | str | None = None
    credentials: Path | str | None = None

    def token(self) -> str | None:
        """
        Return the token.

        Raises:
            LinkFault: The file cannot be read, or has no token.
        """
        if self.token_file is None:
            return None
        token = text_of("token_file", self.token_file)
        if not token.isprintable():
            raise LinkFault("token_file", f"{str(self.token_file)!r} must have one line, which is the token")
        return token

    def seed(self) -> str | None:
        """
        Return the seed of the nkey.

        Raises:
            LinkFault: The file cannot be read, or has no seed of a user; or the package nkeys is missing.
        """
        if self.nkey_seed is None:
            return None
        return _checked("nkey_seed", self.nkey_seed, text_of("nkey_seed", self.nkey_seed))

    def jwt_and_seed(self) -> str | None:
        """
        Return the text of the file with the credentials.

        Raises:
            LinkFault: The file cannot be read, or has no JWT or seed; or the package nkeys is missing.
        """
        if self.credentials is None:
            return None
        lines = text_of("credentials", self.credentials).splitlines()
        below = ""
        for mark in _MARKS:
            below = next((below for line, below in itertools.pairwise(lines) if mark in line), "")
            if not below:
                raise LinkFault("credentials", f"{str(self.credentials)!r} has no line {mark!r} with a secret below it")
        _checked("credentials", self.credentials, below.strip())
        # nats-py expects these ends of lines.
        return "".join(f"{line}\n" for line in lines)

    def check(self) -> None:
        """
        Read all files.

        Raises:
            LinkFault: A file is not as it must be.
        """
        readers: tuple[Callable[[], str | None], ...] = (self.token, self.seed, self.jwt_and_seed)
        for read in readers:
            read()


@attrs.frozen
class Options:
    """
    How to connect.

    Args:
        servers: The servers, each of which has the same streams.
        name: The name of the connection, which the servers show.
        secrets: The files that are read for each connection.
        tls: The context of a connection with TLS; the servers must then offer it.
        tls_hostname: The name that the certificate of the server must have; None for the host of the address.
        has_certificate: Whether the context has a certificate of this process.
    """

    servers: tuple[Address, ...]
    name: str
    secrets: Secrets = attrs.field(factory=Secrets, repr=False)
    tls: ssl.SSLContext | None = attrs.field(default=None, repr=False)
    tls_hostname: str | None = None
    has_certificate: bool = False

    @property
    def addresses(self) -> tuple[str, ...]:
        """The servers without users, passwords and tokens."""
        return tuple(server.url for server in self.servers)


def _checked(argument: str, file: Path | str, seed: str) -> str:
    if importlib.util.find_spec("nkeys") is None:
        raise LinkFault(argument, "it needs the package nkeys: pip install nkeys")
    import nkeys  # pyright: ignore[reportMissingTypeStubs]  # an optional dependency

    try:
        is_user = bytes(nkeys.from_seed(bytearray(seed.encode())).public_key).startswith(b"U")
    except Exception:  # nkeys raises errors of several modules, some of which have the seed
        is_user = False
    if not is_user:
        raise LinkFault(argument, f"{str(file)!r} has no seed of a user; it begins with SU")
    return seed
