/* The configuration: one YAML file, keys named as in Synapse where they mean the same, each also
 * settable by environment (CONCORDE_SERVER_NAME) and --set key=value. Unknown keys and bad values
 * are refused with file, line and the expected form.
 *
 * Adding a key: a field here and a row in config_keys.c; nothing else. Checks that need the
 * protocol (is server_name valid?) are in server/. Everything lives in the caller's arena. */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include "base/arena.h"
#include "base/log.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct config_listener {
    const char *address; /* host:port, :port or unix:/path */
    const char *tls_certificate, *tls_key;
};

struct config_rate {
    double per_second;
    int64_t burst;
};

struct config_list {
    const char *const *items;
    size_t n;
};

struct config {
    const char *server_name;
    const char *data_dir;
    const struct config_listener *listen;
    size_t listen_n;
    const char *public_baseurl;   /* without trailing slash; NULL: no discovery */
    const char *database;         /* libpq URI; NULL: embedded */
    const char *database_replica; /* NULL: there is none */
    int64_t database_connections;
    int64_t database_statement_timeout_ms;
    const char *media_store_path; /* default DATA/media */
    const char *signing_key_path; /* default DATA/signing.key */
    bool enable_registration, enable_registration_without_verification;
    bool registration_requires_token;
    const char *registration_shared_secret;
    bool allow_guest_access;
    bool allow_public_rooms_without_auth, allow_public_rooms_over_federation;
    bool allow_profile_lookup_over_federation, allow_device_name_lookup_over_federation;
    bool require_auth_for_profile_requests;
    bool rate_limits; /* `rate_limits: off` */
    struct config_rate rc_message, rc_login, rc_registration, rc_joins, rc_invites, rc_rooms,
        rc_keys, rc_media, rc_account, rc_search, rc_remote, rc_server;
    int64_t password_hash_cost; /* server/account/password.h */
    int64_t password_min_length;
    int64_t access_token_lifetime_ms; /* refreshable_access_token_lifetime: with refresh_token */
    struct config_list federation_custom_ca_list; /* PEM files; empty: the system's authorities */
    int federation_client_minimum_tls;            /* 0: 1.2, 1: 1.3 */
    bool federation_verify_certificates;
    const char *outbound_proxy;
    struct config_list dns_servers; /* empty: the system's */
    struct config_list ip_range_denylist, ip_range_allowlist, trusted_proxies;
    struct config_list search_languages;
    struct config_list federation_domain_whitelist; /* items NULL: open; empty: closed */
    /* Keys of servers; the formats: federation/keys/key_settings.h. */
    struct config_list trusted_key_servers, federation_pinned_keys, old_signing_keys;
    int64_t key_refresh_interval_ms;
    int64_t federation_retry_min_ms, federation_retry_max_ms; /* of a server that fails */
    int64_t federation_senders;                               /* threads */
    const char *default_room_version;
    bool presence_enabled;
    int64_t max_upload_size;                         /* bytes */
    int64_t media_quota_per_user;                    /* bytes; 0: none */
    int64_t max_remote_media_size;                   /* bytes */
    int64_t remote_media_budget, thumbnail_budget;   /* bytes; 0: none */
    int64_t remote_media_lifetime_ms;                /* since it was sent last; 0: for ever */
    struct config_list prevent_media_downloads_from; /* servers */
    bool enable_authenticated_media;                 /* downloads of new uploads need a token */
    int64_t max_image_pixels;                        /* for thumbnails */
    int64_t max_rooms_per_user;
    int64_t max_pending_media_uploads, unused_media_expiration_ms;
    /* bytes of messages to devices that wait: for one device; of what a user has caused, or a
     * server */
    int64_t to_device_per_device, to_device_per_user, to_device_per_server;
    int64_t key_backups_per_user; /* bytes */
    int64_t max_request_body;     /* bytes */
    int64_t loops;                /* 0: chosen by the number of processors */
    int64_t workers;              /* 0: server/serve.c chooses */
    int64_t max_connections, max_connections_per_address;
    int64_t cache_size; /* bytes for all caches */
    int64_t shutdown_delay_ms;
    int64_t shutdown_timeout_ms;
    bool enable_metrics;                  /* for direct peers on loopback, and: */
    struct config_list metrics_allowlist; /* addresses and ranges */
    enum log_level log_level;
    enum log_format log_format;
    bool log_requests; /* at info */
    const char *turn_shared_secret, *turn_username, *turn_password;
    struct config_list turn_uris;
    int64_t turn_user_lifetime_ms;
    bool push_enabled, push_include_content, push_count_rooms;
    struct config_list push_rewrite;   /* APP_ID=URL */
    struct config_list push_ca_list;   /* PEM files; empty: the system's authorities */
    struct config_list push_allowlist; /* CIDRs, besides ip_range_allowlist */
    /* /.well-known/matrix/support; NULL: not published */
    const char *support_page, *support_email, *support_matrix_id, *support_role;
    const char *terms_url; /* for the page at / */

    /* The origin of each setting, by its place in config_keys ("FILE:LINE", "--set", an environment
     * variable); NULL: not set. file: the one that was read, or NULL. */
    const char *const *origins;
    const char *file;
    struct config_list warnings; /* for the operator: settings without effect and the like */
};

struct config_override {
    const char *key, *value; /* from --set; dots descend: rc_message.per_second */
};

/* Reads the file (NULL: defaults only), then the environment, then the overrides; checks and fills
 * in defaults. data_dir: --data, NULL when not given. Adds one line for each problem to
 * `ret_problems`; when there was any, *ret is not written. */
void config_read(struct arena *a, const char *file, const char *data_dir,
                 const struct config_override *overrides, size_t overrides_n,
                 struct buf *ret_problems, const struct config **ret);

/* Environment variables that set keys, as `NAME='value' ` for a shell, without secrets; and whether
 * a key of --set is secret. */
void config_add_environment(struct arena *a, struct buf *out);
bool config_is_secret(const char *key);

/* Adds one line for a problem found by code that knows the protocol or the machine: the setting's
 * origin, its name, the problem and what to write. */
void config_complain(const struct config *c, const char *key, struct buf *ret_problems,
                     const char *fmt, ...) PRINTF_LIKE(4, 5);
bool config_is_set(const struct config *c, const char *key);
/* Is that the name of this server, and not of another one? */
static inline bool config_is_own_server(const struct config *c, const char *name)
{
    return strcmp(name, c->server_name) == 0;
}

/* A commented example file: every key with its help and its default. */
void config_add_example(struct buf *out);

#endif
