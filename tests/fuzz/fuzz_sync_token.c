/* Input: lines with an epoch each (its id, where the log and the history begin in it), then a line
 * that begins with 's': a token of a client. */
#include "fuzz.h"

#include "server/sync_token.h"
#include "storage/db/epochs.h"
#include "storage/db/feed.h"

enum { HEAD = 1000, EPOCHS_MAX = 16 };

static struct str cut(struct str *left, char at)
{
    const char *end = left->n ? memchr(left->p, at, left->n) : NULL;
    struct str part = {left->p, end ? (size_t)(end - left->p) : left->n};
    *left = end ? (struct str){end + 1, left->n - part.n - 1} : (struct str){left->p + left->n, 0};
    return part;
}

static void read_epochs(struct epochs *e, struct str *left)
{
    for (int i = 0; i < EPOCHS_MAX && left->n && left->p[0] != 's'; i++) {
        struct str line = cut(left, '\n');
        struct epoch epoch = {0};
        if (str_to_int64(cut(&line, ' '), &epoch.id) &&
            str_to_int64(cut(&line, ' '), &epoch.begins) &&
            str_to_int64(cut(&line, ' '), &epoch.history_begins) && epoch.begins >= 0 &&
            epoch.history_begins <= 0)
            epochs_add(e, &epoch);
    }
}

/* A parsed token can be written again in the current epoch, of which nothing was lost. */
static void check_again(const struct storage *storage, const struct sync_token *t)
{
    buf_auto struct buf b = {0};
    struct sync_token again;
    sync_token_add(&b, storage, t->position, t->serial);
    HOLDS(!sync_token_parse(storage, b.p, &again));
    HOLDS(again.position == t->position && again.serial == t->serial && !again.is_lost);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    struct storage storage = {.epochs = epochs_create(), .feed = feed_create(4, 4096, HEAD)};
    struct str left = fuzz_str(data, size);
    struct sync_token page, since;
    read_epochs(storage.epochs, &left);
    const char *text = str_dup(a, left);
    const struct err *e = sync_token_parse(&storage, text, &page);
    if (!e) {
        HOLDS(text[0] == 's' && page.serial >= 0 && (text[1] == '-') >= (page.position < 0));
        check_again(&storage, &page);
    }
    if (!sync_token_parse_since(&storage, text, &since)) {
        HOLDS(!e && since.position == page.position && since.is_lost >= page.is_lost);
        HOLDS(since.position >= 0 && (since.is_lost || since.position <= HEAD));
    }
    feed_destroy(storage.feed);
    epochs_destroy(storage.epochs);
    return 0;
}
