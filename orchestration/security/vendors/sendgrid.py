"""SendGrid: a key is deleted by the id in its middle.

https://www.twilio.com/docs/sendgrid/api-reference/api-keys/delete-api-keys: `DELETE /v3/api_keys/{api_key_id}`,
answered 204.
"""

from __future__ import annotations

from orchestration.config.vendors.options import OptionalAdminKeyOptions
from orchestration.security.vendors.bearer import BearerProbe
from orchestration.security.vendors.http import VendorError
from orchestration.security.vendors.vendor import Revocation


class SendGridKeys(BearerProbe):
    """API keys, `SG.id.secret`."""

    path = "/v3/scopes"

    async def revoke(self, value: str) -> Revocation:
        parts = value.split(".")
        if len(parts) != 3:
            raise VendorError(f"expected a key of {self.title} of the form SG.id.secret", permanent=True)
        variable = self.options(OptionalAdminKeyOptions).admin_key_env
        bearer = self.secret(variable) if variable else value
        url = f"{self.address}/v3/api_keys/{parts[1]}"
        answer = await self._http.send("DELETE", url, headers={"authorization": f"Bearer {bearer}"})
        # A key that may delete keys and is answered 401 is gone itself; an admin key would only be a wrong one.
        if answer.status == 404 or (answer.status == 401 and bearer == value):
            return Revocation(f"{self.title} has no such key any more ({answer.status})", was_revoked=True)
        if answer.status != 204:
            raise answer.refusal()
        return Revocation(f"{self.title} has deleted the key (204)")
