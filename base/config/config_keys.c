/* Every key of the configuration, in the order in which the example shows them. */
#include "base/config/config_schema.h"

#define AT(field) offsetof(struct config, field)
#define KEY(key, kind, field, initial_, help_, ...)                                                \
    {                                                                                              \
        .name = key, .type = CONFIG_##kind, .offset = AT(field), .initial = initial_,              \
        .help = help_, __VA_ARGS__                                                                 \
    }

static const char *const log_level_names[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_format_names[] = {"text", "json", NULL};
static const char *const tls_version_names[] = {"1.2", "1.3", NULL};

/* Synapse's default, every range that is not on the public Internet, and the addresses of this
 * machine. */
#define PRIVATE_RANGES                                                                             \
    "0.0.0.0/8,::/128,127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/"             \
    "10,192.0.0.0/24,"                                                                             \
    "169.254.0.0/16,192.88.99.0/24,198.18.0.0/15,192.0.2.0/24,198.51.100.0/24,203.0.113.0/24,"     \
    "224.0.0.0/4,::1/128,fe80::/10,fc00::/7,2001:db8::/32,ff00::/8,fec0::/10"

#define RATE(key, field, per_second_, burst_, what)                                                \
    KEY(key ".per_second", NUMBER, field.per_second, per_second_,                                  \
        "How often " what ", a second."),                                                          \
        KEY(key ".burst_count", INT, field.burst, burst_, "How many of them at once.", .min = 1,   \
            .max = 1000000)

const struct config_key config_keys[] = {
    KEY("server_name", TEXT, server_name, "localhost",
        "The name of this server: the part of its users' ids after the colon. It can never be "
        "changed once there are accounts.",
        .check = config_check_filled),
    KEY("data_dir", TEXT, data_dir, "data",
        "The directory for all data that has no other place configured (also --data).",
        .check = config_check_filled),
    KEY("listen", LISTEN, listen, "127.0.0.1:8008",
        "Addresses to listen on: HOST:PORT, [IPV6]:PORT, :PORT for all addresses, unix:/PATH; for "
        "TLS an item {address: HOST:PORT, tls_certificate: FILE, tls_key: FILE}."),
    KEY("public_baseurl", TEXT, public_baseurl, NULL,
        "The URL at which clients reach this server, published in /.well-known/matrix.",
        .check = config_check_url),
    KEY("trusted_proxies", LIST, trusted_proxies, NULL,
        "Addresses or ranges of the reverse proxies whose X-Forwarded-For is believed.",
        .check = config_check_cidr),

    KEY("database", TEXT, database, NULL,
        "The PostgreSQL database as postgresql://USER@HOST/NAME; without it Concorde runs its own "
        "PostgreSQL under data_dir.",
        .check = config_check_database, .secret = true),
    KEY("database_replica", TEXT, database_replica, NULL,
        "A streaming standby of `database`, written in the same way, which answers large reads.",
        .check = config_check_database, .secret = true),
    KEY("database_connections", INT, database_connections, "24",
        "The maximum number of connections to the database.", .min = 2, .max = 1000),
    KEY("database_statement_timeout", DURATION, database_statement_timeout_ms, "10s",
        "How long a request waits for the database before it gets 503; a database that has not "
        "answered for that long counts as unavailable (1s to 30s).",
        .min = 1000, .max = 30000),

    KEY("signing_key_path", TEXT, signing_key_path, NULL,
        "The file with this server's signing key (Synapse's format), made if it does not exist. "
        "Default: signing.key under data_dir.",
        .check = config_check_filled),
    KEY("old_signing_keys", LIST, old_signing_keys, NULL,
        "Former signing keys, with which other servers check old events: "
        "ed25519:ID:BASE64:EXPIRED_TS, the public key and when it was replaced (milliseconds)."),
    KEY("key_refresh_interval", DURATION, key_refresh_interval_ms, "1d",
        "How long other servers may use our keys before they must ask again: the time until a "
        "new key has reached them all.",
        .min = 1000, .max = 7 * 86400000LL),
    KEY("default_room_version", TEXT, default_room_version, "12", "The version of new rooms."),

    KEY("enable_registration", BOOL, enable_registration, "false", "May people register accounts?"),
    KEY("enable_registration_without_verification", BOOL, enable_registration_without_verification,
        "false", "May they do so without any proof, such as a registration token?"),
    KEY("registration_requires_token", BOOL, registration_requires_token, "false",
        "Must they have a registration token?"),
    KEY("registration_shared_secret", TEXT, registration_shared_secret, NULL,
        "A secret with which tools may register accounts, as with Synapse.",
        .check = config_check_filled, .secret = true),
    KEY("allow_guest_access", BOOL, allow_guest_access, "false",
        "May guests without an account read rooms that allow it?"),
    KEY("password_hash_cost", INT, password_hash_cost, "5",
        "The cost of hashing a password with argon2id: 5 takes 64 MiB and two passes, each step "
        "doubles the memory; 1 is for tests only.",
        .min = 1, .max = 10),
    KEY("password_min_length", INT, password_min_length, "8",
        "The minimum number of characters of a password.", .min = 1, .max = 128),
    KEY("refreshable_access_token_lifetime", DURATION, access_token_lifetime_ms, "5m",
        "How long an access token of a client that can refresh it is valid.", .min = 1000,
        .max = 31536000000),

    KEY("federation_domain_whitelist", LIST, federation_domain_whitelist, NULL,
        "The servers to federate with; without it none, with \"*\" all. Nothing is sent to "
        "other servers or accepted from them."),
    KEY("federation_pinned_keys", LIST, federation_pinned_keys, NULL,
        "The keys of servers as SERVER=ed25519:ID:BASE64. A server with a key here is never "
        "asked for its keys: no other key is accepted."),
    KEY("trusted_key_servers", LIST, trusted_key_servers, NULL,
        "Notaries: servers that are asked for the keys of servers that do not answer, as SERVER "
        "or, with the key it must sign with, SERVER=ed25519:ID:BASE64."),
    KEY("federation_custom_ca_list", LIST, federation_custom_ca_list, NULL,
        "PEM files of the certificate authorities to trust for other servers. Default: the "
        "system's.",
        .check = config_check_filled),
    KEY("federation_client_minimum_tls_version", CHOICE, federation_client_minimum_tls, "1.2",
        "The oldest TLS version for requests to other servers.", .choices = tls_version_names),
    KEY("federation_verify_certificates", BOOL, federation_verify_certificates, "true",
        "Must other servers have valid certificates? False is for tests only: anyone in between "
        "could read and change the traffic."),
    KEY("outbound_proxy", TEXT, outbound_proxy, NULL,
        "The HTTP proxy (http://HOST:PORT) for requests to other servers. It looks up their "
        "addresses, and must itself refuse private ones.",
        .check = config_check_url, .secret = true),
    KEY("dns_servers", LIST, dns_servers, NULL,
        "The DNS servers for names of other servers, as ADDRESS or ADDRESS:PORT. Default: the "
        "system's.",
        .check = config_check_dns_server),
    KEY("federation.destination_min_retry_interval", DURATION, federation_retry_min_ms, "1s",
        "How long after its first failure another server is tried again; then twice as long each "
        "time.",
        .min = 1, .max = 604800000),
    KEY("federation.destination_max_retry_interval", DURATION, federation_retry_max_ms, "1h",
        "The longest such wait. It ends at once when the other server contacts this one.", .min = 1,
        .max = 2592000000),
    KEY("federation.senders", INT, federation_senders, "32",
        "The number of servers that are sent events at once; at most half of it for servers "
        "that do not answer.",
        .min = 2, .max = 1024),
    KEY("ip_range_denylist", LIST, ip_range_denylist, PRIVATE_RANGES,
        "Addresses that are never contacted for a user or another server.",
        .check = config_check_cidr),
    KEY("ip_range_allowlist", LIST, ip_range_allowlist, NULL,
        "Addresses that are allowed nevertheless, such as other servers in the same private "
        "network.",
        .check = config_check_cidr),

    KEY("allow_public_rooms_without_auth", BOOL, allow_public_rooms_without_auth, "false",
        "May clients without an account read the room directory?"),
    KEY("allow_public_rooms_over_federation", BOOL, allow_public_rooms_over_federation, "false",
        "May other servers read it?"),
    KEY("allow_profile_lookup_over_federation", BOOL, allow_profile_lookup_over_federation, "true",
        "May they ask for the profiles of this server's users?"),
    KEY("require_auth_for_profile_requests", BOOL, require_auth_for_profile_requests, "false",
        "Must clients be signed in to see profiles?"),
    KEY("allow_device_name_lookup_over_federation", BOOL, allow_device_name_lookup_over_federation,
        "false", "Do they receive the display names of users' devices?"),
    KEY("presence.enabled", BOOL, presence_enabled, "true", "Do users see who is online?"),

    KEY("search_languages", LIST, search_languages, "french,english",
        "The languages whose inflections a message search finds, besides exact words: those of "
        "PostgreSQL's stemmers (french, english, german, italian ...).",
        .check = config_check_language),

    KEY("media_store_path", TEXT, media_store_path, NULL,
        "The directory for uploaded files. Default: media under data_dir.",
        .check = config_check_filled),
    KEY("max_upload_size", SIZE, max_upload_size, "50M", "The largest upload.", .min = 1024,
        .max = 1LL << 40),
    KEY("max_remote_media_size", SIZE, max_remote_media_size, "50M",
        "The largest file that is fetched from another server.", .min = 1024, .max = 1LL << 40),
    KEY("remote_media_budget", SIZE, remote_media_budget, "20G",
        "The maximum size of all media from other servers. Beyond it, files not requested for "
        "the longest time are removed, and fetched again on request; 0: no limit.",
        .max = 1LL << 50),
    KEY("thumbnail_budget", SIZE, thumbnail_budget, "10G",
        "The maximum size of all thumbnails. Beyond it, those not requested for the longest "
        "time are removed, and made again on request; 0: no limit.",
        .max = 1LL << 50),
    KEY("media_retention.remote_media_lifetime", DURATION, remote_media_lifetime_ms, "90d",
        "How long media of other servers is kept after its last request; 0: for ever.",
        .max = 3153600000000),
    KEY("prevent_media_downloads_from", LIST, prevent_media_downloads_from, NULL,
        "Servers whose media is not fetched. Files fetched earlier stay."),
    KEY("media_quota_per_user", SIZE, media_quota_per_user, "10G",
        "How much one user may upload in all; 0: no limit."),
    KEY("enable_authenticated_media", BOOL, enable_authenticated_media, "true",
        "Do downloads of new uploads need an access token? Files uploaded while this was false "
        "stay available without one."),
    KEY("max_image_pixels", SIZE, max_image_pixels, "32M",
        "The largest image to make thumbnails of, in pixels, over all its frames.", .min = 1,
        .max = 1LL << 30),
    KEY("max_pending_media_uploads", INT, max_pending_media_uploads, "5",
        "How many URIs a user may have reserved without having uploaded.", .min = 1, .max = 100000),
    KEY("unused_expiration_time", DURATION, unused_media_expiration_ms, "24h",
        "How long a reserved URI waits for its upload.", .min = 1000, .max = 31536000000),

    KEY("max_to_device_bytes_per_device", SIZE, to_device_per_device, "128M",
        "The maximum size of to-device messages that wait for one device. Beyond it the oldest "
        "are dropped, of the sender with most of them.",
        .min = 65536, .max = 1LL << 40),
    KEY("max_to_device_bytes_per_user", SIZE, to_device_per_user, "256M",
        "The maximum size of waiting to-device messages that one user has sent, here and to "
        "other servers. Beyond it the oldest are dropped.",
        .min = 65536, .max = 1LL << 40),
    KEY("max_to_device_bytes_per_server", SIZE, to_device_per_server, "1G",
        "The same, for those that one other server has sent.", .min = 65536, .max = 1LL << 40),

    KEY("max_key_backup_bytes_per_user", SIZE, key_backups_per_user, "256M",
        "The maximum size of a user's encryption key backups.", .min = 65536, .max = 1LL << 40),

    KEY("turn_uris", LIST, turn_uris, NULL, "TURN servers for calls."),
    KEY("turn_shared_secret", TEXT, turn_shared_secret, NULL, "The secret shared with them.",
        .check = config_check_filled, .secret = true),
    KEY("turn_username", TEXT, turn_username, NULL,
        "With turn_password: credentials to use without a shared secret.",
        .check = config_check_filled),
    KEY("turn_password", TEXT, turn_password, NULL, "See turn_username.",
        .check = config_check_filled, .secret = true),
    KEY("turn_user_lifetime", DURATION, turn_user_lifetime_ms, "1h",
        "How long credentials for them are valid.", .min = 1000, .max = 31536000000),

    KEY("push.enabled", BOOL, push_enabled, "true",
        "Are users' phones notified, through the push gateways that their apps name?"),
    KEY("push.include_content", BOOL, push_include_content, "true",
        "Do push gateways receive the content of events, unless the app asked for ids only?"),
    KEY("push.group_unread_count_by_room", BOOL, push_count_rooms, "true",
        "Is a phone's unread count that of rooms with unread messages? Otherwise of messages."),
    KEY("push.rewrite", LIST, push_rewrite, NULL,
        "Where the notifications of an app are sent instead of the URL that it gives, as "
        "APP_ID=URL; these addresses may be private, and http://.",
        .check = config_check_push_rewrite),
    KEY("push.custom_ca_list", LIST, push_ca_list, NULL,
        "PEM files of the certificate authorities to trust for push gateways. Default: the "
        "system's.",
        .check = config_check_filled),
    KEY("push.ip_range_allowlist", LIST, push_allowlist, NULL,
        "Addresses of push gateways that are allowed although ip_range_denylist has them.",
        .check = config_check_cidr),

    KEY("rate_limits", BOOL, rate_limits, "true",
        "Limit the requests of users and addresses? Off is for tests only."),
    RATE("rc_message", rc_message, "10", "50", "a user may send events"),
    RATE("rc_login", rc_login, "0.1", "10", "an address may try to log in, and to an account"),
    RATE("rc_registration", rc_registration, "0.17", "3", "an address may try to register"),
    RATE("rc_joins", rc_joins, "1", "50", "a user may join rooms"),
    RATE("rc_invites", rc_invites, "1", "50", "a user may invite others"),
    KEY("max_rooms_per_user", INT, max_rooms_per_user, "20000",
        "How many rooms one user may be in, or knock at.", .min = 1, .max = 1000000),
    RATE("rc_room_creation", rc_rooms, "0.1", "10", "a user may make rooms"),
    RATE("rc_keys", rc_keys, "20", "200", "a user may ask for or upload encryption keys"),
    RATE("rc_media", rc_media, "10", "100", "a user may upload media"),
    RATE("rc_account", rc_account, "20", "200",
         "a user may send receipts and typing notices, and change their own settings"),
    RATE("rc_search", rc_search, "2", "40",
         "a user, or an address, may search for messages, users and rooms"),
    RATE("rc_remote", rc_remote, "10", "200",
         "a user, or an address, may cause requests to other servers"),
    RATE("rc_server", rc_server, "50", "500",
         "another server may ask for profiles, rooms and media"),

    KEY("log_level", CHOICE, log_level, "info", "The least important records to write.",
        .choices = log_level_names),
    KEY("log_format", CHOICE, log_format, "text", "Records as text or as lines of JSON.",
        .choices = log_format_names),
    KEY("log_requests", BOOL, log_requests, "false",
        "Write a record of each request at info (otherwise at debug)?"),
    KEY("enable_metrics", BOOL, enable_metrics, "true",
        "Serve /metrics for Prometheus? To programs on this machine, and to metrics_allowlist; "
        "never through a proxy."),
    KEY("metrics_allowlist", LIST, metrics_allowlist, NULL,
        "Addresses or ranges of other machines that may read /metrics.",
        .check = config_check_cidr),
    KEY("support_page", TEXT, support_page, NULL,
        "Where users get help: published in /.well-known/matrix/support, as are the three "
        "below, and on the page at /.",
        .check = config_check_url),
    KEY("support_email", TEXT, support_email, NULL, "The address to write to.",
        .check = config_check_filled),
    KEY("support_matrix_id", TEXT, support_matrix_id, NULL, "The same, a Matrix user.",
        .check = config_check_filled),
    KEY("support_role", TEXT, support_role, "m.role.admin", "m.role.admin or m.role.security.",
        .check = config_check_filled),
    KEY("terms_url", TEXT, terms_url, NULL, "The terms of use, for the page at /.",
        .check = config_check_url),

    KEY("max_request_body", SIZE, max_request_body, "2M",
        "The largest body of a request that is not an upload.", .min = 65536, .max = 1LL << 30),
    KEY("max_connections", INT, max_connections, "16000",
        "The maximum number of connections of clients.", .min = 16, .max = 1000000),
    KEY("max_connections_per_address", INT, max_connections_per_address, "0",
        "The maximum of one address (IPv6: of a /64), except trusted_proxies; 0: half of all.",
        .min = 0, .max = 1000000),
    KEY("cache_size", SIZE, cache_size, "256M", "Memory for all caches together.", .min = 1 << 20,
        .max = 1LL << 40),
    KEY("loops", INT, loops, "0",
        "Threads that read and write connections; 0: by the number of processors.", .min = 0,
        .max = 256),
    KEY("workers", INT, workers, "0",
        "Threads that serve clients, most of which wait for the database; 0: 64.", .min = 0,
        .max = 1024),
    KEY("shutdown_delay", DURATION, shutdown_delay_ms, "5s",
        "While other nodes run: how long one that stops serves on, so that the proxy notices its "
        "/ready.",
        .min = 0, .max = 3600000),
    KEY("shutdown_timeout", DURATION, shutdown_timeout_ms, "15s",
        "How long a stop waits for requests that are being served.", .min = 0, .max = 3600000),
    {.name = NULL},
};

const struct config_alias config_aliases[] = {
    {"trusted_ca_file", "federation_custom_ca_list"},
    {"ip_range_blacklist", "ip_range_denylist"},
    {"ip_range_whitelist", "ip_range_allowlist"},
    {"rc_login.address", "rc_login"},
    {"rc_joins.local", "rc_joins"},
    {"rc_invites.per_issuer", "rc_invites"},
    {"rc_media_create", "rc_media"},
    {"use_presence", "presence.enabled"},
    {NULL, NULL},
};

#define NO_EFFECT(key, why)                                                                        \
    {                                                                                              \
        key, false, "has no effect: " why                                                          \
    }
#define REFUSED(key, why)                                                                          \
    {                                                                                              \
        key, true, why                                                                             \
    }

const struct config_note config_notes[] = {
    NO_EFFECT("rc_login.account", "rc_login limits addresses, and accounts by network"),
    NO_EFFECT("rc_login.failed_attempts", "rc_login limits addresses, and accounts by network"),
    NO_EFFECT("rc_joins.remote", "rc_joins limits local and remote rooms alike"),
    NO_EFFECT("rc_invites.per_room", "invites are limited by their sender"),
    NO_EFFECT("rc_invites.per_user", "invites are limited by their sender"),
    NO_EFFECT("rc_federation", "rc_server limits the requests of other servers"),
    NO_EFFECT("remote_media_download_per_second",
              "rc_remote limits how much is fetched for a user"),
    NO_EFFECT("remote_media_download_burst_count",
              "rc_remote limits how much is fetched for a user"),
    NO_EFFECT("url_preview_enabled", "Concorde fetches no pages for previews"),
    NO_EFFECT("dynamic_thumbnails", "thumbnails are made when they are first asked for"),
    NO_EFFECT("thumbnail_sizes", "the sizes are those of the specification and a few more"),
    NO_EFFECT("report_stats", "Concorde sends no reports"),
    NO_EFFECT("pid_file", "Concorde stays in the foreground"),
    NO_EFFECT("macaroon_secret_key", "tokens are random, not signed"),
    NO_EFFECT("form_secret", "there are no forms to sign"),
    NO_EFFECT("suppress_key_server_warning", "there is no such warning"),
    REFUSED("listeners", "write `listen: HOST:PORT` instead"),
    REFUSED("log_config", "write `log_level` and `log_format` instead"),
    REFUSED("bcrypt_rounds", "write `password_hash_cost` instead"),
    {NULL, false, NULL},
};
