"""Addresses at which whoever runs a job's work tells of its events, without credentials of their own (spec/pipelinejobs 7.2)."""

from __future__ import annotations

from contextlib import suppress

from abacod.clock import Clock
from abacod.errors import ActorNotFound, SealBroken
from abacod.ids import ActorId, NonceId, TenantId, Username, new_nonce_id
from abacod.models.builtin import JOBS_MANAGER
from abacod.models.nonce import Nonce
from abacod.models.permission import Subject
from abacod.models.user import Level
from abacod.services.sealing import Seal
from abacod.store import actors, nonces
from abacod.store.database import Transaction

_DESCRIPTION = "Callbacks of pipeline jobs; made by the server."


class Callbacks:
    """Makes callback URLs. Each tenant has one nonce for all of them; what a URL allows, the job's token in it decides."""

    def __init__(self, seal: Seal, clock: Clock, *, owner: Username, public_url: str) -> None:
        """`owner` is the user whom the built-in reactors belong to."""
        self._seal = seal
        self._clock = clock
        self._owner = owner
        self._public_url = public_url

    def url(self, tx: Transaction, tenant: TenantId, uuid: str, token: str) -> str:
        """Where a job's events may be posted; the nonce is made if there is none.

        Raises:
            ActorNotFound: the Jobs Manager is switched off.
        """
        manager = actors.builtin(tx, tenant, JOBS_MANAGER)
        if manager is None:
            raise ActorNotFound(f"The built-in reactor {JOBS_MANAGER} is switched off here.")
        nonce = self._nonce(tx, tenant, manager.id)
        return f"{self._public_url}/actors/v2/{manager.id}/messages?x-nonce={nonce}&token={token}&uuid={uuid}"

    def _nonce(self, tx: Transaction, tenant: TenantId, manager: ActorId) -> NonceId:
        subject = Subject.actor(manager)
        for known in nonces.listed(tx, subject, self._unsealed):
            standing = (self._owner, Level.EXECUTE, None, _DESCRIPTION)
            if known.id and (known.owner, known.level, known.max_uses, known.description) == standing:
                return known.id
        nonce = Nonce(
            id=new_nonce_id(tenant),
            tenant=tenant,
            subject=subject,
            owner=self._owner,
            roles=frozenset(),
            level=Level.EXECUTE,
            max_uses=None,
            description=_DESCRIPTION,
            create_time=self._clock.now(),
        )
        nonces.insert(tx, nonce, self._seal.seal(nonce.id))
        return nonce.id

    def _unsealed(self, sealed: str) -> str:
        # One that was sealed with a lost key is replaced by a new one.
        with suppress(SealBroken):
            return self._seal.unseal(sealed)
        return ""
