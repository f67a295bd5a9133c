#include "server/routes.h"

#include "federation/routes.h"

const struct route *const route_tables[] = {
    health_routes,
    front_page_routes,
    versions_routes,
    login_routes,
    fallback_routes,
    register_routes,
    account_routes,
    devices_routes,
    profile_routes,
    capabilities_routes,
    openid_routes,
    voip_routes,
    third_party_lookup_routes,
    moderation_routes,
    sync_routes,
    sliding_routes,
    registration_tokens_routes,
    account_data_routes,
    tags_routes,
    filters_routes,
    receipts_routes,
    typing_routes,
    presence_routes,
    push_rules_routes,
    pushers_routes,
    notifications_routes,
    wellknown_routes,
    keys_routes,
    keys_upload_routes,
    key_changes_routes,
    send_to_device_routes,
    cross_signing_routes,
    key_signatures_routes,
    room_keys_routes,
    room_keys_version_routes,
    dehydrated_device_routes,
    create_room_routes,
    membership_routes,
    room_send_routes,
    room_state_routes,
    directory_routes,
    reports_routes,
    room_previews_routes,
    room_upgrades_routes,
    user_directory_routes,
    context_routes,
    event_routes,
    messages_routes,
    relations_routes,
    old_sync_routes,
    search_routes,
    threads_routes,
    timestamp_routes,
    upload_routes,
    download_routes,
    thumbnail_routes,
    federation_keys_routes,
    federation_notary_routes,
    federation_user_keys_routes,
    federation_event_routes,
    federation_transactions_routes,
    federation_query_routes,
    federation_public_rooms_routes,
    federation_hierarchy_routes,
    federation_timestamp_routes,
    federation_make_membership_routes,
    federation_send_membership_routes,
    federation_send_join_routes,
    federation_invite_routes,
    federation_third_party_routes,
};
const size_t route_tables_n = sizeof route_tables / sizeof *route_tables;

static const char *const who_names[WHO_COUNT] = {"anybody",   "maybe-user", "user",
                                                 "guest-too", "admin",      "server"};
static const char *const rate_names[RATE_COUNT] = {
    "-",   "message", "login",   "registration", "join",   "invite", "room",
    "key", "media",   "account", "search",       "remote", "server"};

static void add_row(struct buf *out, int width, const char *method, const char *path,
                    const char *who, const char *pool, const char *moves_to, const char *rate,
                    const char *spec)
{
    buf_printf(out, "%-7s %-*s %-10s %-10s %-10s %-12s %s\n", method, width, path, who, pool,
               moves_to, rate, spec);
}

static const char *moves_to(const struct route *r)
{
    for (int pool = 0; pool < POOL_COUNT; pool++)
        if (pool != (int)r->pool && route_may_move(r, (enum route_pool)pool))
            return http_pool_names[pool];
    return "-";
}

static void add_route(struct buf *out, int width, const struct route *r, const char *path)
{
    add_row(out, width, http_method_names[r->method], path, who_names[r->who],
            http_pool_names[r->pool], moves_to(r), rate_names[r->rate], r->spec ? r->spec : "-");
}

static int widest_path(void)
{
    size_t width = 0;
    for (size_t i = 0; i < route_tables_n; i++)
        for (const struct route *r = route_tables[i]; r->path; r++) {
            size_t n = strlen(r->path), also = r->also ? strlen(r->also) : 0;
            width = n > width ? n : width;
            width = also > width ? also : width;
        }
    return (int)width;
}

void routes_add_table(struct buf *out)
{
    int width = widest_path();
    add_row(out, width, "METHOD", "PATH", "WHO", "POOL", "MOVES-TO", "RATE", "SPECIFICATION");
    for (size_t i = 0; i < route_tables_n; i++)
        for (const struct route *r = route_tables[i]; r->path; r++) {
            add_route(out, width, r, r->path);
            if (r->also)
                add_route(out, width, r, r->also);
        }
}
