/* What the files of "Server-side key backups" share. */
#ifndef SERVER_CLIENT_E2EE_ROOM_KEYS_H
#define SERVER_CLIENT_E2EE_ROOM_KEYS_H

#include "storage/devices/key_backup.h"

/* Versions are positive decimal numbers; whatever else a client names is no backup of ours. */
bool backup_version_parse(const char *text, int64_t *ret);

#endif
