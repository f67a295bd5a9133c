#include "federation/peer/pauses.h"

#include "base/lock.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"

enum { PAUSES_MAX = 10000 };

struct pause {
    char *key;
    int64_t until_mono;
};

struct pauses {
    struct lock lock;
    struct map by_key; /* of struct pause */
    int64_t next_end;  /* mono_ms; none of them is over before */
};

struct pauses *pauses_create(void)
{
    struct pauses *p = mem_zalloc(sizeof *p);
    p->next_end = INT64_MAX;
    lock_init(&p->lock, RANK_LEAF);
    return p;
}

static void pause_destroy(struct pause *one)
{
    free(one->key);
    free(one);
}

void pauses_destroy(struct pauses *p)
{
    if (!p)
        return;
    for (struct map_slot *s = NULL; (s = map_next(&p->by_key, s));)
        pause_destroy(s->value);
    map_finish(&p->by_key);
    lock_finish(&p->lock);
    free(p);
}

/* ---- the kinds of requests ---- */

/* The n-th part of "/_matrix/federation/v1/send_join/!room/$event", from 0; empty if missing. */
static struct str pauses_part_of(const char *path, int n)
{
    const char *at = path + (*path == '/');
    while (n-- > 0 && *(at += strcspn(at, "/?")) == '/')
        at++;
    return (struct str){at, strcspn(at, "/?")};
}

static bool take_prefix(struct str *s, const char *prefix)
{
    size_t n = strlen(prefix);
    if (s->n <= n || memcmp(s->p, prefix, n) != 0)
        return false;
    *s = (struct str){s->p + n, s->n - n};
    return true;
}

/* The two requests of a handshake are one kind. Servers limit joins (and knocks, leaves, invites)
 * for each room, so the limit of one room does not affect the others. */
static bool is_of_a_room(struct str *endpoint)
{
    return take_prefix(endpoint, "make_") || take_prefix(endpoint, "send_") ||
           str_is(*endpoint, "invite") || str_is(*endpoint, "exchange_third_party_invite");
}

/* "query/profile", "user/devices": one word does not identify the request. */
static bool is_of_two_words(struct str endpoint)
{
    return str_is(endpoint, "query") || str_is(endpoint, "user");
}

/* The server, the API, and the kind of request. */
static struct str pauses_key_of(struct buf *b, const char *server, const char *path)
{
    struct str endpoint = pauses_part_of(path, 3);
    bool with_next = is_of_a_room(&endpoint) || is_of_two_words(endpoint);
    buf_printf(b, "%s %.*s %.*s", server, STR_FMT(pauses_part_of(path, 1)), STR_FMT(endpoint));
    if (with_next)
        buf_printf(b, " %.*s", STR_FMT(pauses_part_of(path, 4)));
    return buf_str(b);
}

/* ---- the table ---- */

/* Maps cannot lose entries during iteration: pauses that are not over go into a new one. */
static void forget_old_locked(struct pauses *p, int64_t now_mono)
{
    struct map kept = {0};
    p->next_end = INT64_MAX;
    for (struct map_slot *s = NULL; (s = map_next(&p->by_key, s));) {
        struct pause *one = s->value;
        if (one->until_mono > now_mono) {
            map_put(&kept, str_of(one->key), one);
            if (one->until_mono < p->next_end)
                p->next_end = one->until_mono;
        } else {
            pause_destroy(one);
        }
    }
    map_finish(&p->by_key);
    p->by_key = kept;
}

void pauses_note(struct pauses *p, const char *server, const char *path, int64_t wait_ms,
                 int64_t now_mono)
{
    buf_auto struct buf b = {0};
    struct str key = pauses_key_of(&b, server, path);
    LOCKED(&p->lock);
    struct pause *one = map_get(&p->by_key, key);
    if (!one && p->by_key.n >= PAUSES_MAX && now_mono >= p->next_end)
        forget_old_locked(p, now_mono);
    if (!one && p->by_key.n >= PAUSES_MAX)
        return; /* the server will send another 429 */
    if (!one) {
        one = mem_zalloc(sizeof *one);
        one->key = mem_strdup(b.p);
        map_put(&p->by_key, str_of(one->key), one);
    }
    one->until_mono = now_mono + wait_ms;
    if (one->until_mono < p->next_end)
        p->next_end = one->until_mono;
}

int64_t pauses_left(struct pauses *p, const char *server, const char *path, int64_t now_mono)
{
    buf_auto struct buf b = {0};
    struct str key = pauses_key_of(&b, server, path);
    LOCKED(&p->lock);
    const struct pause *one = map_get(&p->by_key, key);
    return one && one->until_mono > now_mono ? one->until_mono - now_mono : 0;
}
