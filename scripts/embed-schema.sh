#!/bin/bash
# Prints a C file that holds the given migrations (schema/NNNN-name.sql) as strings.
set -eu
printf '#include "storage/migrate.h"\n\n#include <stddef.h>\n'
echo 'const struct migration migrations[] = {'
for file in "$@"; do
    name=$(basename "$file" .sql)
    echo "    {$((10#${name%%-*})), \"$name\","
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/        "/' -e 's/$/\\n"/' "$file"
    echo '    },'
done
echo '    {0, NULL, NULL},'
echo '};'
