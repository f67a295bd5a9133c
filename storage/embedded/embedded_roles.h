/* The roles and the database of the embedded cluster. For embedded.c. */
#ifndef STORAGE_EMBEDDED_EMBEDDED_ROLES_H
#define STORAGE_EMBEDDED_EMBEDDED_ROLES_H

#include "storage/embedded/embedded_cluster.h"

/* Makes the role and the database when they are missing, and gives it what is not its own yet. At
 * every start, while the cluster is ready. */
const struct err *embedded_prepare_roles(const struct cluster *c);

#endif
