"""A credential goes to the registry that it is for, or to a token service that the user named, and nowhere else."""

from __future__ import annotations

import base64
import json
import ssl
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from attest.adapters.registry import Access, RegistryStore
from attest.errors import AccessDenied, AttestError, StoreMisbehaved
from tests.parts import ca
from tests.registry import faults
from tests.registry.conftest import CANARY, CANARY_BASIC, impatient
from tests.registry.faults import REPOSITORY, FaultyRegistry, Handler
from tests.registry.test_faults import BUNDLES, VERBS, describe, publish, read

TOKEN = "token-of-the-canary"
SECRETS = (CANARY, CANARY_BASIC, TOKEN)


@pytest.fixture
def elsewhere() -> Iterator[FaultyRegistry]:
    """Another origin, which must never see a credential."""
    with FaultyRegistry().running() as registry:
        yield registry


def wants_basic(registry: FaultyRegistry) -> None:
    """From now on the registry answers whoever knows the password only."""

    def check(handler: Handler) -> None:
        if handler.headers.get("Authorization") == f"Basic {CANARY_BASIC}":
            registry.serve(handler, registry.seen[-1].body)
        else:
            handler.reply(401, b"{}", {"WWW-Authenticate": 'Basic realm="registry"'})

    registry.misbehave(check)


def wants_token(registry: FaultyRegistry, realm: str) -> None:
    """From now on the registry answers whoever brings the token from the realm only."""

    def check(handler: Handler) -> None:
        if urlsplit(handler.path).path == "/token":
            known = handler.headers.get("Authorization") == f"Basic {CANARY_BASIC}"
            handler.reply(*((200, b'{"token": "%s"}' % TOKEN.encode()) if known else (401, b"{}")))
        elif handler.headers.get("Authorization") == f"Bearer {TOKEN}":
            registry.serve(handler, registry.seen[-1].body)
        else:
            challenge = f'Bearer realm="{realm}",service="a registry",scope="repository:x:pull"'
            handler.reply(401, b"{}", {"WWW-Authenticate": challenge})

    registry.misbehave(check)


def assert_nothing_leaked(registry: FaultyRegistry, error: BaseException | None = None) -> None:
    """No request there brought a secret, and no text of the error has one."""
    for seen in registry.seen:
        assert seen.authorization is None
        assert not any(secret in seen.path or secret.encode() in seen.body for secret in SECRETS)
    if error is not None:
        told = "".join(traceback.format_exception(error)) + repr(error)
        assert not any(secret in told for secret in SECRETS)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirect(
    faulty: FaultyRegistry, elsewhere: FaultyRegistry, canary: Callable[[str], Path], verb: str, code: int
) -> None:
    """A redirect to another origin is followed for reading only, and without credentials."""
    image = faulty.add_image()
    elsewhere.misbehave(faults.status(404))

    def lead_away(handler: Handler) -> None:
        handler.reply(code, b"", {"Location": f"{elsewhere.url}{handler.path}"})

    faulty.misbehave(faults.status(401, {"WWW-Authenticate": "Basic realm=x"}), "^/v2/$")
    faulty.misbehave(lead_away)
    with pytest.raises(AttestError) as raised:
        VERBS[verb](RegistryStore(impatient(docker_config=canary(faulty.host))), image)
    assert any(seen.authorization == f"Basic {CANARY_BASIC}" for seen in faulty.seen)
    assert all(seen.method == "GET" for seen in elsewhere.seen)
    assert_nothing_leaked(elsewhere, raised.value)


