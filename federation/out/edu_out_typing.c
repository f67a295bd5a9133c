/* m.typing of our users (server-server-api, "Typing Notifications"). */
#include "federation/out/edu_out.h"

void edu_out_typing(struct arena *a, struct edu_list *l, const char *room_id, const char *user_id,
                    bool typing)
{
    buf_auto struct buf b = {0};
    BUF_LIT(&b, "{\"room_id\":");
    buf_add_json_string(&b, str_of(room_id));
    buf_printf(&b, ",\"typing\":%s,\"user_id\":", typing ? "true" : "false");
    buf_add_json_string(&b, str_of(user_id));
    buf_add_char(&b, '}');
    edu_list_add(a, l, 0, "m.typing", buf_str(&b));
}
