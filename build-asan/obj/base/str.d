build-asan/obj/base/str.o: base/str.c base/str.h base/arena.h base/err.h \
 base/errors.def base/mem.h
base/str.h:
base/arena.h:
base/err.h:
base/errors.def:
base/mem.h:
