#include "federation/out/edu_out.h"

void edu_list_add(struct arena *a, struct edu_list *l, int64_t position, const char *type,
                  struct str content_json)
{
    buf_auto struct buf b = {0};
    if (l->n == sizeof l->edus / sizeof *l->edus)
        return;
    buf_reserve(&b, content_json.n + 64);
    BUF_LIT(&b, "{\"content\":");
    buf_add_str(&b, content_json);
    BUF_LIT(&b, ",\"edu_type\":");
    buf_add_json_string(&b, str_of(type));
    buf_add_char(&b, '}');
    l->positions[l->n] = position;
    l->types[l->n] = type;
    l->edus[l->n++] = (struct str){arena_memdup(a, b.p, b.n), b.n};
}
