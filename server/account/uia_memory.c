#include "server/account/uia_memory.h"

#include "base/sha256.h"

#include <assert.h>
#include <sodium.h>

enum { TEXT_MAX = 16384, HEAD_BYTES = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES };
static_assert(SHA256_BYTES == crypto_secretbox_KEYBYTES, "the key is a hash");

static void uia_memory_make_key(const char *session_id, unsigned char ret[SHA256_BYTES])
{
    const struct str parts[] = {STR("memory of the session "), str_of(session_id)};
    sha256_parts(parts, sizeof parts / sizeof *parts, ret);
}

struct str uia_memory_seal(struct arena *a, const char *session_id, const json_t *o)
{
    unsigned char key[SHA256_BYTES];
    struct str text = str_of(json_write(a, o));
    if (text.n > TEXT_MAX)
        return (struct str){0};
    unsigned char *sealed = arena_alloc(a, HEAD_BYTES + text.n);
    uia_memory_make_key(session_id, key);
    randombytes_buf(sealed, crypto_secretbox_NONCEBYTES);
    crypto_secretbox_easy(sealed + crypto_secretbox_NONCEBYTES, (const unsigned char *)text.p,
                          text.n, sealed, key);
    return (struct str){(const char *)sealed, HEAD_BYTES + text.n};
}

json_t *uia_memory_open(struct arena *a, const char *session_id, struct str sealed)
{
    unsigned char key[SHA256_BYTES];
    const unsigned char *p = (const unsigned char *)sealed.p;
    json_t *o;
    if (sealed.n < HEAD_BYTES)
        return NULL;
    char *text = arena_alloc(a, sealed.n - HEAD_BYTES + 1);
    uia_memory_make_key(session_id, key);
    if (crypto_secretbox_open_easy((unsigned char *)text, p + crypto_secretbox_NONCEBYTES,
                                   sealed.n - crypto_secretbox_NONCEBYTES, p, key) ||
        json_read_own(a, (struct str){text, sealed.n - HEAD_BYTES}, &o))
        return NULL;
    return o;
}
