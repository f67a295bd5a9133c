/* What a write is made of. Private to write.c and committer.c. */
#ifndef STORAGE_WRITE_INTERNAL_H
#define STORAGE_WRITE_INTERNAL_H

#include "storage/batch.h"

#include <semaphore.h>

struct write {
    struct arena *arena; /* the job's, which waits and so does not touch it */
    struct change *changes;
    size_t changes_n, changes_room;
    struct row *rows, **last_row;
    struct statement *statements, **last_statement;
    struct write *next; /* in the committer's queue or batch */
    sem_t done;         /* posted when the write is finished, or when it is to lead */
    bool leads;
    bool failed;
    struct err err;
};

#endif
