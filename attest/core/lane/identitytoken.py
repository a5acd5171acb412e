"""What the identity token of a CI job claims, and where that differs from the context that would be signed.

A token is a JWT (RFC 7519) in compact form (RFC 7515 7.1). Nothing here verifies it: Fulcio does, with the issuer's
keys. It is read strictly all the same, since what is compared must be what Fulcio will read.

Sources of the claims: GitHub, "OpenID Connect reference"; Forgejo, "Security OpenID Connect" (from version 15);
GitLab, "OpenID Connect (OIDC) Authentication Using ID Tokens".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from attest.core import limits
from attest.core.source import normalise_repository
from attest.core.statement import Context, is_commit
from attest.core.strictjson import Json, JsonInvalid, loads, shown

AUDIENCE: Final = "sigstore"
"""The audience that Fulcio asks of a token unless it was configured otherwise."""

_PART = re.compile(r"[A-Za-z0-9_-]+")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_LOOPBACK = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|::1")
_ISSUER = re.compile(r"https?://[!-~]+")
_GITHUB: Final = "https://token.actions.githubusercontent.com"
_GITHUB_DATA_RESIDENCY = re.compile(r"https://token\.actions\.([a-z0-9-]+\.ghe\.com)(?:/[A-Za-z0-9-]+)?")
_GITHUB_SERVER: Final = "/_services/token"
_FORGEJO: Final = "/api/actions"
_OWNER_AND_NAME = re.compile(r"[^/\s]+/[^/\s]+")
_GITLAB_REQUESTS: Final = frozenset({"merge_request_event", "external_pull_request_event"})
_GITLAB_REFS: Final = {"branch": "refs/heads/", "tag": "refs/tags/"}


class TokenInvalid(ValueError):
    """The text is no identity token that can be used. `code` is one of `token-unusable`, `-expired`, `-audience`.

    The message never holds a part of the token that could be used as one.
    """

    def __init__(self, message: str, *, code: str = "token-unusable") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a forge's token says about the job that asked for it; None is what it leaves unsaid."""

    repository: str
    """The repository's address, in its normal form."""
    commit: str | None
    ref: str | None
    run_id: str | None
    run_attempt: int | None
    """As in `attest.core.statement.Context`: of GitLab it is the id of the job."""
    proposed: bool
    """The run belongs to a pull or merge request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenClaims:
    """What a token claims. Times are UTC."""

    issuer: str
    federated_issuer: str | None
    """Who vouched for a person to the issuer, as Dex writes it; Fulcio may certify that one instead."""
    subject: str
    audiences: frozenset[str]
    begins: datetime
    """The later of `iat` and `nbf`."""
    expires: datetime
    job: Job | None
    """None for a token that is not a job's of a forge, such as a person's."""

    def check_usable(self, now: datetime, *, audience: str = AUDIENCE) -> None:
        """Whether a certificate authority can be expected to take the token at this moment.

        Raises:
            TokenInvalid: `token-audience`: it is for others; `token-expired`: its time is over; `token-unusable`:
                it begins further ahead than clocks may differ.
        """
        if audience not in self.audiences:
            named = ", ".join(shown(text) for text in sorted(self.audiences))
            raise TokenInvalid(f"its audience is {named} and not {shown(audience)}", code="token-audience")
        if self.expires <= now:
            raise TokenInvalid(f"it expired at {self.expires:%Y-%m-%d %H:%M:%S} UTC", code="token-expired")
        if (self.begins - now).total_seconds() > limits.CLOCK_SKEW:
            raise TokenInvalid(f"it only begins at {self.begins:%Y-%m-%d %H:%M:%S} UTC; is this machine's clock right?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """One value that token and context do not share."""

    what: str
    """`repository`, `commit`, `ref`, `run` or `attempt`."""
    token: str | None
    """None where the token does not say."""
    context: str

    def __str__(self) -> str:
        if self.token is None:
            return f"the token names no {self.what}, the context says {shown(self.context)}"
        return f"the {self.what} is {shown(self.token)} in the token and {shown(self.context)} in the context"


def read_token(token: str) -> TokenClaims:
    """The claims of a token, which nobody has verified.

    Raises:
        TokenInvalid: not three parts of unpadded base64url (RFC 7515 2), not signed (`alg` none), no strict JSON
            objects, a claim that a token for Sigstore must have is missing or of another kind, an issuer that is
            neither https nor on loopback, or a `repository` that cannot be joined to a forge's address.
    """
    if len(token) > limits.TOKEN_ANSWER:
        raise TokenInvalid(f"more than {limits.TOKEN_ANSWER} characters are no identity token")
    parts = token.split(".")
    if len(parts) != 3:
        raise TokenInvalid("no identity token: a JWT has three parts with dots between them")
    header = _object(parts[0], "header")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm.lower() in {"", "none"}:
        raise TokenInvalid("its header names no algorithm, so nobody signed it")
    claims = _object(parts[1], "claims")
    _decoded(parts[2], "signature")
    issuer = _issuer(claims)
    begins = _time(claims, "iat")
    if "nbf" in claims:
        begins = max(begins, _time(claims, "nbf"))
    return TokenClaims(
        issuer=issuer,
        federated_issuer=_federated_issuer(claims),
        subject=_required(claims, "sub"),
        audiences=_audiences(claims),
        begins=begins,
        expires=_time(claims, "exp"),
        job=_job(issuer, claims),
    )


def disagreements(claims: TokenClaims, context: Context) -> tuple[Disagreement, ...]:
    """Every value of the context that the job's token does not confirm; none for a token that is not a job's.

    The certificate will carry what the token says, and every place that names a source must agree with the others,
    so an attestation signed over a disagreement could never count. What the context leaves out cannot disagree. What
    the token leaves out does, but for the attempt, which not every forge counts.

    A pull request needs no rule of its own. On GitHub, and in a merged-results pipeline of GitLab, the token's
    commit is the merge commit that the forge made up, while the context records the head commit of the request. The
    certificate would name the former and the statement the latter, and neither may be bent: to sign the merge
    commit by default would name one that nobody can find again, and to let the two differ would let any commit pass
    for any other. So it is a disagreement. Who tested the merge commit can say so with `--source-commit` and
    `--source-ref`, and then all places agree. Forgejo's token names the head itself.
    """
    job = claims.job
    return () if job is None else tuple(_differences(job, context))


def _differences(job: Job, context: Context) -> Iterator[Disagreement]:
    pairs = (
        ("repository", job.repository, context.repository),
        ("commit", job.commit, context.commit),
        ("ref", job.ref, context.ref),
        ("run", job.run_id, context.run_id),
    )
    for what, token, said in pairs:
        if said is not None and token != said:
            yield Disagreement(what=what, token=token, context=said)
    attempt, counted = job.run_attempt, context.run_attempt
    if attempt is not None and counted is not None and attempt != counted:
        yield Disagreement(what="attempt", token=str(attempt), context=str(counted))


def _decoded(part: str, name: str) -> bytes:
    """Base64url without padding, and only what encodes to the same text again (RFC 7515 2 and 5.2)."""
    try:
        if _PART.fullmatch(part) is None:
            raise TokenInvalid(f"its {name} is not base64url")
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error:
        raise TokenInvalid(f"its {name} is not base64url") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii") != part:
        raise TokenInvalid(f"its {name} is not canonical base64url")
    return data


def _object(part: str, name: str) -> Mapping[str, Json]:
    try:
        value = loads(_decoded(part, name))
    except JsonInvalid as error:
        raise TokenInvalid(f"its {name}: not strict JSON: {error}") from None
    if not isinstance(value, dict):
        raise TokenInvalid(f"its {name}: not a JSON object")
    return value


def _text(claims: Mapping[str, Json], name: str) -> str | None:
    """A claim that is text. Forges write an empty one for what a job does not have."""
    value = claims.get(name)
    if value is not None and not isinstance(value, str):
        raise TokenInvalid(f"its claim {name!r} is no text")
    return value or None


def _required(claims: Mapping[str, Json], name: str) -> str:
    value = _text(claims, name)
    if value is None:
        raise TokenInvalid(f"it has no claim {name!r}")
    return value


def _time(claims: Mapping[str, Json], name: str) -> datetime:
    """A NumericDate (RFC 7519 2)."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenInvalid(f"its claim {name!r} is no time")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        raise TokenInvalid(f"its claim {name!r} is no time") from None


def _audiences(claims: Mapping[str, Json]) -> frozenset[str]:
    value = claims.get("aud")
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list) or not named or not all(isinstance(one, str) and one for one in named):
        raise TokenInvalid("its claim 'aud' names no audience")
    return frozenset(named)


def _issuer(claims: Mapping[str, Json]) -> str:
    """The issuer as it stands there: issuers are compared as strings (OpenID Connect Core 3.1.3.7, point 2)."""
    issuer = _required(claims, "iss")
    try:
        parts = urlsplit(issuer)
        host, wrong = parts.hostname, parts.username is not None or "?" in issuer or "#" in issuer
    except ValueError:
        host, wrong = None, True
    if _ISSUER.fullmatch(issuer) is None or wrong or not host:
        raise TokenInvalid(f"its issuer {shown(issuer)} is no https URL")
    if parts.scheme == "http" and _LOOPBACK.fullmatch(host) is None:
        raise TokenInvalid(f"its issuer {shown(issuer)} is spoken to over plain http, which is for loopback only")
    return issuer


def _federated_issuer(claims: Mapping[str, Json]) -> str | None:
    federated = claims.get("federated_claims", {})
    if not isinstance(federated, dict):
        raise TokenInvalid("its claim 'federated_claims' is no object")
    return _text(federated, "connector_id")


def _job(issuer: str, claims: Mapping[str, Json]) -> Job | None:
    project, repository = _text(claims, "project_path"), _text(claims, "repository")
    if project is not None:
        return Job(
            repository=_repository(f"{issuer}/{project}"),
            commit=_commit(claims),
            ref=_gitlab_ref(claims),
            run_id=_identifier(claims, "pipeline_id"),
            run_attempt=_count(claims, "job_id"),
            proposed=_text(claims, "pipeline_source") in _GITLAB_REQUESTS,
        )
    if repository is not None:
        return Job(
            repository=_repository(f"{_forge(issuer)}/{_owner_and_name(repository)}"),
            commit=_commit(claims),
            ref=_text(claims, "ref"),
            run_id=_identifier(claims, "run_id"),
            run_attempt=_count(claims, "run_attempt"),
            proposed=(_text(claims, "event_name") or "").startswith("pull_request"),
        )
    return None


def _forge(issuer: str) -> str:
    """The address of the forge that has this issuer: Forgejo, GitHub, or GitHub Enterprise in its three forms."""
    if issuer.endswith(_FORGEJO):
        return issuer.removesuffix(_FORGEJO)
    if issuer == _GITHUB or issuer.startswith(f"{_GITHUB}/"):  # an enterprise may have its name in its issuer
        return "https://github.com"
    if issuer.endswith(_GITHUB_SERVER):
        return issuer.removesuffix(_GITHUB_SERVER)
    match = _GITHUB_DATA_RESIDENCY.fullmatch(issuer)
    if match is None:
        raise TokenInvalid(f"it names a repository, but of which forge is not known of the issuer {shown(issuer)}")
    return f"https://{match[1]}"


def _owner_and_name(repository: str) -> str:
    if _OWNER_AND_NAME.fullmatch(repository) is None:
        raise TokenInvalid(f"its repository {shown(repository)} is not OWNER/NAME")
    return repository


def _repository(url: str) -> str:
    try:
        return normalise_repository(url)
    except ValueError as error:
        raise TokenInvalid(f"its repository: {error}") from None


def _commit(claims: Mapping[str, Json]) -> str | None:
    commit = _text(claims, "sha")
    if commit is not None and not is_commit(commit):
        raise TokenInvalid(f"its claim 'sha', {shown(commit)}, is no full commit id")
    return commit


def _gitlab_ref(claims: Mapping[str, Json]) -> str | None:
    """The full ref; before GitLab 16 a token had its name and kind only."""
    path, name, kind = _text(claims, "ref_path"), _text(claims, "ref"), _text(claims, "ref_type")
    if path is not None or name is None or kind not in _GITLAB_REFS:
        return path
    return _GITLAB_REFS[kind] + name


def _identifier(claims: Mapping[str, Json], name: str) -> str | None:
    """A number, as text or as itself, since the forges do not agree on how to write one."""
    value = claims.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(claims, name)


def _count(claims: Mapping[str, Json], name: str) -> int | None:
    text = _identifier(claims, name)
    if text is None:
        return None
    if _NUMBER.fullmatch(text) is None:
        raise TokenInvalid(f"its claim {name!r}, {shown(text)}, is no number")
    return int(text)
