/* Identifiers: accepted ones can be split and joined again. */
#include "fuzz.h"
#include "matrix/id.h"

static void check_split(struct str id, char sigil)
{
    struct str localpart, server;
    if (!id_split(sigil, id, &localpart, &server))
        return;
    HOLDS(id.n <= ID_LENGTH_MAX && id.p[0] == sigil && utf8_valid(id));
    HOLDS(!memchr(localpart.p, ':', localpart.n) && !memchr(id.p, '\0', id.n));
    HOLDS(localpart.p == id.p + 1);
    if (server.n) {
        HOLDS(id_is_server_name(server));
        HOLDS(1 + localpart.n + 1 + server.n == id.n);
    } else {
        HOLDS((sigil == '!' || sigil == '$') && 1 + localpart.n == id.n && localpart.n);
    }
    HOLDS(str_eq(id_server(id), server));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str id = fuzz_str(data, size);
    for (const char *sigil = "@!#$"; *sigil; sigil++)
        check_split(id, *sigil);
    HOLDS(id_is_user(id) + id_is_room(id) + id_is_alias(id) + id_is_event(id) <= 1);
    HOLDS(!id_is_compliant_user(id) || id_is_user(id));
    HOLDS(!id_is_new_localpart(id) || !memchr(id.p, ':', id.n));
    HOLDS(!id_is_server_name(id) || (id.n >= 1 && id.n <= ID_LENGTH_MAX));
    HOLDS(!id_is_key(id) || (id.n <= ID_LENGTH_MAX && memchr(id.p, ':', id.n)));
    HOLDS(!id_is_device(id) || utf8_valid(id));
    return 0;
}
