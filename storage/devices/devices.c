#include "storage/devices/devices.h"

#include "base/clock.h"
#include "storage/devices/e2ee_keys.h"

#define DEVICE_COLUMNS                                                                             \
    "id, device_id, display_name, last_seen_ts, last_seen_ip, last_seen_agent FROM devices "

SQL(devices_list_sql, "SELECT " DEVICE_COLUMNS "WHERE \"user\" = $1 ORDER BY id DESC LIMIT $2")

const struct err *devices_list(struct tx *tx, int64_t user, const struct device **ret,
                               size_t *ret_n)
{
    struct device one = {0};
    return db_list(tx, &devices_list_sql, P(INT(user), INT(DEVICES_LISTED_MAX)),
                   R(INT_OUT(&one.id), TEXT_OUT(&one.device_id), TEXT_OUT(&one.display_name),
                     INT_OUT(&one.last_seen_ts), TEXT_OUT(&one.last_seen_ip),
                     TEXT_OUT(&one.last_seen_agent)),
                   LIST(one, ret, ret_n));
}

SQL(devices_find_sql, "SELECT " DEVICE_COLUMNS "WHERE \"user\" = $1 AND device_id = $2")

const struct err *devices_find(struct tx *tx, int64_t user, const char *device_id, bool *ret_found,
                               struct device *ret)
{
    struct device d;
    TRY(db_one(tx, &devices_find_sql, P(INT(user), TEXT(device_id)), ret_found,
               R(INT_OUT(&d.id), TEXT_OUT(&d.device_id), TEXT_OUT(&d.display_name),
                 INT_OUT(&d.last_seen_ts), TEXT_OUT(&d.last_seen_ip),
                 TEXT_OUT(&d.last_seen_agent))));
    *ret = d;
    return NULL;
}

/* The row's version tells an insert from an update. */
SQL(devices_open_sql,
    "INSERT INTO devices (\"user\", device_id, display_name, created_ts) SELECT $1, $2, $3, $4 "
    "WHERE (SELECT count(*) FROM devices WHERE \"user\" = $1 AND device_id <> $2) < $5 "
    "ON CONFLICT (\"user\", device_id) DO UPDATE SET device_id = excluded.device_id "
    "RETURNING id, xmax = 0")

const struct err *devices_open(struct tx *tx, int64_t user, const char *device_id,
                               const char *display_name, int64_t *ret_id, bool *ret_is_new)
{
    bool found;
    TRY(db_one(tx, &devices_open_sql,
               P(INT(user), TEXT(device_id), TEXT(display_name), INT(now_ms()), INT(DEVICES_MAX)),
               &found, R(INT_OUT(ret_id), BOOL_OUT(ret_is_new))));
    return found ? NULL
                 : err(ERR_RESOURCE_LIMIT_EXCEEDED, "You have %d devices: log some of them out",
                       DEVICES_MAX);
}

SQL(devices_name_sql, "UPDATE devices SET display_name = $2 WHERE id = $1")

void devices_write_name(struct write *w, int64_t device, const char *display_name)
{
    write_statement(w, &devices_name_sql, P(INT(device), TEXT(display_name)));
}

SQL(devices_delete_sql, "WITH access AS (DELETE FROM access_tokens WHERE device = ANY($1)), "
                        "refresh AS (DELETE FROM refresh_tokens WHERE device = ANY($1)), "
                        "pusher AS (DELETE FROM pushers WHERE device = ANY($1)), "
                        "sliding AS (DELETE FROM sliding_connections WHERE device = ANY($1)) "
                        "DELETE FROM devices WHERE id = ANY($1)")

void devices_write_deletion(struct write *w, const struct device *devices, size_t n)
{
    int64_t *ids = arena_alloc_array(write_arena(w), n, sizeof *ids);
    for (size_t i = 0; i < n; i++)
        ids[i] = devices[i].id;
    write_statement(w, &devices_delete_sql, P(INT_ARRAY(ids, n)));
}

SQL(devices_seen_sql, "UPDATE devices d SET last_seen_ts = s.ts, last_seen_ip = s.ip, "
                      "last_seen_agent = s.agent "
                      "FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) "
                      "AS s(device, ts, ip, agent) "
                      "WHERE d.id = s.device AND d.last_seen_ts < s.ts")

const struct err *devices_seen(struct tx *tx, const struct device_seen *seen, size_t n)
{
    int64_t *ids = arena_alloc_array(tx->arena, n, sizeof *ids);
    int64_t *ts = arena_alloc_array(tx->arena, n, sizeof *ts);
    const char **ips = arena_alloc_array(tx->arena, n, sizeof *ips);
    const char **agents = arena_alloc_array(tx->arena, n, sizeof *agents);
    for (size_t i = 0; i < n; i++) {
        ids[i] = seen[i].device;
        ts[i] = seen[i].ts;
        ips[i] = seen[i].ip;
        agents[i] = seen[i].agent;
    }
    return db_exec(
        tx, &devices_seen_sql,
        P(INT_ARRAY(ids, n), INT_ARRAY(ts, n), TEXT_ARRAY(ips, n), TEXT_ARRAY(agents, n)), NULL);
}
