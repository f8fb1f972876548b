"""AWS: another key pair makes the exposed access key inactive; it can be deleted later, by a person.

https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateAccessKey.html, and for the probe, which needs no
permission and changes nothing, https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html.
"""

from __future__ import annotations

import re
from urllib.parse import urlencode

from orchestration.config.vendors.options import AwsRevokerOptions
from orchestration.security.vendors.http import VendorAnswer, VendorError
from orchestration.security.vendors.sigv4 import AwsKeyPair, signed_headers
from orchestration.security.vendors.vendor import CredentialProbe, CredentialStatus, CredentialVendor, Revocation

# IAM and the global endpoint of STS belong to this region: https://docs.aws.amazon.com/general/latest/gr/iam-service.html.
_REGION = "us-east-1"
_KEY_ID = re.compile(r"(?:AKIA|ASIA)[A-Z0-9]{16}")
# The two APIs answer with XML, of which one word is needed: no parser has to read a stranger's document.
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")


class AwsAccessKeys(CredentialVendor):
    """Access keys of IAM users. The exposed value may be either half of the pair."""

    async def revoke(self, value: str) -> Revocation:
        options = self.options(AwsRevokerOptions)
        key_id = self._key_id(value)
        if key_id is None:
            message = f"{options.key_id_env} does not say which key the exposed secret belongs to"
            raise VendorError(message, permanent=True)
        admin = AwsKeyPair(self.secret(options.admin_key_id_env), self.secret(options.admin_key_secret_env))
        form = {"Action": "UpdateAccessKey", "Version": "2010-05-08", "AccessKeyId": key_id, "Status": "Inactive"}
        form |= {"UserName": options.user_name} if options.user_name else {}
        answer = await self._call(self.address, "iam", form, admin)
        code = _code(answer)
        if code == "NoSuchEntity":
            return Revocation(f"{self.title} has no access key {key_id} any more", was_revoked=True)
        if answer.status != 200:
            raise answer.refusal(code)
        return Revocation(f"{self.title} has made the access key {key_id} inactive")

    async def examine(self, value: str) -> CredentialProbe:
        options = self.options(AwsRevokerOptions)
        key_id = self._key_id(value)
        secret = self._credentials.get(options.key_secret_env) if value == key_id else value
        if key_id is None or secret is None:
            return CredentialProbe(CredentialStatus.UNKNOWN, "one half of the key pair is not known here any more")
        form = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
        answer = await self._call(options.sts_url.rstrip("/"), "sts", form, AwsKeyPair(key_id, secret))
        code = _code(answer)
        if answer.status == 403 and code == "InvalidClientTokenId":
            return self.found(CredentialStatus.REFUSED, "403 InvalidClientTokenId to GetCallerIdentity")
        status = CredentialStatus.ACCEPTED if answer.status == 200 else CredentialStatus.UNKNOWN
        return self.found(status, f"{answer.status} {code} to GetCallerIdentity")

    def _key_id(self, value: str) -> str | None:
        return value if _KEY_ID.fullmatch(value) else self._credentials.get(self.options(AwsRevokerOptions).key_id_env)

    async def _call(self, address: str, service: str, form: dict[str, str], pair: AwsKeyPair) -> VendorAnswer:
        content = urlencode(form).encode()
        headers = signed_headers("POST", f"{address}/", content, pair, _REGION, service, self._http.now())
        return await self._http.send("POST", f"{address}/", headers=headers, content=content)


def _code(answer: VendorAnswer) -> str:
    found = _CODE.search(answer.text)
    return found.group(1) if found else ""