def test_blobs_elsewhere(faulty: FaultyRegistry, elsewhere: FaultyRegistry, canary: Callable[[str], Path]) -> None:
    """Blobs that a registry keeps at another origin are read, and that origin sees no credential."""
    image = faulty.add_image()
    for bundle in BUNDLES:
        faulty.add_attestation(image, bundle)
        elsewhere.add_blob(bundle)
    elsewhere.add_image()

    def lead_away(handler: Handler) -> None:
        handler.reply(307, b"", {"Location": f"{elsewhere.url}{handler.path}?signature=x"})

    faulty.misbehave(faults.status(401, {"WWW-Authenticate": "Basic realm=x"}), "^/v2/$")
    faulty.misbehave(lead_away, "/blobs/")
    assert read(RegistryStore(impatient(docker_config=canary(faulty.host))), image) == sorted(BUNDLES)
    assert len(elsewhere.seen) == len(BUNDLES) + 1
    assert_nothing_leaked(elsewhere)


def test_redirect_back_brings_no_credentials(
    faulty: FaultyRegistry, elsewhere: FaultyRegistry, canary: Callable[[str], Path]
) -> None:
    """Whoever a request was handed to cannot have it sent back with credentials."""
    image = faulty.add_image()
    faulty.misbehave(faults.status(401, {"WWW-Authenticate": "Basic realm=x"}), "^/v2/$")
    faulty.misbehave(faults.redirect(f"{elsewhere.url}/there"), "/manifests/")
    elsewhere.misbehave(faults.redirect(f"{faulty.url}/secret"))
    with pytest.raises(AttestError):
        describe(RegistryStore(impatient(docker_config=canary(faulty.host))), image)
    [back] = [seen for seen in faulty.seen if seen.path == "/secret"]
    assert back.authorization is None


def test_upload_elsewhere(faulty: FaultyRegistry, elsewhere: FaultyRegistry, canary: Callable[[str], Path]) -> None:
    """An upload that is to go to another origin brings no credential there."""
    image = faulty.add_image()
    wants_basic_except_uploads = faults.status(202, {"Location": f"{elsewhere.url}/v2/{REPOSITORY}/blobs/uploads/1"})
    faulty.misbehave(faults.status(401, {"WWW-Authenticate": "Basic realm=x"}), "^/v2/$")
    faulty.misbehave(wants_basic_except_uploads, "/uploads/", method="POST")
    elsewhere.misbehave(faults.status(201), method="PUT")
    publish(RegistryStore(impatient(docker_config=canary(faulty.host), access=Access.PUSH)), image)
    assert len(elsewhere.seen) == 2
    assert_nothing_leaked(elsewhere)


@pytest.mark.parametrize("verb", VERBS)
def test_realm_elsewhere(
    faulty: FaultyRegistry, elsewhere: FaultyRegistry, canary: Callable[[str], Path], verb: str
) -> None:
    """A realm at another place, be it another port of the same host, gets nothing; the error says how to allow it."""
    image = faulty.add_image()
    wants_token(faulty, f"{elsewhere.url}/token")
    with pytest.raises(AccessDenied) as raised:
        VERBS[verb](RegistryStore(impatient(docker_config=canary(faulty.host))), image)
    assert raised.value.hint is not None
    assert f"--token-host {elsewhere.host}" in raised.value.hint
    assert elsewhere.seen == []
    assert_nothing_leaked(elsewhere, raised.value)


def test_realm_named_by_the_user(
    faulty: FaultyRegistry, elsewhere: FaultyRegistry, canary: Callable[[str], Path]
) -> None:
    """A realm that the user named gets the credentials, and its token goes to the registry alone."""
    image = faulty.add_image()
    faulty.add_attestation(image, BUNDLES[0])
    wants_token(faulty, f"{elsewhere.url}/token?a=b")
    wants_token(elsewhere, "unused")
    store = RegistryStore(impatient(docker_config=canary(faulty.host), token_hosts=frozenset([elsewhere.host])))
    assert read(store, image) == [BUNDLES[0]]
    [asked] = elsewhere.seen
    assert parse_qs(urlsplit(asked.path).query) == {
        "a": ["b"],
        "service": ["a registry"],
        "scope": [f"repository:{REPOSITORY}:pull"],
    }
    assert asked.authorization == f"Basic {CANARY_BASIC}"


