#include "server/sync_token.h"

const struct err *sync_token_parse(const char *text, struct sync_token *ret)
{
    struct str s = str_of(text);
    struct sync_token token = {0};
    const char *split = strchr(text, '_');
    struct str position = {s.p + 1, split ? (size_t)(split - text - 1) : s.n - 1};
    bool good = s.n > 1 && s.n < 64 && s.p[0] == 's' && str_to_int64(position, &token.position) &&
                (!split || str_to_int64(str_of(split + 1), &token.serial)) && token.serial >= 0;
    if (!good)
        return err(ERR_INVALID_PARAM, "Not a token of this server");
    *ret = token;
    return NULL;
}

const struct err *sync_token_parse_since(const char *text, struct sync_token *ret)
{
    struct sync_token token;
    TRY(sync_token_parse(text, &token));
    if (token.position < 0)
        return err(ERR_INVALID_PARAM, "Not a token of /sync");
    *ret = token;
    return NULL;
}
