build-asan/obj/server/password.o: server/password.c server/password.h \
 base/arena.h base/err.h base/errors.def
server/password.h:
base/arena.h:
base/err.h:
base/errors.def:
