#include "storage/nodes/node_list.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of a start of the kernel; empty where /proc does not say. */
static void read_boot_id(char *ret, int cap)
{
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!f || !fgets(ret, cap, f))
        *ret = 0;
    ret[strcspn(ret, "\n")] = 0;
    if (f)
        fclose(f);
}

const char *node_place(struct arena *a, const char *data_dir)
{
    char host[256] = "", boot[64];
    struct stat dir;
    gethostname(host, sizeof host - 1);
    read_boot_id(boot, sizeof boot);
    if (!data_dir || !*boot || stat(data_dir, &dir))
        return arena_strdup(a, host);
    return arena_printf(a, "%s:%s:%llx:%llx", host, boot, (unsigned long long)dir.st_dev,
                        (unsigned long long)dir.st_ino);
}

SQL(node_list_sql,
    "SELECT n.id, n.host, split_part(n.host, ':', 1), n.version, n.known_migration, "
    "(extract(epoch FROM clock_timestamp() - n.started_at) * 1000)::int8, "
    "(extract(epoch FROM clock_timestamp() - n.seen_at) * 1000)::int8, "
    "n.position, greatest(n.head - n.position, 0), "
    "(SELECT count(*) FROM leases l WHERE l.node = n.id AND l.expires_at > clock_timestamp()), "
    "n.parked, n.is_draining FROM nodes n ORDER BY n.started_at, n.id")

const struct err *node_list(struct tx *tx, const struct node_row **ret, size_t *ret_n)
{
    struct node_row one = {0};
    return db_list(tx, &node_list_sql, NO_PARAMS,
                   R(INT_OUT(&one.id), TEXT_OUT(&one.place), TEXT_OUT(&one.host),
                     TEXT_OUT(&one.version), INT_OUT(&one.known_migration),
                     INT_OUT(&one.started_ago), INT_OUT(&one.seen_ago), INT_OUT(&one.position),
                     INT_OUT(&one.lag), INT_OUT(&one.leases), INT_OUT(&one.parked),
                     BOOL_OUT(&one.is_draining)),
                   LIST(one, ret, ret_n));
}

SQL(node_drain_sql, "UPDATE nodes SET is_draining = true WHERE id = $1")

const struct err *node_drain(struct tx *tx, int64_t node)
{
    return db_exec(tx, &node_drain_sql, P(INT(node)), NULL);
}
