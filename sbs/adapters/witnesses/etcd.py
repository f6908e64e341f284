"""The vote as a key in etcd, bound to a lease: one cluster serves any number of pairs (B3).

Spoken is etcd's JSON gateway (version 3.4 and newer), so that no other client library is needed.

Why it is linearizable: who holds the vote is the value of one key, and it changes only in etcd's
transactions, each of which compares what was read before. The key is bound to a lease of the
asked length, so it vanishes when that is not kept alive. A renewal keeps the lease alive first and
then reads the key: if it still belongs to the holder and to that lease, it did when the lease was
renewed. An answer that got lost changes nothing: the next call finds its own name in the key.
"""

from __future__ import annotations

import base64
import json
import logging
import math
import ssl
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import attrs
import httpx

from sbs.errors import WitnessError
from sbs.ports import Vote, Witness, WitnessOptions

ATTEMPT_S: Final = 1.0
"""How long one endpoint may take before the next is asked: etcd answers in milliseconds."""

MAX_ANSWER_BYTES: Final = 65_536
"""Longest answer that is read: ours have a few hundred bytes."""

_log = logging.getLogger(__name__)


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


class EtcdWitness:
    """A :class:`sbs.ports.Witness`; made by :func:`open_witness`."""

    def __init__(self, client: httpx.AsyncClient, options: WitnessOptions) -> None:
        self._client = client
        self._endpoints = [endpoint.rstrip("/") for endpoint in options.endpoints]
        self._key = _encoded(f"/sbs/{options.pair}/primary")
        self._lease: _Lease | None = None

    async def acquire(self, holder: str, ttl_s: float, *, replaces: str = "") -> Vote:
        """See :meth:`sbs.ports.Witness.acquire`."""
        lease = self._lease
        if lease is not None and lease.holder == holder and await self._keep_alive(lease):
            key = await self._read()
            if key.holder == holder and key.lease == lease.number:
                return Vote(granted=True, holder=holder)
        else:
            key = await self._read()
        self._lease = None
        if key.revision and key.holder not in {holder, replaces or holder}:
            return Vote(granted=False, holder=key.holder)
        lease = await self._grant(holder, ttl_s)
        if await self._put(lease, key):
            self._lease = lease
            return Vote(granted=True, holder=holder)
        await self._revoke(lease)
        return Vote(granted=False, holder=(await self._read()).holder)

    async def release(self, holder: str) -> None:
        """See :meth:`sbs.ports.Witness.release`."""
        lease, self._lease = self._lease, None
        await self._ask(
            "kv/txn",
            compare=[self._compare("VALUE", value=_encoded(holder))],
            success=[{"request_delete_range": {"key": self._key}}],
        )
        if lease is not None and lease.holder == holder:
            await self._revoke(lease)

    async def _read(self) -> _Key:
        answer = await self._ask("kv/range", key=self._key)
        found = answer.get("kvs", [])
        if not found:
            return _Key()
        try:
            item = found[0]
            holder = base64.b64decode(item.get("value", ""), validate=True).decode()
            return _Key(holder, int(item.get("lease", 0)), int(item["mod_revision"]))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise _nonsense("kv/range", answer) from error

    async def _keep_alive(self, lease: _Lease) -> bool:
        """Renew a lease; etcd answers for a dead one too, but without a time to live."""
        answer = await self._ask("lease/keepalive", ID=str(lease.number))
        result = answer.get("result")
        if not isinstance(result, dict):
            raise _nonsense("lease/keepalive", answer)
        return _whole(cast("dict[str, Any]", result), "TTL", "lease/keepalive", default=0) > 0

    async def _grant(self, holder: str, ttl_s: float) -> _Lease:
        wanted_s = math.ceil(ttl_s)
        answer = await self._ask("lease/grant", TTL=str(wanted_s))
        granted_s = _whole(answer, "TTL", "lease/grant")
        if granted_s < wanted_s:
            raise WitnessError(f"etcd grants a lease of {granted_s} s instead of {wanted_s} s")
        return _Lease(holder, _whole(answer, "ID", "lease/grant"))

    async def _put(self, lease: _Lease, seen: _Key) -> bool:
        """Write the holder's name if the key is still as it was seen."""
        value = {"key": self._key, "value": _encoded(lease.holder), "lease": str(lease.number)}
        answer = await self._ask(
            "kv/txn",
            compare=[self._compare("MOD", mod_revision=str(seen.revision))],
            success=[{"request_put": value}],
        )
        return answer.get("succeeded") is True

    async def _revoke(self, lease: _Lease) -> None:
        """Give a lease back; one that is gone already is as good."""
        try:
            await self._ask("lease/revoke", ID=str(lease.number))
        except WitnessError as error:
            _log.debug("a lease of etcd is left to run out: %s", error)

    def _compare(self, target: str, **operand: str) -> Mapping[str, str]:
        return {"key": self._key, "target": target, "result": "EQUAL", **operand}

    async def _ask(self, path: str, **request: Any) -> dict[str, Any]:
        """Ask the endpoints in turn, that which answered last at first."""
        failures: list[str] = []
        for endpoint in tuple(self._endpoints):
            try:
                answer = await self._post(f"{endpoint}/v3/{path}", request)
            except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
                failures.append(f"{endpoint}: {str(error) or type(error).__name__}")
                continue
            self._endpoints.remove(endpoint)
            self._endpoints.insert(0, endpoint)
            return answer
        raise WitnessError(f"etcd does not answer ({'; '.join(failures)})")

    async def _post(self, url: str, request: Mapping[str, Any]) -> dict[str, Any]:
        data = bytearray()
        async with self._client.stream("POST", url, json=request) as response:
            async for piece in response.aiter_bytes():  # to its end, or it is not closed in order
                data += piece[: MAX_ANSWER_BYTES + 1 - len(data)]
        if len(data) > MAX_ANSWER_BYTES:
            raise WitnessError(f"{url}: over {MAX_ANSWER_BYTES} bytes: that is not etcd")
        if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise httpx.RemoteProtocolError(f"status {response.status_code}")  # ask the next one
        try:
            answer: object = json.loads(data)
        except ValueError as error:
            raise WitnessError(f"{url}: no JSON: that is not etcd") from error
        if not isinstance(answer, dict):
            raise _nonsense(url, answer)
        found = cast("dict[str, Any]", answer)
        if not response.is_success:
            text = str(found.get("error", found))[:200]
            raise WitnessError(f"{url}: etcd refuses, status {response.status_code}: {text}")
        return found


def _whole(answer: Mapping[str, Any], name: str, path: str, default: int | None = None) -> int:
    """A whole number of an answer; etcd writes 64 bits as text."""
    value = answer.get(name, default)
    try:
        return int(value)
    except (TypeError, ValueError) as error:
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
        timeout=ATTEMPT_S, verify=_certificates(options.endpoints), trust_env=False
    ) as client:
        yield EtcdWitness(client, options)
