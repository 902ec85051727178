"""Secrets in the clothes that they wear in shops, and harmless values: each stands once, so that it is found."""

from __future__ import annotations

from typing import Final

# A secret in each text is what stands between « and ». What stands around it is no secret.
#: name of a variable or key → value
NAMED: Final = {
    "DBPASS": "«swordfish»", "PGPASS": "«monkeyhouse»", "ENCRYPTION_KEY": "«cabbage»", "MASTER_KEY": "«broccoli»",
    "SIGNING_KEY": "«turnipseed»", "JWT_KEY": "«celeriac»", "SSH_KEY": "«parsnipsoup»", "STRIPE_KEY": "«kohlrabi»",
    "BASIC_AUTH": "«artichoke»", "NPM_AUTH": "«asparagus»", "GITHUB_PAT": "«aubergine»", "DB_CREDS": "«beetroots»",
    "HMAC": "«butternut»", "SALT": "«cauliflower»", "PIN": "«480211»", "CARD_PIN": "«71905533»",
    "DB_PASSWORD": "«courgettes»", "spring.datasource.password": "«endivesalad»", "apiKey": "«fennelbulb»",
    "X-Api-Key": "«gherkinjar»", "GITHUB_TOKEN": "«horseradish»", "client_secret": "«jalapenos»",
    "COOKIE_SECRET": "«lambslettuce»", "SESSION_KEY": "«leekandpotato»", "REDIS_AUTH": "«mangetouts»",
    "MYSQL_PWD": "«okrastew»", "SMTP_PASS": "«pakchoys»", "KEYSTORE_PASSPHRASE": "«radicchio»",
    "AZURE_STORAGE_ACCOUNT_KEY": "«romanesco»", "OTP_SEED": "«rutabagas»", "DJANGO_SECRET": "«samphires»",
    "rootpw": "«shallotpie»", "LDAP_BIND_CREDENTIAL": "«sorrelsoup»", "APP_KEY": "«spinachtart»",
    "AES_KEY": "«2718281828»", "contraseña": "«sweetcorn»", "smtp.clave": "«tomatillo»", "PRIVATE_KEY": "«watercress»",
    "CLOUD_STORAGE_KEY": "«celerystalk»", "client-key-data": "«chicoryroot»", "RSA_KEY_B64": "«daikonradish»",
    "PAYPAL_KEY_LIVE": "«endivetips»", "contrasenyes": "«fiddlehead»", "LLAVE_PRIVADA": "«galangal»",
    "wachtwoord": "«jicama»", "VERIFICATION_CODE": "«553311»", "admin_paswd": "«kohlrabis»",
    "RESET_CODE": "«660044»", "ADMIN_PASSCODE": "«314159»",
    "WEBHOOK_SECRET": "«yamsandpeas»",
}  # fmt: skip
#: values under a name that says nothing
SHAPED: Final = (
    "«dckr_pat_3fG7hJ9kLm2nPqRsTuVwXyZaBcD»", "«sk-proj-A1b2C3d4E5f6G7h8I9j0»", "«sk-ant-api03-q1W2e3R4t5Y6u7I8o9P0»",
    "«hvs.CAESIJlWh3kD92mVnQp»", "«SG.ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf09kqeF8tAmbihYzrnopKc»",
    "«ya29.a0AfH6SMBx7kZ2q9Lw»", "«GOCSPX-4fKz81mQvTnB2xYcR7»", "«glpat-xY12zW34vU56tS78rQ90»",
    "«ghp_k2J4h6G8f0D1s3A5q7W9e2R4t6Y8»", "«github_pat_11ABCDEFG0aBcDeFgHiJkL»",
    "«xoxb-210987654321-abcdefghijkl»", "«xapp-1-A0123456789-987654321-abcdef0123»",
    "«npm_a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8»", "«pypi-AgEIcHlwaS5vcmcCJDk4»", "«AKIAQ7Z2X4C6V8B0N1M3»",
    "«AIzaSyB1c2D3e4F5g6H7i8J9k0L1m2N3o4P5q6R»",
    "«eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwbGFudGVkIn0.c2lnbmVkLWJ5LW1l»", "«sk_live_9a8B7c6D5e4F3g2H1i»",
    "«rk_test_1a2B3c4D5e6F7g8H9i»", "«whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw»", "«AC0123456789abcdef0123456789abcdef»",
    "«SK76543210fedcba9876543210fedcba98»", "«AGE-SECRET-KEY-1QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L»",
    "https://hooks.slack.com/services/«T01AB/B02CD/x1Y2z3W4v5U6»",
    "https://discord.com/api/webhooks/«987654321098765432/aB-cD_eF0123»",
    "«MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs»",
    "«110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawx»",
    "https://api.telegram.org/bot«2201:planted-bot»/sendMessage",
    "https://b.s3.amazonaws.com/f?X-Amz-Date=20261127&X-Amz-Signature=«planted0amz»",
    "https://storage.googleapis.com/b/f?X-Goog-Signature=«planted0goog»",
    "https://a.blob.core.windows.net/c?sv=2022&sig=«planted0sas%3D»",
    "shop:«gomysqldsn»@tcp(db:3306)/shop?parseTime=true", "postgres://shop:«pgsecret»@db:5432/shop",
    "mongodb+srv://shop:«mongosecret»@cluster.example/shop", "redis://:«redissecret»@cache:6379/0",
    "amqp://shop:«amqpsecret»@rabbit:5672/", "jdbc:mysql://db/shop?user=a&password=«jdbcsecret»",
    "https://ana:«p@ss/w:rd%-S3cr3t»@files.example/x",
    "jdbc:sqlserver://db;user=sa;password=«mssqlsecret»;encrypt=true",
    "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey=«azurestorage==»;EndpointSuffix=core.windows.net",
    "Endpoint=sb://bus.example/;SharedAccessKeyName=Root;SharedAccessKey=«servicebus=»", "«hf_AbCdEfGhIjKlMnOpQrStUv»",
    "«shpat_0123456789abcdef0123456789abcdef»", "«dop_v1_" + "0f1e2d3c" * 8 + "»", "«lin_api_AbCdEf0123456789AbCdEf»",
    "«glsa_A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6_a1b2c3d4»", "«$2b$12$abcdefghijklmnopqrstuv»",
    "jdbc:oracle:thin:shop/«thinsecret»@db:1521:shop", "shop/«ezconnect1»@//db:1521/shop",
    "«wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzPLANTED»", "«Zx9Kq2Lm7Vb4Nc8Rt1Wp»", "«Tr0ub4dor&3»", "«correct-H0rse»",
    "«550e8400-e29b-41d4-a716-446655440000»", "«ana:Mirabelle7»",
)  # fmt: skip
SHAPELESS: Final = 5  # of these have no shape of their own: only a difference hides them
#: what a program is started with
ARGUMENTS: Final = (
    ("--password", "«rhubarbs»"), ("--token", "«gooseberry»"), ("--api-key=«quincejam»",), ("-p«Medlars»",),
    ("-p", "«mulberry»"), ("-u", "«a:blackcurrant»"), ("--user", "«ops:damsonplum»"), ("requirepass", "«elderberry»"),
    ("--requirepass", "«greengages»"), ("-H", "Authorization: token «loganberry»"),
    ("--header", "Cookie: a=1; SESSION=«boysenberry»"), ("-Ddb.password=«tayberry»",),
    ("sh", "-c", "mysql -ushop -p«cloudberry» shop < x.sql"), ("sh", "-c", "curl -u «shop:bilberry» https://x.example"),
    ("sh", "-c", "export SECRET=«dewberry»; ./run"), ("--connection-string", "«Server=x»"),
    ("--secret-id", "«salmonberry»"), ("-a", "«huckleberry»"), ("--masterauth", "«lingonberry»"),
    ("--admin-user", "«ops:cranberry7»"), ("openssl", "enc", "-k", "«juniperberry»"), ("--repl-user=«ops:barberry»",),
    ("sh", "-c", "rabbitmqctl add_user shop «whortleberry»"), ("http", "-a", "«ops:cowberry»", "x.example"),
    ("sh", "-c", "echo «crowberry» | helm registry login -u a --password-stdin r.example"),
    ("sh", "-c", "echo 'ops:«chokeberry»' | chpasswd"),
    ("sh", "-c", "printf '%s' «snowberry» | docker login --password-stdin"),
)  # fmt: skip
#: texts: a file in a ConfigMap, a line of a log, a message
TEXTS: Final = (
    "requirepass «tangerine1»", "machine git.example login shop password «clementine2»",
    "db:5432:shop:shop:«satsumas3»", "password:\n  «kumquats4»\n", "db:\n  password: |\n    «mandarin5»\n  host: db\n",
    "<password>«pomelo6»</password>", '<add key="DbPassword" value="«bergamot7»"/>',
    '<entry key="secret">«yuzufruit8»</entry>', "password => «calamansi9»", "'password' => '«grapefruit0»',",
    "Authorization: token «ugliorange1»", "Cookie: a=1; SESSION=«minneola2»", "Authorization: Bearer «oroblanco3x»",
    "Authorization: Basic «Y2l0cnVzOmxpbWU=»", 'auths: {"r.example": {"auth": "«Y2k6bGltZXF1YXQ=»"}}',
    '{"name": "DB_PASSWORD", "value": "«tangelos5»"}', "- name: DB_PASSWORD\n  value: «rangpurs6»",
    "curl -u ana:«citrons7» https://x.example", "mysql -uroot -p«sudachis8» shop", 'args: ["--password", "«kabosus9»"]',
    "ALTER USER shop IDENTIFIED BY '«amanatsu0»'",
    "Proxy-Authorization: Digest username=\"a\", response=\"«natsumi1»\"",
    "//registry.npmjs.org/:_authToken=«jabara2»", "GET /x?access_token=«dekopon3»&a=1", "passwd := \"«hassaku4»\"",
    "DB_PASSWORD=«iyokans5» ./start.sh", 'export API_KEY="«tachibana6»"', "passphrase: «four sour citrus words»",
    '{\\"secret\\":\\"«melogold7»\\"}', "Set-Cookie: SID=«valencia8»; Path=/; HttpOnly",
    '{"type": "service_account", "private_key_id": "«seville9»", "client_email": "a@b.example"}',
    "-----BEGIN OPENSSH PRIVATE KEY-----\n«b3BlbnNzaC1rZXktdjEA»\n-----END OPENSSH PRIVATE KEY-----",
    "redis-cli -h cache -a «navelina0» ping",
    "La contraseña es «naranja31»", "clave '«mandarinas»'", "api key «citrange32» is not valid", "AUTH «lemonade33»",
    "&quot;secret&quot;:&quot;«limequat34»&quot;", "\\u0022token\\u0022:\\u0022«ponderosa35»\\u0022",
    "Password for 'https://git.example': «kinnow36»", "stats auth ops:«etrogs37»",
    '{"kty":"EC","crv":"P-256","d":"«dGFuZ2Vsb3M»"}', "    client-key-data: «bGltZXRyZWU»",
    'lookup ops:«papedas38»@db: no such host', "password [«bizzarria39»] rejected", "token caducado: «sanbokan40»",
    'the variable SHOP_SECRET "«hyuganatsu41»" is invalid', "db.password->«shonan42»", "db.password «setoka43»",
    "db.clave «amakusa48»", "Access key: «tachibanas»", "cluster_secret_key «ougonkan49»",
    "refused with credentials ops:«kawabata50»", "vault login «haruka51»",
    '<property name="password"><value>«harumi44»</value></property>', "secret_key = '''«reikou45»'''",
    'api_token = """\n«benibae46»\n"""', "- name: API_TOKEN\n  # of the shop\n  value: «kanpei47»\n",
    "login failed for shop: password=«cara cara»".replace(" cara»", "cara»"),
)  # fmt: skip

HARMLESS: Final = (
    "8080", "0", "-1", "3.14", "50%", "512Mi", "250m", "true", "False", "yes", "info", "DEBUG", "prod", "v1.2.3",
    "1.27.0-rc.1", "2.5.1-SNAPSHOT", "nginx:1.27", "registry.example.com/shop/web:v1.1.0",
    "docker.io/library/redis:7-alpine",
    "postgres", "db.prod.svc.cluster.local", "db:5432", "localhost", "10.0.0.1", "10.0.0.0/8", "/etc/ssl/certs/ca.crt",
    "./config", "http://user-service:8080/actuator/health", "https://api.example.com/v1?timeout=30&retries=2",
    "jdbc:postgresql://db:5432/shop?ssl=false&tz=UTC", "mongodb://m1:27017,m2:27017/shop?replicaSet=rs0",
    "redis://cache:6379/0", "kafka1:9092,kafka2:9092", "Europe/Madrid", "America/Argentina/Buenos_Aires", "UTC", "30s",
    "1h30m", "PT30S", "2026-11-27", "2026-11-27T10:00:00Z", "*/5 * * * *", "0 2 * * MON-FRI", "-Xmx512m",
    "-Xms256m -Xmx512m -XX:+UseG1GC -Dspring.profiles.active=prod", "-XX:MaxRAMPercentage=75.0", "--log-level=debug",
    "com.example.shop.WebApplication", "es_ES.UTF-8", "utf8mb4", "application/json; charset=utf-8",
    "new-checkout,dark-mode",
    "round-robin", "service.name=web,env=prod", "https://*.example.com,https://shop.example.com", "ops@example.com",
    "us-east-1", "TLSv1.2,TLSv1.3", "Hello world", "$(POD_IP)", "classpath:db/migration", "org.postgresql.Driver",
    "s3://shop-assets/img", "shop-db.c9akciq32.eu-west-1.rds.amazonaws.com", "/usr/local/bin:/usr/bin:/bin",
    '{"level":"info","port":8080}', "checkout_v2_enabled", "SASL_SSL",
    "europe-west4-b", "ap-northeast-1", "dd.MM.yyyy HH:mm", "%Y/%m/%d %H:%M",
    "%d{ISO} [%thread] %-5level %logger{} - %m%n",
    "^/cart/[0-9]+/.*$", "/(.*)", "/shop(/|$)(.*)", "web:1.4-alpine", "redis:7",
)  # fmt: skip


def secret(text: str) -> str:
    return text.partition("«")[2].partition("»")[0]


def plain(text: str) -> str:
    return text.replace("«", "").replace("»", "")


def every() -> list[str]:
    """Each planted text with its marks."""
    return [*NAMED.values(), *SHAPED, *(word for words in ARGUMENTS for word in words if "«" in word), *TEXTS]