@pytest.mark.parametrize(
    "realm",
    [
        "http://169.254.169.254/token",
        "http://registry.example.org/token",
        "file:///etc/passwd",
        "http://user:password@{host}/token",
        "http://{host}@evil.example/token",
        "http://{host}\\@evil.example/token",
        "http://{host}.evil.example/token",
        "//{host}/token",
        "",
    ],
)
def test_realms_that_no_one_uses(faulty: FaultyRegistry, canary: Callable[[str], Path], realm: str) -> None:
    """Nothing that only looks like the registry's own host is taken for it."""
    image = faulty.add_image()
    wants_token(faulty, realm.format(host=faulty.host).replace("\\", "\\\\"))
    with pytest.raises((AccessDenied, StoreMisbehaved)) as raised:
        describe(RegistryStore(impatient(docker_config=canary(faulty.host))), image)
    assert all(seen.authorization is None for seen in faulty.seen)
    assert_nothing_leaked(faulty, raised.value)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("wants", ["basic", "token"])
def test_refused_credentials_are_not_told(
    faulty: FaultyRegistry, canary: Callable[[str], Path], verb: str, wants: str
) -> None:
    """Refused credentials, or a refused token, end in an error that names neither."""
    image = faulty.add_image()
    faulty.misbehave(faults.serve(b'{"token": "%s"}' % TOKEN.encode(), faults.JSON), "^/token")
    challenge = "Basic realm=x" if wants == "basic" else f'Bearer realm="{faulty.url}/token"'
    faulty.misbehave(faults.status(401, {"WWW-Authenticate": challenge}))
    with pytest.raises(AccessDenied, match="refused the credentials") as raised:
        VERBS[verb](RegistryStore(impatient(docker_config=canary(faulty.host))), image)
    told = "".join(traceback.format_exception(raised.value)) + repr(raised.value) + str(raised.value.hint)
    assert not any(secret in told for secret in SECRETS)
    assert len(faulty.seen) < 20


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"token": 7}',
        b'{"token": ""}',
        b'{"token": "a b"}',
        b'{"token": "a\\r\\nX: y"}',
        b'{"token": "a", "token": "b"}',
        b'{"token": "' + b"a" * 200_000 + b'"}',
    ],
)
def test_token_answers_that_are_none(faulty: FaultyRegistry, canary: Callable[[str], Path], answer: bytes) -> None:
    """What is no token, two tokens, or too large is never sent on."""
    image = faulty.add_image()
    faulty.misbehave(faults.serve(answer, faults.JSON), "^/token")
    faulty.misbehave(faults.status(401, {"WWW-Authenticate": f'Bearer realm="{faulty.url}/token"'}))
    with pytest.raises(AttestError) as raised:
        describe(RegistryStore(impatient(docker_config=canary(faulty.host))), image)
    assert raised.value.exit_code == 3
    assert not any((seen.authorization or "").startswith("Bearer") for seen in faulty.seen)


def test_all_verbs_with_each_scheme(faulty: FaultyRegistry, canary: Callable[[str], Path]) -> None:
    """With the right credentials every verb works, by password and by token, and asks for a token once."""
    image = faulty.add_image()
    faulty.add_attestation(image, BUNDLES[0])
    for install in (wants_basic, lambda registry: wants_token(registry, f"{registry.url}/token")):
        with FaultyRegistry().running() as registry:
            registry.manifests, registry.blobs = dict(faulty.manifests), dict(faulty.blobs)
            install(registry)
            there = registry.named(image.digest)
            store = RegistryStore(impatient(docker_config=canary(registry.host), access=Access.PUSH))
            for verb in VERBS.values():
                verb(store, there)
            extra = [seen.path for seen in registry.seen if not seen.path.startswith(f"/v2/{REPOSITORY}/")]
            assert extra[0] == "/v2/"
            assert len(extra) <= 2
            for path in extra[1:]:
                assert parse_qs(urlsplit(path).query)["scope"] == [f"repository:{REPOSITORY}:pull,push"]


