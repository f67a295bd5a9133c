build-asan/obj/matrix/auth_third_party.o: matrix/auth_third_party.c \
 matrix/auth_internal.h matrix/auth_rules.h matrix/event.h base/json.h \
 base/arena.h base/err.h base/errors.def base/str.h matrix/room_version.h \
 matrix/canonical_json.h matrix/sign.h
matrix/auth_internal.h:
matrix/auth_rules.h:
matrix/event.h:
base/json.h:
base/arena.h:
base/err.h:
base/errors.def:
base/str.h:
matrix/room_version.h:
matrix/canonical_json.h:
matrix/sign.h:
