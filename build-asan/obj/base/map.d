build-asan/obj/base/map.o: base/map.c base/map.h base/str.h base/arena.h \
 base/err.h base/errors.def base/mem.h
base/map.h:
base/str.h:
base/arena.h:
base/err.h:
base/errors.def:
base/mem.h:
