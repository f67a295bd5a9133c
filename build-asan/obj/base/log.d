build-asan/obj/base/log.o: base/log.c base/log.h base/err.h \
 base/errors.def base/clock.h base/str.h base/arena.h
base/log.h:
base/err.h:
base/errors.def:
base/clock.h:
base/str.h:
base/arena.h:
