#include "federation/in/edu_read.h"

#include "matrix/id.h"
#include "matrix/json_scan.h"

enum {
    PREV_IDS_MAX = 1000,
    TYPE_BYTES_MAX = 255,
    MESSAGE_ID_BYTES_MAX = 255 /* 32 code points, says the specification; be lenient */
};

const struct err *edu_read_typing(const char *origin, const json_t *content, struct typing_edu *ret)
{
    TRY(json_need_string(content, "room_id", &ret->room_id));
    TRY(json_need_string(content, "user_id", &ret->user_id));
    TRY(json_want_bool(content, "typing", false, &ret->typing));
    if (!id_is_user_of(ret->user_id, origin))
        return err(ERR_FORBIDDEN, "%.100s does not speak for %.100s", origin, ret->user_id);
    return NULL;
}

/* ---- receipts ---- */

/* One reader's {"event_ids":["$…"],"data":{"ts":…,"thread_id":…}}. */
static bool read_receipt(const json_t *v, struct receipt *ret)
{
    const json_t *data = json_object_get(v, "data");
    const char *event_id = json_string_text(json_array_get(json_object_get(v, "event_ids"), 0));
    const char *thread = json_text(data, "thread_id");
    if (!event_id || !id_is_event(str_of(event_id)) ||
        (!thread && json_object_get(data, "thread_id")))
        return false;
    ret->type = RECEIPT_READ;
    ret->event_id = event_id;
    ret->ts = json_integer_value(json_object_get(data, "ts"));
    ret->thread = thread ? thread : "";
    return strlen(ret->thread) <= ID_LENGTH_MAX && ret->ts >= 0;
}

size_t edu_read_receipts(struct arena *a, const char *origin, const json_t *readers, size_t *left,
                         struct receipt **ret)
{
    size_t size = json_object_size(readers), n = 0;
    struct receipt *list = arena_alloc_array(a, size < *left ? size : *left, sizeof *list);
    const char *user_id;
    json_t *v;
    json_object_foreach ((json_t *)readers, user_id, v) {
        if (!*left)
            break;
        --*left;
        list[n] = (struct receipt){.user_id = user_id};
        n += id_is_user_of(user_id, origin) && read_receipt(v, &list[n]);
    }
    *ret = list;
    return n;
}

bool edu_read_presence(const char *origin, const json_t *push, struct presence_push *ret)
{
    const char *state = json_text(push, "presence");
    const json_t *ago = json_object_get(push, "last_active_ago");
    ret->user_id = json_text(push, "user_id");
    ret->status_msg = json_text(push, "status_msg");
    ret->last_active_ago =
        json_is_integer(ago) && json_integer_value(ago) >= 0 ? json_integer_value(ago) : -1;
    return id_is_user_of(ret->user_id, origin) && state && presence_state_parse(state, &ret->state);
}

/* ---- devices ---- */

const struct err *edu_read_device_list_update(const json_t *content, struct device_list_update *ret)
{
    TRY(json_need_string(content, "user_id", &ret->user_id));
    TRY(json_need_string(content, "device_id", &ret->device_id));
    TRY(json_need_int(content, "stream_id", &ret->stream_id));
    TRY(json_want_array(content, "prev_id", &ret->prev_id));
    TRY(json_want_object(content, "keys", &ret->keys));
    TRY(json_want_bool(content, "deleted", false, &ret->deleted));
    ret->display_name = json_text(content, "device_display_name");
    if (!id_is_device(str_of(ret->device_id)) || ret->stream_id < 0 ||
        json_array_size(ret->prev_id) > PREV_IDS_MAX)
        return err(ERR_INVALID_PARAM, "A device list update is malformed");
    return NULL;
}

const struct err *edu_read_signing_key_update(const json_t *content, struct signing_key_update *ret)
{
    TRY(json_need_string(content, "user_id", &ret->user_id));
    TRY(json_want_object(content, "master_key", &ret->master));
    return json_want_object(content, "self_signing_key", &ret->self_signing);
}

static const struct err *edu_read_need_text(struct arena *a, struct str object, const char *key,
                                            const char **ret)
{
    *ret = json_scan_string(a, json_scan_get(object, key));
    return *ret ? NULL : err(ERR_BAD_JSON, "\"%s\" must be a string", key);
}

const struct err *edu_read_direct_to_device(struct arena *a, const char *origin, struct str content,
                                            struct direct_to_device *ret)
{
    TRY(edu_read_need_text(a, content, "sender", &ret->sender));
    TRY(edu_read_need_text(a, content, "type", &ret->type));
    TRY(edu_read_need_text(a, content, "message_id", &ret->message_id));
    ret->messages = json_scan_get(content, "messages");
    if (!ret->messages.p || ret->messages.p[0] != '{')
        return err(ERR_BAD_JSON, "\"messages\" must be an object");
    if (!id_is_user_of(ret->sender, origin))
        return err(ERR_FORBIDDEN, "%.100s is not a user of %.100s", ret->sender, origin);
    if (strlen(ret->type) > TYPE_BYTES_MAX || strlen(ret->message_id) > MESSAGE_ID_BYTES_MAX)
        return err(ERR_INVALID_PARAM, "The type or the id of a message is too long");
    return NULL;
}
