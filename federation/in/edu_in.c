#include "federation/in/edu_in.h"

#include "base/log.h"
#include "matrix/json_scan.h"

static const struct {
    const char *type;
    edu_handler *handler; /* NULL: edu_in_direct_to_device() */
} handlers[] = {
    {"m.typing", edu_in_typing},
    {"m.receipt", edu_in_receipt},
    {"m.presence", edu_in_presence},
    {"m.direct_to_device", NULL},
    {"m.device_list_update", edu_in_device_list_update},
    {"m.signing_key_update", edu_in_signing_key_update},
    {"org.matrix.signing_key_update", edu_in_signing_key_update}, /* what Synapse sends */
};

/* True if the failure is ours, so that the whole transaction must be sent again. */
static bool edu_in_is_local_failure(const struct err *e)
{
    return e->code == ERR_INTERNAL || e->code == ERR_UNAVAILABLE || e->code == ERR_CONFLICT ||
           e->code == ERR_STORAGE_FULL;
}

/* Frees the tree at once, since a transaction has many. Numbers or sizes that cannot be read would
 * not be readable next time either, so they are ignored. */
static const struct err *run_with_tree(struct job *job, const char *origin, struct str content,
                                       edu_handler *handler)
{
    arena_auto struct arena *a = arena_create();
    json_t *tree;
    arena_set_source(a, arena_source(job->arena));
    TRY(json_read(a, content, &tree));
    return handler(job, origin, tree);
}

const struct err *edu_receive(struct job *job, const char *origin, struct str edu)
{
    struct str type = json_scan_get(edu, "edu_type"), content = json_scan_get(edu, "content");
    if (!content.p || content.p[0] != '{')
        return NULL;
    for (size_t i = 0; i < sizeof handlers / sizeof *handlers; i++) {
        if (!json_scan_string_is(type, handlers[i].type))
            continue;
        const struct err *e = handlers[i].handler
                                  ? run_with_tree(job, origin, content, handlers[i].handler)
                                  : edu_in_direct_to_device(job, origin, content);
        if (!e)
            return NULL;
        if (edu_in_is_local_failure(e))
            return e;
        log_debug("%s of %s is ignored: %s", handlers[i].type, origin, e->text);
    }
    return NULL;
}
