"""A corpus of secrets that are made anew for each run, after what vendors document of their form, and of harmless text.

Nothing here is a secret, or looks like one: values are drawn from a seed that the caller prints.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import string
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

_LOWER, _UPPER, _DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
_ALPHABETS = {
    "9": _DIGITS,
    "h": _DIGITS + "abcdef",
    "U": _UPPER + _DIGITS,
    "l": _LOWER + _DIGITS,
    "L": _LOWER + _UPPER,
    "a": _LOWER + _UPPER + _DIGITS,
    "w": _LOWER + _UPPER + _DIGITS + "_-",
    "b": _LOWER + _UPPER + _DIGITS + "+/",
    "2": _UPPER + "234567",
}
# `{a36}` is 36 characters of an alphabet, `{uuid}` a UUID. One kind a line: what it is called, and its form.
_TOKENS = """
AWS access key: AKIA{216}
AWS temporary key: ASIA{216}
AWS bedrock: ABSK{b132}
GitHub classic: ghp_{a36}
GitHub OAuth: gho_{a36}
GitHub user to server: ghu_{a36}
GitHub server to server: ghs_{a36}
GitHub refresh: ghr_{a76}
GitHub fine-grained: github_pat_{a22}_{a59}
GitLab personal: glpat-{w20}
GitLab routable: glpat-{w27}.01.{l9}
GitLab deploy: gldt-{w20}
GitLab runner: glrt-{w20}
GitLab trigger: glptt-{h40}
GitLab job: glcbt-64_{w20}
GitLab feed: glft-{w20}
GitLab agent: glagent-{w50}
GitLab mail: glimt-{w25}
GitLab OAuth: gloas-{h64}
GitLab SCIM: glsoat-{w20}
GitLab flags: glffct-{w20}
GitLab registration: GR1348941{w20}
Atlassian: ATATT3xFfGF0{w180}
Bitbucket: ATBB{a32}
Anthropic: sk-ant-api03-{w93}AA
Anthropic admin: sk-ant-admin01-{w93}AA
OpenAI project: sk-proj-{w74}T3BlbkFJ{w74}
OpenAI service: sk-svcacct-{w58}T3BlbkFJ{w58}
OpenAI legacy: sk-{a20}T3BlbkFJ{a20}
OpenRouter: sk-or-v1-{h64}
DeepSeek: sk-{h32}
Groq: gsk_{a52}
xAI: xai-{a80}
Perplexity: pplx-{a48}
Replicate: r8_{a37}
NVIDIA: nvapi-{w64}
Cerebras: csk-{l48}
Together: tgp_v1_{w43}
Fireworks: fw_{a24}
ElevenLabs: sk_{h48}
Tavily: tvly-{a32}
Jina: jina_{a60}
Voyage: pa-{w43}
Langfuse: sk-lf-{uuid}
LangSmith: lsv2_pt_{h32}_{h10}
Pinecone: pcsk_{a6}_{a63}
Firecrawl: fc-{h32}
Hugging Face: hf_{L34}
Hugging Face organization: api_org_{L34}
Slack bot: xoxb-{912}-{913}-{a24}
Slack user: xoxp-{912}-{912}-{913}-{h32}
Slack app: xapp-1-A{U10}-{913}-{h64}
Slack refresh: xoxe-1-{U146}
Slack webhook: https://hooks.slack.com/services/T{U8}/B{U10}/{a24}
Teams webhook: https://acme.webhook.office.com/webhookb2/{uuid}@{uuid}/IncomingWebhook/{h32}/{uuid}
Discord webhook: https://discord.com/api/webhooks/{918}/{w68}
Discord bot: MTk4NjIy{a16}.{w6}.{w38}
Telegram bot: {910}:AA{w33}
Google API: AIza{w35}
Google access: ya29.{w120}
Google client secret: GOCSPX-{w28}
Google refresh: 1//0{w60}
Firebase messaging: AAAA{w7}:APA91b{w134}
Stripe live: sk_live_{a24}
Stripe test: sk_test_{a99}
Stripe restricted: rk_live_{a99}
Stripe webhook: whsec_{a32}
Square access: EAAA{w60}
Square OAuth: sq0csp-{w43}
PayPal: access_token$production${l16}${h32}
Razorpay: rzp_live_{a14}
Flutterwave: FLWSECK_TEST-{h32}-X
Plaid: access-production-{uuid}
Shopify access: shpat_{h32}
Shopify custom: shpca_{h32}
Shopify private: shppa_{h32}
Shopify shared: shpss_{h32}
Shippo: shippo_live_{h40}
EasyPost: EZAK{a54}
EasyPost test: EZTK{a54}
Duffel: duffel_live_{w43}
Lob: live_{h35}
Twilio: SK{h32}
SendGrid: SG.{w22}.{w43}
Mailgun: key-{h32}
Mailchimp: {h32}-us14
Brevo: xkeysib-{h64}-{a16}
Resend: re_{a8}_{a24}
npm: npm_{a36}
PyPI: pypi-AgEIcHlwaS5vcmc{w120}
RubyGems: rubygems_{h48}
crates.io: cio{a32}
NuGet: oy2{l43}
Clojars: CLOJARS_{l60}
Docker Hub: dckr_pat_{w27}
Artifactory: AKCp{a69}
Artifactory reference: cmVmd{a59}
Databricks: dapi{h32}
Databricks numbered: dapi{h32}-2
DigitalOcean personal: dop_v1_{h64}
DigitalOcean OAuth: doo_v1_{h64}
DigitalOcean refresh: dor_v1_{h64}
Vault service: hvs.{w95}
Vault batch: hvb.{w150}
Vault legacy: s.{a24}
Terraform: {a14}.atlasv1.{w64}
Pulumi: pul-{h40}
Infracost: ico-{a32}
Doppler: dp.pt.{a43}
Doppler service: dp.st.prd.{a43}
1Password account: A3-{U6}-{U11}-{U5}-{U5}-{U5}
1Password service: ops_eyJ{a300}
age: AGE-SECRET-KEY-1{258}
Cloudflare origin: v1.0-{h24}-{h146}
Alibaba: LTAI{a20}
Tencent: AKID{a32}
Azure DevOps: {a76}AZDO{a4}
Azure OpenAI: {a52}JQQJ99{a26}
Fly: fo1_{w43}
Fly macaroon: fm2_{b120}
Heroku: HRKU-AA{w58}
Netlify: nfp_{a36}
Supabase: sbp_{h40}
Neon: napi_{l64}
PlanetScale: pscale_tkn_{w43}
PlanetScale password: pscale_pw_{w43}
Render: rnd_{a32}
Scalingo: tk-us-{w48}
ClickHouse: 4b1d{a38}
OpenShift: sha256~{w43}
LaunchDarkly: sdk-{uuid}
PostHog: phx_{a43}
Grafana service: glsa_{a32}_{h8}
Grafana cloud: glc_{b100}
New Relic user: NRAK-{U27}
New Relic insert: NRII-{w32}
Dynatrace: dt0c01.{U24}.{U64}
Sentry user: sntryu_{h64}
Sentry organization: sntrys_eyJpYXQiO{b100}_{b43}
Honeycomb: hcaik_{l58}
Axiom: xaat-{uuid}
CircleCI: CCIPAT_{a22}_{h40}
Buildkite: bkua_{h40}
Sonar: squ_{h40}
Sourcegraph: sgp_{h16}_{h40}
Snyk: snyk_uat.{w60}
Prefect: pnu_{a36}
Postman: PMAK-{h24}-{h34}
Linear: lin_api_{a40}
Notion: ntn_{911}{a35}
Notion legacy: secret_{a43}
Figma: figd_{w40}
Airtable: pat{a14}.{h64}
Asana: 1/{916}:{h32}
ClickUp: pk_{98}_{U32}
Contentful: CFPAT-{w43}
Typeform: tfp_{w59}
HubSpot: pat-na1-{uuid}
Dropbox: sl.{w136}
Adobe: p8e-{a32}
Facebook: EAAC{a150}
Mapbox: sk.eyJ{a60}.{a22}
Yandex: AQVN{w36}
Frame.io: fio-u-{w64}
ReadMe: rdme_{l70}
SettleMint: sm_pat_{a16}
Harness: pat.{w22}.{a24}.{a20}
Octopus: API-{U26}
Authress: sc_{a16}.{l5}.acc_{l16}.{a60}
Intra42: s-s4t2ud-{h64}
Tailscale: tskey-auth-{a17}-{a32}
Inngest: signkey-prod-{h64}
JSON web token: eyJhbGciOiJIUzI1NiJ9.eyJ{a60}.{w43}
Our own: orc_{w43}
"""
# Vendors whose keys have no form of their own: the name of the variable tells.
_NAMED = """
adafruit_io: {l32}
adobe_client: {h32}
airtable_app: {l17}xyz0a1
algolia_admin: {h32}
alibaba_secret: {a30}
asana_client: {l32}
assemblyai: {h32}
atlassian_login: {a24}
auth0_client: {w64}
beamer_app: b_{w44}
bitbucket_client: {a32}
bittrex_access: {h32}
browserstack_access: {a20}
bugsnag_api: {h32}
cloudflare_global: {h37}
codecov_upload: {uuid}
cohere_prod: {a40}
coinbase_api: {a64}
confluent_cloud: {a64}
contentful_delivery: {w43}
datadog_app: {h40}
deepgram_speech: {h40}
discord_client: {w32}
droneci_deploy: {a32}
dropbox_app: {a60}
etsy_key: {l24}
facebook_app: {h32}
fastly_purge: {w32}
finicity_app: {h32}
finnhub_live: {l20}
flickr_photos: {h32}
freshbooks_books: {h64}
gitter_room: {h40}
heroku_deploy: {uuid}
hubspot_app: {uuid}
infura_project: {h32}
intercom_app: {a60}
jfrog_identity: {a64}
kraken_private: {a86}
kucoin_access: {h24}
launchdarkly_mobile: {a40}
linkedin_client: {a20}
looker_client: {a24}
mailjet_public: {h32}
mapbox_public: {a60}
mattermost_bot: {l26}
meraki_dashboard: {h40}
messagebird_live: {a25}
mixpanel_project: {h32}
netlify_build: {a43}
newrelic_licence: {h40}
nytimes_articles: {a32}
okta_api: 00{a40}
opsgenie_team: {uuid}
pagerduty_events: {h32}
plaid_client: {h24}
postmark_server: {uuid}
rapidapi_mashape: {a50}
rollbar_post: {h32}
segment_write: {a32}
sendbird_app: {uuid}
sentry_auth: {h64}
shodan_search: {a32}
snyk_cli: {uuid}
sonar_login: {h40}
sourcegraph_search: {h40}
spotify_client: {h32}
squarespace_site: {uuid}
strava_app: {h40}
sumologic_collector: {a64}
travis_ci: {a22}
trello_board: {h32}
twilio_auth: {h32}
twitch_stream: {l30}
twitter_consumer: {a50}
virustotal_scan: {h64}
yandex_cloud: {a40}
zendesk_help: {a40}
"""
_VENDOR_NOTATIONS = (
    '{N} = "{v}"', "{N}={v}", "{n}: {v}", '"{n}": "{v}"', "const {n} = '{v}';", "export {N}='{v}'", "{n} := `{v}`",
    "'{n}' => '{v}'",
)  # fmt: skip
_NAMES = """
password: DB_PASSWORD adminPassword smtp-passwd passphrase MYSQL_PWD redis_pass
key: API_KEY apiKey x-api-key SIGNING_KEY encryption_key privateKey access-key MASTER_KEY jwtKey
token: GITHUB_TOKEN authToken deploy-token X_TOKEN refresh_token
secret: CLIENT_SECRET appSecret webhook-secret SECRET_KEY credential SECRET_KEY_BASE
"""
NOTATIONS = (
    "{n}={v}", "{n} = {v}", '{n}="{v}"', "{n}='{v}'", "{n} = '{v}'", '{n} = "{v}";', "export {n}={v}",
    'export {n}="{v}"',
    "{n}: {v}", '{n}: "{v}"', "- {n}: '{v}'", "{n}: |\n  {v}\n", "{n}: >-\n  {v}\n", '"{n}": "{v}"', '{{"{n}":"{v}"}}',
    '{{\\"{n}\\": \\"{v}\\"}}', '{n} := "{v}"', "{n} := `{v}`", 'var {n} string = "{v}"', 'const {n}: string = "{v}";',
    '{n}: str = "{v}"', 'val {n}: String = "{v}"', 'String {n} = "{v}";', 'private static final String {n} = "{v}";',
    'string {n} = "{v}";', '"{n}" => "{v}",', ":{n} => '{v}'", "${n} = '{v}';", '$config["{n}"] = "{v}";',
    "config['{n}'] = '{v}'", 'os.environ["{n}"] = "{v}"', 'process.env.{n} = "{v}"', 'ENV["{n}"] = "{v}"',
    '$env:{n} = "{v}"',
    'os.environ.setdefault("{n}", "{v}")', 'os.Setenv("{n}", "{v}")', "putenv('{n}={v}')", "define('{n}', '{v}');",
    'System.setProperty("{n}", "{v}")', 'login("me", {n}="{v}")', "<{n}>{v}</{n}>", "<{n}>\n  {v}\n</{n}>",
    '<a:{n} type="x">{v}</a:{n}>', '<add key="{n}" value="{v}" />', '<entry name="{n}" value="{v}"/>',
    "<name>{n}</name>\n<value>{v}</value>", "<key>{n}</key>\n<string>{v}</string>", "- name: {n}\n  value: {v}",
    '- name: {n}\n  value: "{v}"', '{{"name": "{n}", "value": "{v}"}}', "tool --{n} {v} run", "tool --{n}={v} run",
    "tool --{n} '{v}'", "Tool -{n} {v}", "docker run -e {n}={v} image", "ENV {n} {v}", "ENV {n}={v}", "ARG {n}={v}",
    "set {n}={v}", "setx {n} {v}", "setenv {n} {v}", "set {n} {v}", "{n} ?= {v}", "{n} ::= {v}", "{n} += {v}",
    '{n} ||= "{v}"', '{n} ??= "{v}"', "https://example.org/x?{n}={v}&page=2", "curl -H '{n}: {v}' x", "-D{n}={v}",
    'if {n} == "{v}":', '{n} = b"{v}"', "{n} = r'{v}'", '{n} = """{v}"""', "&quot;{n}&quot;: &quot;{v}&quot;",
    "%22{n}%22%3A%22{v}%22", "{n}%3D{v}", 'Server=x;{n}={v};Timeout=5', "| {n} | x |\n{n}: `{v}`", "# {n}={v}",
    "// {n}: '{v}'",
    "2026-11-29 12:00:01 INFO got {n}={v} from x", "Error: {n}: '{v}' was refused", "{n} -> {v}", "\\n{n}={v}\\n",
)  # fmt: skip
_LITERAL = re.compile(r"\{(uuid|[9hUlLawb2][0-9]+)\}")


@dataclass(frozen=True, slots=True)
class SecretSample:
    """A text with a secret in it."""

    group: str
    kind: str
    text: str
    secret: str


def made(shape: str, rng: random.Random) -> str:
    """A value of a shape."""

    def drawn(found: re.Match[str]) -> str:
        if found[1] == "uuid":
            return str(uuid.UUID(int=rng.getrandbits(128)))
        return "".join(rng.choices(_ALPHABETS[found[1][0]], k=int(found[1][1:])))

    return _LITERAL.sub(drawn, shape)


def _lines(table: str) -> Iterator[tuple[str, str]]:
    for line in table.strip().splitlines():
        name, _, rest = line.partition(": ")
        yield name, rest


def bare_tokens(rng: random.Random) -> Iterator[SecretSample]:
    """Tokens by themselves, in sentences, lines of logs and code."""
    for kind, shape in _lines(_TOKENS):
        for around in (
            "{v}",
            "sent {v} to it",
            '("{v}")',
            "x={v};",
            "\\n{v}\\n",
            "[{v}]",
            "<b>{v}</b>",
            "a/{v}?b",
            "{v}\n",
        ):
            secret = made(shape, rng)
            yield SecretSample("token", kind, around.replace("{v}", secret), secret)


def named_values(rng: random.Random) -> Iterator[SecretSample]:
    """Random values beside a vendor's name."""
    for name, shape in _lines(_NAMED):
        for notation in _VENDOR_NOTATIONS:
            secret = made(shape, rng)
            text = notation.replace("{n}", name).replace("{N}", name.upper()).replace("{v}", secret)
            yield SecretSample("vendor", name, text, secret)


def assignments(rng: random.Random) -> Iterator[SecretSample]:
    """Each notation with names of each kind."""
    for kind, names in _lines(_NAMES):
        for notation in NOTATIONS:
            for name in rng.sample(names.split(), 2):
                secret = made("{a20}", rng) if kind != "password" else made("{L4}{92}!{l3}", rng)
                text = notation.replace("{{", "{").replace("}}", "}").replace("{n}", name).replace("{v}", secret)
                yield SecretSample("assignment", f"{kind} {notation}", text, secret)


def harmless_texts(rng: random.Random) -> Iterator[tuple[str, str]]:
    """Texts full of what is random or named like a secret, and is none; each with what it is."""
    digests = [hashlib.sha256(rng.randbytes(8)).hexdigest() for _ in range(800)]
    pins = (f"package-{at}==1.{at}.0 \\\n    --hash=sha256:{digest}\n" for at, digest in enumerate(digests))
    yield "requirements", "".join(pins)
    npm = {
        f"node_modules/p{at}": {
            "version": f"1.{at}.3",
            "resolved": f"https://registry.example.org/p{at}/-/p{at}-1.0.0.tgz",
            "integrity": "sha512-" + base64.b64encode(rng.randbytes(64)).decode(),
        }
        for at in range(600)
    }
    yield "package lock", json.dumps(npm, indent=2)
    yield (
        "go sums",
        "".join(
            f"github.com/a/b{at} v1.{at}.0 h1:{base64.b64encode(rng.randbytes(32)).decode()}\n" for at in range(900)
        ),
    )
    yield (
        "git log",
        "".join(f"commit {digest[:40]}\nAuthor: A <a@example.org>\n\n    Pass tokens\n" for digest in digests),
    )
    yield "uuids", "".join(f'{{"id": "{uuid.UUID(int=rng.getrandbits(128))}", "key": "k{at}"}}\n' for at in range(900))
    image = base64.b64encode(rng.randbytes(150_000)).decode()
    yield "base64 image", f'<img src="data:image/png;base64,{image}">'
    yield "wrapped base64", "\n".join(image[at : at + 76] for at in range(0, len(image), 76))
    words = ["key", "token", "pass", "secret", "next", "e", "t", "auth", "value", "password", "cache", "primaryKey"]
    yield (
        "minified code",
        "".join(
            f"function {rng.choice(words)}{at}(e,t){{return e.{rng.choice(words)}={rng.choice(words)}"
            f".{rng.choice(words)}(t),this.{rng.choice(words)}?{rng.choice(words)}:{at}}}"
            for at in range(2500)
        ),
    )
    yield (
        "logs",
        "".join(
            f"2026-11-29T10:{at % 60:02}:01.{at:03}Z INFO model_call.finished run=run-{digest[:12]} tokens={at} "
            f"request=req_{digest[:8]} trace={digest[:32]} first_token=0.{at}\n"
            for at, digest in enumerate(digests)
        ),
    )
