build-asan/obj/base/json.o: base/json.c base/json.h base/arena.h \
 base/err.h base/errors.def base/str.h
base/json.h:
base/arena.h:
base/err.h:
base/errors.def:
base/str.h:
