build-asan/obj/base/err.o: base/err.c base/err.h base/errors.def
base/err.h:
base/errors.def:
