/* Input: a server name, a line; a Cache-Control, a line; then a reply's header lines, an empty line
 * and its body, as a host's .well-known may send it. */
#include "fuzz.h"

#include "federation/peer/discovery.h"
#include "federation/peer/host_name.h"
#include "federation/peer/well_known.h"
#include "matrix/id.h"

static struct str next_line(struct str *left)
{
    const char *end = left->n ? memchr(left->p, '\n', left->n) : NULL;
    struct str line = {left->p, end ? (size_t)(end - left->p) : left->n};
    *left = end ? (struct str){end + 1, left->n - line.n - 1} : (struct str){left->p + line.n, 0};
    return line;
}

static void check_name(struct arena *a, const char *name)
{
    struct host_name h;
    if (!host_name_read(a, name, &h))
        return;
    struct address address;
    HOLDS(id_is_server_name(str_of(name)));
    HOLDS(h.port >= 0 && h.port <= 65535);
    HOLDS(h.host[0] && !strpbrk(h.host, "[]/@?# \r\n"));
    HOLDS(!h.is_literal || address_parse(str_of(h.host), &address));
    HOLDS(h.is_literal || !strchr(h.host, ':'));
}

static void check_times(struct arena *a, const struct http_answer *answer, const char *control)
{
    const char *headers[] = {control, http_answer_header(a, answer, "Cache-Control")};
    for (int i = 0; i < 2; i++) {
        int64_t keep = well_known_keep_ms(headers[i], http_answer_header(a, answer, "Age"),
                                          http_answer_header(a, answer, "Expires"), 1700000000000);
        HOLDS(keep >= 60 * 1000 && keep <= 48 * 3600 * 1000);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_auto struct arena *a = arena_create();
    struct str left = fuzz_str(data, size);
    check_name(a, str_dup(a, next_line(&left)));
    const char *control = str_dup(a, next_line(&left));
    struct http_answer answer = {.status = 200, .head = {left.p, 0}};
    while (left.n && next_line(&left).n > 1)
        answer.head.n = (size_t)(left.p - answer.head.p);
    answer.body = left;
    check_times(a, &answer, control);
    const char *delegated = well_known_read(a, answer.body);
    HOLDS(!delegated || id_is_server_name(str_of(delegated)));
    if (delegated)
        check_name(a, delegated);
    return 0;
}
