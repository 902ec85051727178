"""Which names say that a secret follows, and which texts are one by their shape: facts, in one place.

The names are those of detect-secrets' keyword plugin and more; the shapes are those of its plugins and of gitleaks'
published rules, taken as facts. detect-secrets 1.5 (Apache 2.0) itself is no dependency: it tells *which* secret a
line holds and not *where*, one a line and a name; it chooses patterns by a file's name and plugins by a global; its own
patterns are not linear in a line's length; its import costs each start 0.1 to 0.2 s and brings requests; and its last
release is of May 2024.
"""

from __future__ import annotations

import functools
import re
from typing import Final


def words(text: str) -> frozenset[str]:
    """The words of a text that is a list of them."""
    return frozenset(re.findall(r"\S+", text))


# In a name, whatever stands around them.
_ANYWHERE: Final = re.compile(
    r"pa?ss?w(?:or|r)?d|passphrase|passcode|contrase(?:n|ñ|ny)[ae]|kennwort|passwort|wachtwoord|losenord|salasana|motdepasse|senha|secret|token|credential|"
    r"credencial|apikey|privatekey|accesskey|accountkey|authorization|cookie|sessionid|webhook|mnemonic|connectionstring|"
    r"connstr|sharedkey|llave(?:de)?(?:api|privada|maestra|secreta|acceso|cifrado|firma)"
)
# As a word of a name: DB_PIN, githubPat, BASIC_AUTH.
_WORDS: Final = words(
    """
    puk cvv cvc pass pwd pw pswd psw pin pat cred creds auth hmac salt pepper jwt clave dsn otp totp mfa sas signature
    bearer netrc pgpass htpasswd session sid seed nonce jks p12 pfx dockercfg dockerconfigjson kubeconfig
    """
)
# …and as the end of a word that is written together: DBPASS, MYSQLPWD, authkey, sshkey.
_ENDS: Final = re.compile(
    r"(?!(?:by|com|encom|sur|tres|under|over|out|multi|im|single)pass)[a-z0-9]+pass(?:\d*)|[a-z0-9]+pwd|(?:root|admin|user|db|my|sql|bind|ldap)pw|"
    r"(?:master|basic|proxy|npm|docker|registry|http|user|redis|smtp)auth|"
    r"(?:api|auth|aes|rsa|dsa|db|enc|encryption|encrypt|hmac|host|jwt|license|licence|master|priv|rsa|server|service|"
    r"sign|signing|ssh|ssl|storage|stripe|tls|root|app|client|deploy|session|user|secure|web|push|gpg|pgp|age)keys?"
)
# KEY after any other word is a secret's: MASTER_KEY, STRIPE_KEY. These are keys of something else.
_PLAIN_KEYS: Final = words(
    """
    public pub primary partition foreign sort routing cache shard hash group lookup row object unique message topic
    dedup index config label annotation field map node hot redis consul etcd feature translation i18n locale data
    record query param parameter header tag metric property option setting idempotency join order search item event
    log kafka dictionary column table bucket affinity topology registry selector match hashing path file env
    duplicate missing unknown no the a of this required invalid each other same composite candidate natural super
    any in by for and to
    """
)
_CODES: Final = words(
    "recovery backup access activation auth security verification confirmation pairing invite unlock reset master"
)  # before CODE
# What may stand behind KEY, and it is still the key: client-key-data, SSH_KEY_B64, STRIPE_KEY_LIVE.
_STILL: Final = words(
    """
    data value string text raw plain hex base64 b64 b pem content encoded prod production test live staging dev old
    new current previous next backup secondary
    """
)
# What says something about a secret and is none, at the end of a name: PASSWORD_FILE, TOKEN_TTL, SESSION_TIMEOUT.
_ABOUT: Final = words(
    """
    file files path dir directory ttl seconds minutes hours days ms millis timeout expiry expiration expire expires
    expired lifetime age maxage length size count limit limits enabled disabled enable required url uri endpoint
    host port type algorithm alg issuer audience interval rotation retries attempts mode policy strategy provider
    class domain samesite httponly secure domain driver scheme method methods version realm store region bits
    iterations rounds cost
    """
)
# Fields of Kubernetes' own objects that only name or limit a secret.
KUBERNETES: Final = words(
    """
    secretname secretref secretkeyref secretnamespace imagepullsecrets secrets tokenexpirationseconds
    automountserviceaccounttoken serviceaccounttoken topologykey topologykeys matchlabelkeys nodepublishsecretref
    optionalsecret mismatchlabelkeys sessionaffinity sessionaffinityconfig externalsecret secretstoreref secretstore
    sealedsecret externalsecrets tokenrequests
    """
)
_HUMPS: Final = re.compile(r"[A-ZÑ]{2,}(?=[A-ZÑ][a-zñ])|[A-ZÑ]?[a-zñ]+|[A-ZÑ]+|\d+")
LONGEST_NAME: Final = 200  # characters of a name, from its end, that are looked at


@functools.lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether what has this name is taken to be a secret, whatever it looks like."""
    words = [w.lower() for w in _HUMPS.findall(name)]
    if not words or "".join(words) in KUBERNETES:
        return False
    flat = "".join(words)
    about = words[-1] in _ABOUT and len(words) > 1
    if _ANYWHERE.search(flat):
        return not about
    if about:
        return False
    lower = [w for part in re.split(r"[^A-Za-z0-9Ññ]+", name) if (w := part.lower())]
    if any(w in _WORDS or _ENDS.fullmatch(w) for w in (*words, *lower)):
        return True
    if len(words) > 1 and (words[-1] == "private" or (words[-1] in ("code", "codes") and words[-2] in _CODES)):
        return True
    while len(words) > 1 and (words[-1] in _STILL or words[-1].isdigit()):
        words.pop()
    return words[-1] in ("key", "keys") and len(words) > 1 and len(words[-2]) > 1 and words[-2] not in _PLAIN_KEYS


def is_short_word(name: str) -> bool:
    """Whether a secret's name is also a word of everyday messages: ``auth: connection refused``."""
    return name in _WORDS


# Tokens whose makers gave them a shape to be found by.
SHAPED: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    # code and packages: GitHub, GitLab, Bitbucket, npm, PyPI, RubyGems, NuGet, Docker, Terraform, Pulumi, Artifactory …
    r"gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,}|gl(?:pat|dt|ft|soat|rt|ptt|cbt|agent|imt|oas|ffct|wt)-[\w.-]{16,}|"
    r"GR1348941[\w-]{20,}|ATBB[A-Za-z0-9]{20,}|ATATT[\w=-]{20,}|ATCTT[\w=-]{20,}|npm_[A-Za-z0-9]{30,}|pypi-[\w-]{16,}|"
    r"rubygems_[a-f0-9]{32,}|oy2[a-z0-9]{43}|dckr_(?:pat|oat)_[\w-]{16,}|AKCp[A-Za-z0-9]{20,}|cmVmd[A-Za-z0-9]{40,}|"
    r"[A-Za-z0-9]{14}\.atlasv1\.[\w-]{20,}|pul-[a-f0-9]{40}|CLOJARS_[a-z0-9]{40,}|sgp_[A-Za-z0-9_]{30,}|"
    r"sntry[su]_[\w+/=.-]{20,}|crates_io_[A-Za-z0-9]{20,}|cio[A-Za-z0-9]{32}|"
    # clouds: AWS, Google, Azure, DigitalOcean, Alibaba, Heroku, Fly, Databricks, Cloudflare, PlanetScale, Supabase …
    r"(?:AKIA|ASIA|ABIA|ACCA|A3T[A-Z0-9])[A-Z0-9]{12,}|ABSK[A-Za-z0-9+/]{30,}|AIza[\w-]{30,}|ya29\.[\w.-]{8,}|"
    r"1//0[\w-]{20,}|GOCSPX-?[\w-]{10,}|[\w~.]{3}\dQ~[\w~.-]{30,}|do[opr]_v1_[a-f0-9]{32,}|LTAI[A-Za-z0-9]{12,}|"
    r"HRKU-[\w-]{20,}|fo1_[\w-]{20,}|fm[12][ar]?_[A-Za-z0-9+/=]{20,}|dapi[a-f0-9]{32}|v1\.0-[a-f0-9]{24}-[a-f0-9]{20,}|"
    r"pscale_(?:tkn|oauth|pw)_[\w=.-]{16,}|sb[ps]_[A-Za-z0-9_]{20,}|sb_secret_[\w-]{10,}|scw?SECRET[\w-]{10,}|"
    # vaults and clusters: HashiCorp, OpenShift, Doppler, 1Password, age, Kubernetes' bootstrap tokens
    r"hv[sbr]\.[\w-]{10,}|s\.[A-Za-z0-9]{24}(?![\w.])|sha256~[\w-]{20,}|dp\.(?:pt|st|ct|sa|scim|audit)\.[\w.-]{16,}|"
    r"A3-[A-Z0-9]{6}-[A-Z0-9-]{20,}|ops_eyJ[\w+/=-]{20,}|AGE-SECRET-KEY-1[A-Z0-9]{20,}|"
    r"(?=[a-z.]{0,22}\d)[a-z0-9]{6}\.(?=[a-z]{0,16}\d)[a-z0-9]{16}(?![\w.-])|"
    # models: OpenAI, Anthropic, Hugging Face, Perplexity, Groq, Replicate, xAI
    r"sk-(?:proj|svcacct|admin|ant|or|lf|None)-[\w-]{8,}|sk-[A-Za-z0-9]{20,}|hf_[A-Za-z0-9]{20,}|api_org_[A-Za-z]{20,}|"
    r"pplx-[A-Za-z0-9]{20,}|gsk_[A-Za-z0-9]{20,}|r8_[A-Za-z0-9]{20,}|xai-[A-Za-z0-9]{20,}|"
    # chats and mail: Slack, Discord, Telegram, SendGrid, Mailchimp, Mailgun, Brevo, Twilio
    r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}|xapp-\d-[A-Za-z0-9-]{10,}|[MNO](?=[A-Za-z_-]{0,26}\d)[\w-]{22,27}\.[\w-]{6}\.[\w-]{25,40}|mfa\.[\w-]{20,}|"
    r"\d{8,10}:[A-Za-z0-9_-]{33,37}(?![A-Za-z0-9_-])|SG\.[\w-]{10,}\.[\w-]{10,}|[0-9a-f]{32}-us\d{1,2}|key-[0-9a-z]{32}|"
    r"xkeysib-[a-f0-9]{20,}-[A-Za-z0-9]+|(?:AC|SK)[a-f0-9]{32}(?![A-Za-z0-9])|"
    # money and shops: Stripe, Square, PayPal's Braintree, Shopify, Flutterwave, Shippo, EasyPost, Adyen
    r"(?:[sr]k|whsec|pk)_(?:live|test|prod)_[A-Za-z0-9]{10,}|whsec_[\w+/=-]{16,}|sq0(?:atp|csp|idp)-[\w-]{20,}|"
    r"EAAA[\w-]{30,}|EAA[MC][A-Za-z0-9]{30,}|access_token\$(?:production|sandbox)\$[a-z0-9$]{20,}|shp(?:at|ca|pa|ss)_[a-fA-F0-9]{20,}|"
    r"FLW(?:SECK|PUBK)(?:_TEST)?-[\w-]{12,}|shippo_(?:live|test)_[a-fA-F0-9]{20,}|EZ[AT]K[A-Za-z0-9]{30,}|AQE[\w+/=-]{60,}|"
    # others: Grafana, New Relic, Datadog, Sentry's DSN below, Notion, Linear, Airtable, Postman, Figma, Dynatrace …
    r"gl(?:sa|c)_[\w+/=]{20,}|NRAK-[A-Z0-9]{20,}|NRII-[\w-]{20,}|ntn_[A-Za-z0-9]{20,}|secret_[A-Za-z0-9]{40,}|lin_api_[A-Za-z0-9]{20,}|"
    r"pat[A-Za-z0-9]{14}\.[a-f0-9]{40,}|PMAK-[a-f0-9]{20,}-[a-f0-9]{20,}|figd_[\w-]{20,}|dt0[a-z]\d\d\.[A-Z0-9]{20,}\.[A-Z0-9]{20,}|"
    r"p8e-[a-z0-9]{32}|rdme_[a-z0-9]{40,}|duffel_(?:test|live)_[\w=-]{20,}|fio-u-[\w=-]{30,}|API-[A-Z0-9]{26}|"
    r"(?:pat|sat)\.[\w-]{22}\.[A-Za-z0-9]{24}\.[A-Za-z0-9]{20}|pnu_[A-Za-z0-9]{30,}|tk-us-[\w-]{40,}|phc_[A-Za-z0-9]{20,}|"
    # any JWT, and the hashes that passwords are kept as
    r"eyJ[\w-]{8,}(?:\.[\w-]{8,}\.[\w-]*|[\w+/=-]{60,}))|"
    r"\$(?:2[abxy]?|[156]|y|7|apr1|argon2(?:id?|d)|scrypt|pbkdf2(?:-sha\d+)?)\$[A-Za-z0-9./$=,+-]{8,}|"
    r"\{(?:SSHA|SHA|SMD5|MD5|CRYPT|SSHA512)\}[A-Za-z0-9+/=$.]{8,}|SCRAM-SHA-\d+\$[^\s\"']{20,}|"
    r"(?:pbkdf2|bcrypt|argon2)_?sha?\d*\$[^\s\"']{16,}"
)
# A text of 20 letters and digits and more, in both cases, with digits in three places: no word, no version, no digest.
# An AWS secret key is 40 of base64.
MIXED: Final = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Za-z0-9]{0,80}[a-z])(?=[A-Za-z0-9]{0,80}[A-Z])"
    r"(?=(?:[A-Za-z]{0,40}[0-9]{1,40}(?![0-9])){3})"
    r"[A-Za-z0-9]{20,}+[=]{0,2}|"
    r"(?<![\w+/.-])(?=[A-Za-z0-9+/]{0,39}[a-z])(?=[A-Za-z0-9+/]{0,39}[A-Z])(?=[A-Za-z+/]{0,39}[0-9])"
    r"[A-Za-z0-9+/]{40}(?![\w+/=.-])"
)
# Addresses that are themselves the key: a chat's webhook, a bot's address, a signed link.
SIGNED: Final = re.compile(
    r"(?i)(hooks\.slack(?:-gov)?\.com/\w+/|webhook\.office\.com/|discord(?:app)?\.com/api/(?:v\d+/)?webhooks/|"
    r"api\.telegram\.org/(?:file/)?bot|hooks\.zapier\.com/hooks/|chat\.googleapis\.com/v1/spaces/|"
    r"(?:logic\.azure|powerplatform)\.com[^\s\"'?]{0,200}\?|/hooks/(?=[a-z0-9]{20})|outlook\.office\.com/webhook/|"
    r"maker\.ifttt\.com/[^\s\"']{0,80}/with/key/|events\.pagerduty\.com/integration/|"
    r"[?&;](?:sig|signature|x-(?:amz|goog|oss|obs)-(?:signature|credential|security-token)|awsaccesskeyid|googleaccessid|"
    r"ossaccesskeyid|hmac|code|key|auth|access_token|policy)=)[^\s\"'<>&#]+"
)
