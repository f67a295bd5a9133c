build-asan/obj/base/sha256.o: base/sha256.c base/sha256.h base/str.h \
 base/arena.h base/err.h base/errors.def
base/sha256.h:
base/str.h:
base/arena.h:
base/err.h:
base/errors.def:
