"""Random values beside a vendor's name: `ALGOLIA_ID = "…"`. The value itself has no form that tells its kind.

A digest looks just as random, so it is the name before the value that decides.
"""

from __future__ import annotations

import re

from orchestration.security.secret_values import looks_random

CONTEXT_KIND = "vendor-key"

# Vendors whose keys are plain hexadecimal or random letters.
_VENDORS = """
abuseipdb adafruit adobe airtable akamai algolia alibaba alphavantage amplitude anthropic apify appveyor artifactory
asana assemblyai atlassian auth0 beamer binance bitbucket bitrise bittrex braintree browserstack bugsnag buildkite
bynder cerebras circleci cloudflare cloudinary codeclimate codecov cohere coinbase coinmarketcap confluence
confluent contentful coveralls databricks datadog deepgram deepseek digitalocean discord dnkey droneci dropbox
elevenlabs etherscan etsy facebook fastly finicity finnhub fireworks flickr freshbooks gitea gitter gocardless groq
hcaptcha heroku hetzner honeybadger honeycomb hubspot imagekit infura intercom jfrog jira jumpcloud kraken kucoin
lambdatest launchdarkly linkedin linked_in linode looker mailchimp mailgun mailjet mapbox mattermost meraki maxmind
message_bird messagebird mistral mixpanel moralis netlify newrelic new_relic new-relic newsapi nexmo nytimes okta
openai openweather opsgenie pagerduty paypal pinecone plaid postmark private_ai privateai quandl railway rapidapi
recaptcha rollbar saucelabs scaleway segment sendbird sentry shodan shopify snyk sonar sourcegraph sparkpost spotify
squarespace steam strava stripe sumologic sumo_ supabase telegram tiingo todoist travis trello turnstile twilio
twitch twitter typeform upstash virustotal vonage vultr wandb weatherapi yandex zendesk zoom
"""
_VENDOR = re.compile("|".join(sorted(map(re.escape, _VENDORS.split()), key=len, reverse=True)))
# Read from the value to the left: quotes, an operator, what closes a subscript, and the name.
_BEFORE = re.compile(
    r"[\"'`]{0,3}+[bBrRuU@]?\s{0,16}+(?:>?={1,3}[:?.+|]{0,3}|>[=-]|[:,|>(]|(?=\s))\s{0,4}+[\"'`\])]{0,3}+"
    r"(?P<name>[\w. -]{2,48}+)"
)
_WINDOW = 96
_LONGEST = 200
# What is before an assigned value. (A run at the very beginning of a text has nothing before it.)
ASSIGNED_AFTER = frozenset("\"'`=:,>(| \t\n")


def is_vendors_value(text: str, start: int, end: int) -> bool:
    """Whether a run of letters and digits is random, and assigned to a name that holds that of a vendor."""
    if end - start > _LONGEST:
        return False
    found = _BEFORE.match(text[max(0, start - _WINDOW) : start][::-1])
    return found is not None and _names_vendor(found["name"][::-1]) and looks_random(text[start:end])


def _names_vendor(name: str) -> bool:
    """Whether a vendor's name begins a word in a name: `okta_id` or `myOktaId`, and not `bookTable`."""
    return any(
        name[at].isupper() or not name[at - 1 : at].isalpha()
        for at in (found.start() for found in _VENDOR.finditer(name.lower()))
    )
