"""The tokens that their own first letters give away, by vendor: what the vendors' documentation says of their form.

Sources: GitHub's list of the tokens that its partners have registered
(https://docs.github.com/en/code-security/secret-scanning/introduction/supported-secret-scanning-patterns), the vendors'
own pages, for example https://github.blog/engineering/behind-githubs-new-authentication-token-formats/,
https://docs.gitlab.com/security/tokens/#token-prefixes, https://docs.stripe.com/keys,
https://api.slack.com/concepts/token-types, https://developer.hashicorp.com/vault/docs/concepts/tokens,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes,
https://shopify.dev/changelog/length-of-the-shopify-access-token-is-increasing and
https://docs.sentry.io/account/auth-tokens/; where a vendor gives no length, it is that of a token seen in the wild, as
the rules of https://github.com/gitleaks/gitleaks record it.
"""

from __future__ import annotations

from collections.abc import Iterator

# A kind and its shapes (see `token_shapes`). The order decides what an overlap is called: the more telling kind first.
_TABLE = """
aws-access-key          AKIA<u16> ASIA<u16> ABIA<u16> ACCA<u16> A3T<u17>
aws-bedrock-key         ABSK<b100+> bedrock-api-key-<e20+>
github-token            ghp_<a22+> gho_<a22+> ghu_<a22+> ghs_<a22+> ghr_<a22+> github_pat_<w22+> ghs_<w36+>
orchestrator-token      orc_<w40-1024> orclink_<w40-1024> orcfeed_<w40-1024>
orchestrator-token      orcrec-<l5>-<l5>-<l5>-<l5>-<l5>
gitlab-token            glpat-<w20+>.<l2>.<l9> glrt-<w20+>.<l2>.<l9>
gitlab-token            glpat-<w20+> gldt-<w20+> glft-<w20+> glrt-<w20+> glrtr-<w20+> glcbt-<w20+> glptt-<w20+>
gitlab-token            glagent-<w20+> glimt-<w20+> gloas-<w20+> glsoat-<w20+> glffct-<w20+> GR1348941<w20+>
bitbucket-token         ATBB<a24+> ATCTT3<e20+>
atlassian-token         ATATT3<e60+>
anthropic-key           sk-ant-<w20+>
openrouter-key          sk-or-v1-<h64>
openai-key              sk-<w20+> sess-<a40>
groq-key                gsk_<a40+>
xai-key                 xai-<a60+>
perplexity-key          pplx-<a40+>
replicate-token         r8_<a37>
nvidia-key              nvapi-<w40+>
cerebras-key            csk-<l40+>
together-key            tgp_v1_<w40+>
fireworks-key           fw_<a22-40> fpk_<a22-40>
elevenlabs-key          sk_<h48>
tavily-key              tvly-<w20+>
jina-key                jina_<a50+>
voyage-key              pa-<w43>
langfuse-key            sk-lf-<w36> pk-lf-<w36>
langsmith-key           lsv2_pt_<w30+> lsv2_sk_<w30+> ls__<a32>
pinecone-key            pcsk_<w40+>
wandb-key               wandb_v1_<w40+>
firecrawl-key           fc-<h32>
huggingface-token       hf_<a30-64> api_org_<a30-64>
slack-token             xoxa-<w10+> xoxb-<w10+> xoxe-<w10+> xoxo-<w10+> xoxp-<w10+> xoxr-<w10+> xoxs-<w10+>
slack-token             xoxc-<w10+>
slack-token             xoxd-<e10+> xoxe.xoxb-<w20+> xoxe.xoxp-<w20+> xapp-<w10+>
discord-token           MT<w22-26>.<w6>.<w27-38> MD<w22-26>.<w6>.<w27-38> Nz<w22-26>.<w6>.<w27-38>
discord-token           OD<w22-26>.<w6>.<w27-38> Mz<w22-26>.<w6>.<w27-38> Nj<w22-26>.<w6>.<w27-38>
discord-token           NT<w22-26>.<w6>.<w27-38> ND<w22-26>.<w6>.<w27-38> OT<w22-26>.<w6>.<w27-38> mfa.<w80+>
telegram-token          <d8-10>:AA<w33>
google-api-key          AIza<w35>
google-token            ya29.<w20+> 1//0<w40+> GOCSPX-<w28> AQ.Ab8<w40+>
firebase-key            AAAA<w7>:APA91b<w130+>
stripe-key              sk_live_<a16+> sk_test_<a16+> sk_prod_<a10+> rk_live_<a16+> rk_test_<a16+> rk_prod_<a10+>
stripe-key              whsec_<a16+> sk_org_<w20+>
square-token            sq0atp-<w20+> sq0csp-<w40+> sq0idp-<w20+> EAAA<w56-64>
paypal-token            access_token$production$<l16>$<h32> access_token$sandbox$<l16>$<h32> A21AA<w70+>
razorpay-key            rzp_live_<a14> rzp_test_<a14>
adyen-key               AQE<a1>hmfxK<e60+>
flutterwave-key         FLWSECK_TEST-<l12+> FLWSECK-<l32+> FLWPUBK_TEST-<l32>-X FLWPUBK-<l32>-X FLWSECK_TEST<l12>
plaid-token             access-sandbox-<w36> access-development-<w36> access-production-<w36>
shopify-token           shpat_<x32+> shpca_<x32+> shppa_<x32+> shpss_<x32+> shptka_<x32+> shpua_<x32+>
shippo-token            shippo_live_<x40> shippo_test_<x40>
easypost-key            EZAK<a54> EZTK<a54>
duffel-token            duffel_test_<e40+> duffel_live_<e40+>
gocardless-token        live_<w40> sandbox_<w40>
lob-key                 live_<h35> test_<h35> live_pub_<h31> test_pub_<h31>
twilio-key              SK<x32>
sendgrid-key            SG.<w16-32>.<w32-64> SG.<e66>
mailgun-key             key-<h32> pubkey-<h32>
mailchimp-key           <h32>-us<d1-2>
brevo-key               xkeysib-<h64>-<a16> xsmtpsib-<h64>-<a16>
resend-key              re_<a8>_<a20+>
klaviyo-key             pk_<h34>
npm-token               npm_<a36>
pypi-token              pypi-AgEI<w50+>
rubygems-token          rubygems_<h48>
crates-token            cio<a32>
nuget-key               oy2<l43>
clojars-token           CLOJARS_<l60>
docker-token            dckr_pat_<w20+> dckr_oat_<w20+>
artifactory-token       AKCp<a69> cmVmd<a59>
databricks-token        dapi<h32>-<d1> dapi<h32> dose<h32> dkea<h32>
digitalocean-token      dop_v1_<h64> doo_v1_<h64> dor_v1_<h64>
vault-token             hvs.<w24+> hvb.<w24+> hvr.<w24+> s.<a24> b.<w100+>
terraform-token         <a14>.atlasv1.<e60+>
pulumi-token            pul-<h40>
infracost-token         ico-<a32>
doppler-token           dp.pt.<a40+> dp.ct.<a40+> dp.sa.<a40+> dp.scim.<a40+> dp.audit.<a40+> dp.said.<a36+>
doppler-token           dp.st.<w2-35>.<a40+> dp.st.<a40+>
1password-token         ops_eyJ<b200+> A3-<u6>-<u11>-<u5>-<u5>-<u5> A3-<u6>-<u6>-<u5>-<u5>-<u5>-<u5>
age-key                 AGE-SECRET-KEY-1<u58>
cloudflare-key          v1.0-<h24>-<h146>
alibaba-key             LTAI<a16-26>
tencent-key             AKID<a32>
azure-devops-token      <a76>AZDO<a4>
azure-key               <a52>JQQJ99<a26>
azure-client-secret     <t3><d1>Q~<t31-34>
fly-token               fo1_<w40+> fm1a_<e90+> fm1r_<e90+> fm2_<e90+>
heroku-key              HRKU-<w36+>
vercel-token            vcp_<a24+> vck_<a24+> vci_<a24+> vca_<a24+> vcr_<a24+>
netlify-token           nfp_<a36+> nfc_<a36+> nfo_<a36+>
supabase-key            sbp_<h40> sbp_v0_<h40> sb_secret_<w22+>
neon-key                napi_<l60+>
planetscale-token       pscale_tkn_<e30+> pscale_oauth_<e30+> pscale_pw_<e30+>
render-key              rnd_<a28+>
scalingo-token          tk-us-<w48>
clickhouse-key          4b1d<a38>
aiven-token             aivenv1<e60+>
openshift-token         sha256~<w43>
launchdarkly-key        sdk-<w36> api-<w36> mob-<w36>
posthog-key             phx_<a40+> phc_<a40+>
grafana-token           glsa_<a32>_<x8> glc_<e32+> eyJrIjoi<e70+>
newrelic-key            NRAK-<a27> NRJS-<x19> NRII-<w32> NRRA-<a40> NRSP-<w28+>
dynatrace-token         dt0c01.<a24>.<a64> dt0s01.<a24>.<a64> dt0s02.<a8>.<a64> dt0s16.<a8>.<a64>
sentry-token            sntrys_eyJ<e40+> sntryu_<h64> sntrya_<h64> sntryi_<h64>
honeycomb-key           hcaik_<l50+> hcxik_<l50+> hcxmk_<l50+> hcalk_<l50+> hcamk_<l50+>
axiom-token             xaat-<w36> xapt-<w36>
elastic-key             essu_<e40+>
circleci-token          CCIPAT_<a22>_<h40> CCIPRJ_<a22>_<h40>
buildkite-token         bkua_<h40> bkpt_<h40> bkct_<e30+>
sonar-token             squ_<w40> sqp_<w40> sqa_<w40>
sourcegraph-token       sgp_<x16>_<x40> sgp_local_<x40> sgp_<x40> slk_<h64>
snyk-token              snyk_uat.<e40+> snyk_sat.<e40+>
prefect-token           pnu_<a36> pnb_<a36>
postman-key             PMAK-<x24>-<x34>
linear-key              lin_api_<a40> lin_oauth_<a40+>
notion-token            ntn_<a40+> secret_<a43>
figma-token             figd_<w40> figo_<w40> figu_<w40>
airtable-token          pat<a14>.<h64>
asana-token             1/<d15-17>:<h32> 2/<d15-17>/<d15-17>:<h32>
clickup-token           pk_<d6-10>_<u32>
contentful-token        CFPAT-<w43>
typeform-token          tfp_<e50+>
hubspot-token           pat-na1-<w36> pat-eu1-<w36> pat-na2-<w36>
dropbox-token           sl.<w100+> sl.u.<w100+>
adobe-secret            p8e-<a32>
facebook-token          EAAM<a90+> EAAC<a90+> EAAG<a90+> EAAB<a90+> EAAJ<a90+>
mapbox-token            sk.eyJ<w40+>.<w20+> pk.<l60>.<l22>
yandex-key              AQVN<w35-38> YC<w38> t1.<e20+>.<w86>
frameio-token           fio-u-<e60+>
readme-token            rdme_<l60+>
settlemint-token        sm_aat_<a16> sm_pat_<a16> sm_sat_<a16>
harness-token           pat.<w22>.<a24>.<a20> sat.<w22>.<a24>.<a20>
octopus-key             API-<u24-36>
authress-key            sc_<a5-30>.<a4-6>.acc_<e30+> ext_<a5-30>.<a4-6>.acc_<e30+> scauth_<a5-30>.<a4-6>.acc_<e30+>
authress-key            sc_<a5-30>.<a4-6>.acc-<e30+> ext_<a5-30>.<a4-6>.acc-<e30+> scauth_<a5-30>.<a4-6>.acc-<e30+>
authress-key            authress_<a5-30>.<a4-6>.acc_<e30+> authress_<a5-30>.<a4-6>.acc-<e30+>
intra42-secret          s-s4t2ud-<h64> s-s4t2af-<h64>
tailscale-key           tskey-auth-<w16+> tskey-api-<w16+> tskey-client-<w16+> tskey-scim-<w16+> tskey-webhook-<w16+>
defined-key             dnkey-<e26>-<e52> dnkey-<w70+>
inngest-key             signkey-prod-<h64> signkey-test-<h64>
"""


def vendor_tokens() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each kind with its shapes, in the order of the table; a kind may come more than once."""
    for line in _TABLE.strip().splitlines():
        kind, *shapes = line.split()
        yield kind, tuple(shapes)
