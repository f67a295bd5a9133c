/* Client-server API, "Capabilities negotiation". */
#include "matrix/room_version.h"
#include "server/account/caller.h"
#include "server/routes.h"

static json_t *room_versions_json(const struct config *c)
{
    json_t *available = json_object();
    for (const struct room_version *v = room_versions; v->id; v++)
        json_object_set_new(available, v->id, json_string("stable"));
    return json_pack("{s:s, s:o}", "default", c->default_room_version, "available", available);
}

static void add_flag(json_t *o, const char *name, bool enabled)
{
    json_object_set_new(o, name, json_pack("{s:b}", "enabled", enabled));
}

static const struct err *get_capabilities(struct request *rq, struct reply *rp)
{
    static const struct {
        const char *name;
        bool enabled;
    } flags[] = {
        {"m.change_password", true},
        {"m.set_displayname", true},
        {"m.set_avatar_url", true},
        {"m.3pid_changes", false},
        {"m.get_login_token", true},
        {"m.profile_fields", true},
        {"m.forget_forced_upon_leave", false},
        {"uk.tcpip.msc4133.profile_fields", true},
    };
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        add_flag(o, flags[i].name, flags[i].enabled);
    json_object_set_new(o, "m.room_versions", room_versions_json(job_of(rq)->config));
    if (caller_of(rq)->is_admin)
        json_object_set_new(o, "m.account_moderation",
                            json_pack("{s:b, s:b}", "suspend", 1, "lock", 1));
    return reply_json(rp, 200, "{s:o}", "capabilities", o);
}

const struct route capabilities_routes[] = {
    {.method = GET,
     .path = "/_matrix/client/v3/capabilities",
     .handler = get_capabilities,
     .who = WHO_USER,
     .spec = "Capabilities negotiation"},
    {.path = NULL},
};
