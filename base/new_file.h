/* Files that are being written. They have no name until they are complete, and end with their
 * process.
 *
 * File systems of several machines mostly have no such files (O_TMPFILE: not NFS, not CephFS).
 * There the file has a random name in its folder until it is closed; a crash leaves it behind, and
 * new_files_sweep removes it. Failures are in errno. */
#ifndef BASE_NEW_FILE_H
#define BASE_NEW_FILE_H

#include <stdbool.h>
#include <stdint.h>

/* For reading and writing, to be closed with new_file_close. -1: it failed. */
int new_file_open(const char *folder);
/* The same as on a file system without O_TMPFILE. */
int new_file_open_named(const char *folder);
/* One that cannot be linked, to be closed with close. */
int new_file_open_scratch(const char *folder);

/* Gives it its name, in its file system. False and EEXIST: there is such a file, which stays. */
bool new_file_link(int fd, int folder, const char *name);
void new_file_close(int fd);

/* Removes what crashes have left in this folder, last written before that time (Unix, s). */
void new_files_sweep(const char *folder, int64_t before_s);

#endif
