#include "storage/schema/deployment.h"

SQL(deployment_get_sql, "SELECT server_name FROM deployment")
SQL(deployment_claim_sql,
    "INSERT INTO deployment (server_name) VALUES ($1) ON CONFLICT ((true)) DO NOTHING")
/* Databases may be older than the row: then their accounts have the server's name. Ours is first,
 * if it is among them. */
SQL(deployment_of_accounts_sql,
    "SELECT server_of(u.user_id) FROM accounts a JOIN users u ON u.id = a.\"user\" "
    "GROUP BY 1 ORDER BY server_of(u.user_id) = $1 DESC, count(*) DESC LIMIT 1")

static const struct err *belongs_to_another(const char *owner, const char *server_name)
{
    return err(ERR_INVALID_PARAM,
               "This database belongs to %.80s, but `server_name` is %.80s. Set `server_name` as "
               "`serve` has it (--config, --set, CONCORDE_SERVER_NAME); it can never be changed",
               owner, server_name);
}

const struct err *deployment_check(struct tx *tx, const char *server_name, bool may_claim,
                                   bool *ret_claimed)
{
    const char *owner;
    bool claimed = false;
    TRY(db_one(tx, &deployment_get_sql, NO_PARAMS, NULL, R(TEXT_OUT(&owner))));
    if (!owner && !may_claim)
        return err(ERR_INVALID_PARAM,
                   "No server has used this database yet: `concorde serve` first");
    if (!owner) {
        TRY(db_one(tx, &deployment_of_accounts_sql, P(TEXT(server_name)), NULL,
                   R(TEXT_OUT(&owner))));
        if (owner && strcmp(owner, server_name) != 0)
            return belongs_to_another(owner, server_name);
        claimed = !owner;
        TRY(db_exec(tx, &deployment_claim_sql, P(TEXT(server_name)), NULL));
        TRY(db_one(tx, &deployment_get_sql, NO_PARAMS, NULL, R(TEXT_OUT(&owner))));
    }
    if (strcmp(owner, server_name) != 0)
        return belongs_to_another(owner, server_name);
    if (ret_claimed)
        *ret_claimed = claimed;
    return NULL;
}
