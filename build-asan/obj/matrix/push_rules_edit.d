build-asan/obj/matrix/push_rules_edit.o: matrix/push_rules_edit.c \
 matrix/push_rules_predefined.h matrix/push_rules.h base/json.h \
 base/arena.h base/err.h base/errors.def base/str.h
matrix/push_rules_predefined.h:
matrix/push_rules.h:
base/json.h:
base/arena.h:
base/err.h:
base/errors.def:
base/str.h:
