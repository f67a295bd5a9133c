/* SHA-256 by OpenSSL, the digest fetched once per process. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include "base/str.h"

enum { SHA256_BYTES = 32 };

void sha256(struct str bytes, unsigned char ret[SHA256_BYTES]);
void sha256_parts(const struct str *parts, size_t n, unsigned char ret[SHA256_BYTES]);
/* All of a file, from its beginning; false and errno when it cannot be read. */
bool sha256_file(int fd, unsigned char ret[SHA256_BYTES]);

#endif