def test_identity_token(faulty: FaultyRegistry, tmp_path: Path) -> None:
    """An identity token is exchanged by POST, and never sent as a password."""
    image = faulty.add_image()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {faulty.host: {"identitytoken": CANARY}}}))

    def exchange(handler: Handler) -> None:
        [asked] = [seen for seen in faulty.seen if seen.path == "/token"]
        form = parse_qs(asked.body.decode())
        assert form["grant_type"] == ["refresh_token"]
        assert form["refresh_token"] == [CANARY]
        handler.reply(200, b'{"access_token": "%s"}' % TOKEN.encode())

    faulty.misbehave(exchange, "^/token", method="POST")
    wants_token(faulty, f"{faulty.url}/token")
    assert describe(RegistryStore(impatient(docker_config=tmp_path)), image).digest == image.digest
    assert not any((seen.authorization or "").startswith("Basic") for seen in faulty.seen)


def test_anonymous_token(faulty: FaultyRegistry) -> None:
    """Without credentials a token is asked for anonymously, once for all threads that need it."""
    image = faulty.add_image()
    for bundle in BUNDLES:
        faulty.add_attestation(image, bundle)
    faulty.misbehave(faults.serve(b'{"token": "%s"}' % TOKEN.encode(), faults.JSON), "^/token")
    wants_token(faulty, f"{faulty.url}/token")
    assert read(RegistryStore(impatient()), image) == sorted(BUNDLES)
    tokens = [seen for seen in faulty.seen if seen.path.startswith("/token")]
    assert [seen.authorization for seen in tokens] == [None]


def test_expired_token_is_renewed(faulty: FaultyRegistry, canary: Callable[[str], Path]) -> None:
    """A token that the registry no longer takes is replaced once, and the request sent again."""
    image = faulty.add_image()
    wants_token(faulty, f"{faulty.url}/token")
    store = RegistryStore(impatient(docker_config=canary(faulty.host)))
    describe(store, image)
    fresh = "a-new-token"

    def check(handler: Handler) -> None:
        if handler.path.startswith("/token"):
            handler.reply(200, b'{"token": "%s"}' % fresh.encode())
        elif handler.headers.get("Authorization") == f"Bearer {fresh}":
            faulty.serve(handler, b"")
        else:
            handler.reply(401, b"{}", {"WWW-Authenticate": f'Bearer realm="{faulty.url}/token",error="invalid_token"'})

    faulty.recover()
    faulty.misbehave(check)
    assert describe(store, image).digest == image.digest


def test_credentials_of_another_host_stay(faulty: FaultyRegistry, canary: Callable[[str], Path]) -> None:
    """Credentials for one port of a host are not used for another one."""
    image = faulty.add_image()
    wants_basic(faulty)
    folder = canary("127.0.0.1:1")
    with pytest.raises(AccessDenied, match="wants credentials"):
        describe(RegistryStore(impatient(docker_config=folder)), image)
    assert_nothing_leaked(faulty)


def test_basic_is_rfc_7617() -> None:
    """The canary's header is what the RFC says, so that the other tests look for the right thing."""
    assert base64.b64decode(CANARY_BASIC) == f"lane:{CANARY}".encode()


def test_password_only_where_it_is_wanted(tmp_path: Path) -> None:
    """A registry that wants a password at `/v2/` and none for the image is read without one."""
    authority = ca.make_authority(tmp_path, "ca")
    server = ca.issue_server(authority, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate_file, server.key_file)
    with FaultyRegistry(tls=context).running() as registry:
        image = registry.add_image()
        registry.misbehave(faults.status(401, {"WWW-Authenticate": "Basic realm=x"}), "^/v2/$")
        store = RegistryStore(impatient(ca_file=str(authority.certificate_file)))
        assert describe(store, image).digest == image.digest
        assert registry.seen[0].path == "/v2/"
