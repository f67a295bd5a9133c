build-asan/unit/test_password.o: tests/unit/test_password.c \
 server/password.h base/arena.h base/err.h base/errors.def
server/password.h:
base/arena.h:
base/err.h:
base/errors.def:
