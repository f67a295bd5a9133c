#include "rooms/names.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "matrix/glob.h"
#include "matrix/id.h"
#include "matrix/push_rules.h"

enum { DISPLAY_NAME, LOCALPART, NAMES }; /* of one member */

/* A first word, folded, or a first character; their first bytes differ. */
enum { KEY_MAX = 256 };

struct key {
    char bytes[KEY_MAX];
    size_t n;
};

struct name {
    struct member *member;
    struct str text;       /* p NULL: none, or one that cannot be mentioned */
    struct bucket *bucket; /* the bucket that contains it ... */
    size_t at;             /* ... and the index there */
};

struct member {
    int64_t user;
    char *user_id, *display_name;
    struct name names[NAMES];
};

/* All names with the same key. */
struct bucket {
    struct name **names;
    size_t n, size;
    uint64_t looked_at; /* number of the last search that visited it */
    size_t key_n;
    char key[];
};

struct name_index {
    struct map members; /* users.id -> struct member */
    struct map buckets; /* key -> struct bucket */
    size_t symbols_n;   /* buckets whose key is a character, not a word */
    uint64_t searches;
};

struct name_index *name_index_create(void)
{
    return mem_zalloc(sizeof(struct name_index));
}

/* ---- keys ---- */

/* The key at *pos, which is moved behind it; false for a word that is too long. */
static bool next_key(struct str s, size_t *pos, struct key *ret)
{
    ret->n = 0;
    if (!glob_is_word_char(s.p[*pos])) {
        uint32_t c = glob_fold(glob_next_char(s, pos));
        memcpy(ret->bytes + 1, &c, sizeof c);
        ret->bytes[0] = '\0';
        ret->n = 1 + sizeof c;
        return true;
    }
    for (; *pos < s.n && glob_is_word_char(s.p[*pos]); (*pos)++)
        if (ret->n < KEY_MAX)
            ret->bytes[ret->n++] = (char)glob_fold((unsigned char)s.p[*pos]);
    return ret->n < KEY_MAX;
}

static bool is_symbol(const struct bucket *b)
{
    return b->key[0] == '\0';
}

static struct bucket *names_bucket_of(struct name_index *n, const struct key *k)
{
    struct bucket *b = map_get(&n->buckets, (struct str){k->bytes, k->n});
    if (b)
        return b;
    b = mem_zalloc(sizeof *b + k->n);
    memcpy(b->key, k->bytes, k->n);
    b->key_n = k->n;
    map_put(&n->buckets, (struct str){b->key, b->key_n}, b);
    n->symbols_n += is_symbol(b);
    return b;
}

/* ---- names ---- */

static void put_name(struct name_index *n, struct member *m, int which, struct str text)
{
    struct key key;
    size_t pos = 0;
    if (!text.n || !next_key(text, &pos, &key))
        return;
    struct name *name = &m->names[which];
    struct bucket *b = names_bucket_of(n, &key);
    if (b->n == b->size) {
        b->size = b->size ? b->size * 2 : 1;
        b->names = mem_realloc_array(b->names, b->size, sizeof *b->names);
    }
    *name = (struct name){m, text, b, b->n};
    b->names[b->n++] = name;
}

static void remove_name(struct name_index *n, struct name *name)
{
    struct bucket *b = name->bucket;
    if (!b)
        return;
    struct name *last = b->names[--b->n];
    b->names[name->at] = last;
    last->at = name->at;
    if (b->n)
        return;
    n->symbols_n -= is_symbol(b);
    map_remove(&n->buckets, (struct str){b->key, b->key_n});
    free(b->names);
    free(b);
}

static void free_member(struct member *m)
{
    free(m->user_id);
    free(m->display_name);
    free(m);
}

void name_index_remove(struct name_index *n, int64_t user)
{
    struct member *m = map_remove_int(&n->members, user);
    if (!m)
        return;
    for (int i = 0; i < NAMES; i++)
        remove_name(n, &m->names[i]);
    free_member(m);
}

static char *folded_name(const char *display_name)
{
    if (!display_name || text_is_ascii(str_of(display_name)))
        return mem_strdup(display_name);
    arena_auto struct arena *a = arena_create();
    return mem_strdup(text_fold_string(a, display_name));
}

void name_index_put(struct name_index *n, int64_t user, const char *user_id,
                    const char *display_name)
{
    name_index_remove(n, user);
    struct member *m = mem_zalloc(sizeof *m);
    struct str localpart, server;
    m->user = user;
    m->user_id = mem_strdup(user_id);
    m->display_name = folded_name(display_name);
    map_put_int(&n->members, user, m);
    put_name(n, m, DISPLAY_NAME, str_of(m->display_name));
    if (id_split('@', str_of(m->user_id), &localpart, &server))
        put_name(n, m, LOCALPART, localpart);
}

const char *name_index_display_name(const struct name_index *n, int64_t user)
{
    const struct member *m = map_get_int(&n->members, user);
    return m ? m->display_name : NULL;
}

void name_index_destroy(struct name_index *n)
{
    if (!n)
        return;
    for (struct map_slot *s = NULL; (s = map_next(&n->members, s));)
        free_member(s->value);
    for (struct map_slot *s = NULL; (s = map_next(&n->buckets, s));) {
        struct bucket *b = s->value;
        free(b->names);
        free(b);
    }
    map_finish(&n->members);
    map_finish(&n->buckets);
    free(n);
}

/* ---- searching ---- */

/* The bucket at *pos; NULL if this search has visited it already. */
static struct bucket *new_bucket_at(struct name_index *n, struct str body, size_t *pos)
{
    struct key key;
    bool is_word = glob_is_word_char(body.p[*pos]);
    if (!next_key(body, pos, &key) || (!is_word && !n->symbols_n))
        return NULL;
    struct bucket *b = map_get(&n->buckets, (struct str){key.bytes, key.n});
    if (!b || b->looked_at == n->searches)
        return NULL;
    b->looked_at = n->searches;
    return b;
}

void name_index_find(struct name_index *n, struct str body, void (*each)(void *ctx, int64_t user),
                     void *ctx)
{
    struct push_words words;
    bool prepared = false;
    n->searches++;
    for (size_t pos = 0; pos < body.n;) {
        struct bucket *b = new_bucket_at(n, body, &pos);
        if (b && !prepared)
            push_words_init(&words, body);
        prepared |= b != NULL;
        for (size_t i = 0; b && i < b->n; i++)
            if (push_words_contain(&words, b->names[i]->text))
                each(ctx, b->names[i]->member->user);
    }
}
