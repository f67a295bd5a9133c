#include "http/waits.h"

#include "base/log.h"

#include <assert.h>

static _Thread_local bool forbidden;

bool waits_are_allowed(void)
{
    return !forbidden;
}

void waits_allow(bool yes)
{
    forbidden = !yes;
}

void waits_assert(const char *on)
{
    if (!forbidden)
        return;
    if (log_limited("waits outside of the remote pool", LOG_FEW))
        log_at(LOG_ERROR, "a worker outside of the remote pool waits for %.150s", on);
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    assert(!"a worker outside of the remote pool waits for another server");
#endif
}

const struct err *waits_elsewhere(const char *on)
{
    return err(ERR_ELSEWHERE, "This request must wait for %.150s, but not in this pool", on);
}
