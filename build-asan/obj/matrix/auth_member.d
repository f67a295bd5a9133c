build-asan/obj/matrix/auth_member.o: matrix/auth_member.c \
 matrix/auth_internal.h matrix/auth_rules.h matrix/event.h base/json.h \
 base/arena.h base/err.h base/errors.def base/str.h matrix/room_version.h \
 matrix/canonical_json.h matrix/sign.h matrix/json_scan.h
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
matrix/json_scan.h:
