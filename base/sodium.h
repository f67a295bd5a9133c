/* libsodium, which must be initialized before it is used. */
#ifndef BASE_SODIUM_H
#define BASE_SODIUM_H

void sodium_begin(void); /* the first call initializes it; from any thread */

#endif
