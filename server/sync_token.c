#include "server/sync_token.h"

#include "storage/db/epochs.h"
#include "storage/db/feed.h"
#include "storage/nodes/follower.h"

#include <errno.h>
#include <stdlib.h>

enum { TOKEN_MAX = 100, EPOCH_DIGITS = 16 };

void sync_token_add(struct buf *b, const struct storage *storage, int64_t position, int64_t serial)
{
    buf_printf(b, "s%lld_%lld_%llx", (long long)position, (long long)serial,
               (unsigned long long)epochs_current(storage->epochs));
}

void sync_token_add_pos(struct buf *b, const struct storage *storage, int64_t position,
                        int64_t serial, int64_t number)
{
    sync_token_add(b, storage, position, serial);
    buf_printf(b, "_c%llx", (unsigned long long)number);
}

/* The part up to the next underscore. */
static struct str take_part(const char **at)
{
    struct str part = {*at, strcspn(*at, "_")};
    *at += part.n + ((*at)[part.n] == '_' && (*at)[part.n + 1]);
    return part;
}

static bool read_hex(struct str s, int64_t *ret)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        const char *digit = memchr("0123456789abcdef", s.p[i], 16);
        if (!digit)
            return false;
        n = n << 4 | (uint64_t)(digit - "0123456789abcdef");
    }
    *ret = (int64_t)n;
    return s.n > 0 && s.n <= EPOCH_DIGITS;
}

static bool sync_token_read_token(const char *text, struct sync_token *ret, int64_t *ret_epoch)
{
    if (*text != 's' || strlen(text) > TOKEN_MAX)
        return false;
    text++;
    if (!str_to_int64(take_part(&text), &ret->position))
        return false;
    if (*text && (!str_to_int64(take_part(&text), &ret->serial) || ret->serial < 0))
        return false;
    if (*text && !read_hex(take_part(&text), ret_epoch))
        return false;
    return !*text || (*text++ == 'c' && read_hex(take_part(&text), &ret->number) && !*text);
}

const struct err *sync_token_await(const struct storage *storage, const char *text)
{
    struct sync_token token = {0};
    int64_t epoch = 0;
    bool is_seen = text && sync_token_read_token(text, &token, &epoch) &&
                   epoch == epochs_current(storage->epochs) &&
                   token.position <= feed_position(storage->feed);
    return is_seen && follower_is_fresh(storage->follower) ? NULL
                                                           : follower_barrier(storage->follower);
}

const struct err *sync_token_parse(const struct storage *storage, const char *text,
                                   struct sync_token *ret)
{
    struct sync_token token = {0};
    int64_t epoch = 0;
    if (!sync_token_read_token(text, &token, &epoch))
        return err(ERR_INVALID_PARAM, "Not a token of this server");
    token.position = epochs_place(storage->epochs, epoch, token.position, &token.is_lost);
    *ret = token;
    return NULL;
}

const struct err *sync_token_parse_since(const struct storage *storage, const char *text,
                                         struct sync_token *ret)
{
    struct sync_token token;
    TRY(sync_token_parse(storage, text, &token));
    if (text[1] == '-')
        return err(ERR_INVALID_PARAM, "Not a token of /sync");
    token.is_lost |= token.position > feed_position(storage->feed);
    *ret = token;
    return NULL;
}
