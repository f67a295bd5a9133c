build-asan/obj/base/arena.o: base/arena.c base/arena.h base/err.h \
 base/errors.def base/mem.h
base/arena.h:
base/err.h:
base/errors.def:
base/mem.h:
