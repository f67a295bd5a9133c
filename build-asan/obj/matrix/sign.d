build-asan/obj/matrix/sign.o: matrix/sign.c matrix/sign.h base/json.h \
 base/arena.h base/err.h base/errors.def base/str.h \
 matrix/canonical_json.h
matrix/sign.h:
base/json.h:
base/arena.h:
base/err.h:
base/errors.def:
base/str.h:
matrix/canonical_json.h:
