"""The vote as a key in etcd, bound to a lease: one cluster serves any number of pairs (B3).

Spoken is etcd's JSON gateway (version 3.4 and newer), so that no other client library is needed.

Why it is linearizable: who holds the vote is the value of one key, and every change of it is a
transaction that compares the key's revision with the one that was read before. Revisions never come
again, so a request that arrives late or twice changes nothing: of a vote that was taken or given
back since then it has the wrong revision. An answer that got lost is found out: whose name and
lease the key bears, it belongs to. The key is bound to a lease of the asked length, so it vanishes
when that is not kept alive.

A renewal keeps the lease alive first and then reads the key: if it still belongs to the holder and
to that lease, it did when the lease was renewed. Keeping alive is the one request that etcd does
not agree on with its majority: a leader that was replaced, and does not know it, may answer it in
vain. Hence both answers must be of one term; else the key is bound to a new lease.
"""

from __future__ import annotations

import base64
import json
import math
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import attrs
import httpx
import trio

from sbs.errors import WitnessError
from sbs.log import Log
from sbs.ports import Vote, Witness, WitnessOptions

ATTEMPT_S: Final = 1.0
"""How long one endpoint may take, all in all, before the next is asked: etcd takes milliseconds."""

MAX_ANSWER_BYTES: Final = 65_536
"""Longest answer that is read: ours have a few hundred bytes."""

_log = Log(__name__)


@attrs.frozen
class _Lease:
    """A lease of etcd and whom it serves."""

    holder: str
    number: int


@attrs.frozen
class _Key:
    """What the key held when it was read; ``revision`` 0: nothing."""

    holder: str = ""
    lease: int = 0
    revision: int = 0

    def belongs_to(self, lease: _Lease) -> bool:
        return self.holder == lease.holder and self.lease == lease.number


class _Body(httpx.AsyncByteStream):
    """What is sent; httpx's own is a generator, left unfinished by a call that is given up."""

    def __init__(self, data: bytes) -> None:
        self._rest = [data]

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        if not self._rest:
            raise StopAsyncIteration
        return self._rest.pop()


class EtcdWitness:
    """A :class:`sbs.ports.Witness`; made by :func:`open_witness`."""

    def __init__(self, client: httpx.AsyncClient, options: WitnessOptions) -> None:
        self._client = client
        self._endpoints = [endpoint.rstrip("/") for endpoint in options.endpoints]
        self._key = _encoded(f"/sbs/{options.pair}/primary")
        self._lease: _Lease | None = None

    async def acquire(self, holder: str, ttl_s: float, *, replaces: str = "") -> Vote:
        """See :meth:`sbs.ports.Witness.acquire`."""
        wanted_s = math.ceil(ttl_s)
        lease, renewed_in = self._lease, None
        if lease is not None and lease.holder == holder:
            renewed_in = await self._keep_alive(lease, wanted_s)
        key, term = await self._read()
        if lease is not None and renewed_in == term and key.belongs_to(lease):
            return Vote(granted=True, holder=holder)
        if key.revision and key.holder not in {holder, replaces or holder}:
            return Vote(granted=False, holder=key.holder)
        return await self._put(await self._grant(holder, wanted_s), key)

    async def release(self, holder: str) -> None:
        """See :meth:`sbs.ports.Witness.release`."""
        key, _ = await self._read()
        if key.revision and key.holder == holder:
            deletion = {"request_delete_range": {"key": self._key}}
            await self._ask("kv/txn", compare=[self._unchanged(key)], success=[deletion])
        lease = self._lease
        if lease is not None and lease.holder == holder:
            self._lease = None
            await self._revoke(lease)

    async def _read(self) -> tuple[_Key, int]:
        """The key, and the term in which a majority said so."""
        answer = await self._ask("kv/range", key=self._key)
        return _key_in(answer, "kv/range"), _term_of(answer, "kv/range")

    async def _keep_alive(self, lease: _Lease, wanted_s: int) -> int | None:
        """Renew a lease; return the term in which this was done, ``None`` if it is of no use.

        etcd answers for a dead one, too, but without a time to live.
        """
        path = "lease/keepalive"
        result = (await self._ask(path, ID=str(lease.number))).get("result")
        if not isinstance(result, dict):
            raise _nonsense(path, result)
        renewed = cast("dict[str, Any]", result)
        granted_s = _whole(renewed, "TTL", path, default=0)
        return _term_of(renewed, path) if granted_s >= wanted_s else None

    async def _grant(self, holder: str, wanted_s: int) -> _Lease:
        answer = await self._ask("lease/grant", TTL=str(wanted_s))
        lease = _Lease(holder, _whole(answer, "ID", "lease/grant"))
        granted_s = _whole(answer, "TTL", "lease/grant")
        if granted_s < wanted_s:
            await self._revoke(lease)
            raise WitnessError(f"etcd grants a lease of {granted_s} s instead of {wanted_s} s")
        return lease

    async def _put(self, lease: _Lease, seen: _Key) -> Vote:
        """Write the holder's name if the key is still as it was seen."""
        value = {"key": self._key, "value": _encoded(lease.holder), "lease": str(lease.number)}
        answer = await self._ask(
            "kv/txn",
            compare=[self._unchanged(seen)],
            success=[{"request_put": value}],
            failure=[{"request_range": {"key": self._key}}],
        )
        if answer.get("succeeded") is True:
            self._lease = lease
            return Vote(granted=True, holder=lease.holder)
        try:
            key = _key_in(answer["responses"][0]["response_range"], "kv/txn")
        except (KeyError, TypeError, IndexError) as error:
            raise _nonsense("kv/txn", answer) from error
        if key.belongs_to(lease):  # written before; the answer got lost, and another was asked
            self._lease = lease
            return Vote(granted=True, holder=lease.holder)
        if seen.revision and not key.revision:  # given back meanwhile: nobody has it now
            return await self._put(lease, key)
        await self._revoke(lease)
        return Vote(granted=False, holder=key.holder)

    async def _revoke(self, lease: _Lease) -> None:
        """Give a lease back; one that is gone already is as good."""
        try:
            await self._ask("lease/revoke", ID=str(lease.number))
        except WitnessError as error:
            _log.debug("a lease of etcd is left to run out: %s", error)

    def _unchanged(self, seen: _Key) -> Mapping[str, str]:
        revision = str(seen.revision)
        return {"key": self._key, "target": "MOD", "result": "EQUAL", "mod_revision": revision}

    async def _ask(self, path: str, **request: Any) -> dict[str, Any]:
        """Ask the endpoints in turn, that which answered last at first."""
        failures: list[str] = []
        for endpoint in tuple(self._endpoints):
            self._move(endpoint, len(self._endpoints))  # the caller's time may end while it hangs
            try:
                with trio.fail_after(ATTEMPT_S):
                    answer = await self._post(f"{endpoint}/v3/{path}", request)
            except trio.TooSlowError:
                failures.append(f"{endpoint}: no answer within {ATTEMPT_S:g} s")
            except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
                failures.append(f"{endpoint}: {str(error) or type(error).__name__}")
            else:
                self._move(endpoint, 0)
                return answer
        raise WitnessError(f"etcd does not answer ({'; '.join(failures)})")

    def _move(self, endpoint: str, place: int) -> None:
        self._endpoints.remove(endpoint)
        self._endpoints.insert(place, endpoint)

    async def _post(self, url: str, request: Mapping[str, Any]) -> dict[str, Any]:
        asked = self._client.build_request("POST", url, json=request)
        asked.stream = _Body(asked.content)
        data = bytearray()
        response = await self._client.send(asked, stream=True)
        try:
            async for piece in response.aiter_raw():  # to its end, or it is not closed in order
                data += piece[: MAX_ANSWER_BYTES + 1 - len(data)]
        finally:
            await response.aclose()
        if len(data) > MAX_ANSWER_BYTES:
            raise WitnessError(f"{url}: over {MAX_ANSWER_BYTES} bytes: that is not etcd")
        if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise httpx.RemoteProtocolError(f"status {response.status_code}")  # ask the next one
        try:
            answer: object = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise WitnessError(f"{url}: no JSON: that is not etcd") from error
        if not isinstance(answer, dict):
            raise _nonsense(url, answer)
        found = cast("dict[str, Any]", answer)
        if not response.is_success:
            text = str(found.get("error", found))[:200]
            raise WitnessError(f"{url}: etcd refuses, status {response.status_code}: {text}")
        return found


def _key_in(answer: Mapping[str, Any], path: str) -> _Key:
    """The key in the answer to a request for it."""
    found = answer.get("kvs", [])
    if found == []:
        return _Key()
    try:
        item = found[0]
        holder = base64.b64decode(item.get("value", ""), validate=True).decode()
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _nonsense(path, answer) from error
    revision = _whole(item, "mod_revision", path)
    return _Key(holder, _whole(item, "lease", path, default=0), revision)


def _term_of(answer: Mapping[str, Any], path: str) -> int:
    """The term of the leader of whom the answering member knew."""
    header = answer.get("header")
    if not isinstance(header, dict):
        raise _nonsense(path, answer)
    return _whole(cast("dict[str, Any]", header), "raft_term", path)


def _whole(answer: Mapping[str, Any], name: str, path: str, default: int | None = None) -> int:
    """A whole number of an answer; etcd writes 64 bits as text."""
    value = answer.get(name, default)
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise _nonsense(path, answer) from error


def _nonsense(path: str, answer: object) -> WitnessError:
    return WitnessError(f"{path}: an answer that makes no sense: {ascii(answer)[:200]}")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _certificates(endpoints: Sequence[str]) -> ssl.SSLContext | bool:
    """The system's certificates where they are needed: reading them takes longer than the rest."""
    secure = any(endpoint.startswith("https:") for endpoint in endpoints)
    return ssl.create_default_context() if secure else False


@asynccontextmanager
async def open_witness(options: WitnessOptions) -> AsyncGenerator[Witness, None]:
    """Open the etcd adapter: the entry point ``etcd``.

    Args:
        options: the endpoints of the cluster, and the name of the pair.
    """
    async with httpx.AsyncClient(
        timeout=None,  # noqa: S113 - each attempt has one limit for all of it
        headers={"Accept-Encoding": "identity"},  # so that the limit of an answer is one
        verify=_certificates(options.endpoints),
        trust_env=False,
    ) as client:
        yield EtcdWitness(client, options)
