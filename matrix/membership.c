#include "matrix/membership.h"

#include "matrix/json_scan.h"

static const char *const texts[] = {
    [MEMBERSHIP_NONE] = "none",   [MEMBERSHIP_JOIN] = "join", [MEMBERSHIP_INVITE] = "invite",
    [MEMBERSHIP_LEAVE] = "leave", [MEMBERSHIP_BAN] = "ban",   [MEMBERSHIP_KNOCK] = "knock",
};

enum membership membership_parse(const char *text)
{
    for (enum membership m = MEMBERSHIP_JOIN; text && m <= MEMBERSHIP_KNOCK; m++)
        if (strcmp(text, texts[m]) == 0)
            return m;
    return MEMBERSHIP_NONE;
}

enum membership membership_parse_raw(struct str raw)
{
    for (enum membership m = MEMBERSHIP_JOIN; raw.p && m <= MEMBERSHIP_KNOCK; m++)
        if (json_scan_string_is(raw, texts[m]))
            return m;
    return MEMBERSHIP_NONE;
}

const char *membership_text(enum membership m)
{
    return texts[m];
}
