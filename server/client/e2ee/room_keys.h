/* Shared by the files of "Server-side key backups". */
#ifndef SERVER_CLIENT_E2EE_ROOM_KEYS_H
#define SERVER_CLIENT_E2EE_ROOM_KEYS_H

#include "storage/devices/key_backup.h"

/* Versions are positive decimal numbers; no other text is the version of a backup. */
bool backup_version_parse(const char *text, int64_t *ret);

#endif
