/* The extensions of sliding sync. Private to them. */
#ifndef SERVER_SLIDING_EXTENSIONS_H
#define SERVER_SLIDING_EXTENSIONS_H

#include "server/sliding/sliding.h"

static inline void extension_begin(struct buf *out, const char *name)
{
    buf_add_json_comma(out);
    buf_printf(out, "\"%s\":{", name);
}

/* room_extensions.c: those with something of rooms. Nothing is written if there is nothing new. */
const struct err *extension_write_account_data(struct sliding_sync *s, struct buf *out);
const struct err *extension_write_receipts(struct sliding_sync *s, struct buf *out);
const struct err *extension_write_typing(struct sliding_sync *s, struct buf *out);

#endif
