"""The tables of limits in docs/operations.md ("Limits"): each row has a test, which is named
here. A row without a test fails, and so does a name that no test has."""

import pathlib
import re

TESTS = pathlib.Path(__file__).parent.parent
OPERATIONS = TESTS.parent / "docs" / "operations.md"
STORED, REQUEST = "test_stored_limits.py", "test_request_limits.py"

# The first cell of a row: FILE::TEST, several with spaces between. FILE.c is in tests/unit, FILE.py in
# tests/api, unless it says where.
PROOFS = {
    # stored
    "to-device messages that wait for one device":
        "test_to_device.py::test_the_oldest_are_removed_over_the_limit_of_a_device",
    "waiting to-device messages of one user": "test_to_device.py::test_the_oldest_are_removed_over_the_limit_of_a_user",
    "waiting to-device messages of another server":
        "test_to_device.py::test_the_oldest_go_of_a_server_that_has_too_much_waiting",
    "devices in one request": f"{STORED}::test_devices_in_one_request",
    "media of a user": "test_media.py::test_quota test_media.py::test_a_quota_is_kept_under_concurrency",
    "announced uploads of a user": "test_media.py::test_announced_uris_expire_and_are_limited",
    "media of other servers":
        "test_fed_media.py::test_the_oldest_over_the_budget_are_removed_and_made_again",
    "the same, by age": "test_fed_media.py::test_old_media_is_removed_with_its_thumbnails",
    "thumbnails": "test_thumbnails.py::test_the_oldest_over_the_budget_are_removed",
    "key backups of a user": "test_key_backup.py::test_the_backups_of_a_user_are_bounded "
                             "test_key_backup.py::test_backups_of_a_user_are_bounded",
    "one-time keys of a device": f"{STORED}::test_one_time_keys_of_a_device",
    "other users whose keys a user has signed": f"{STORED}::test_signatures",
    "account data of a user": f"{STORED}::test_account_data",
    "ignored users": "test_account_data.py::test_so_many_users_can_be_ignored",
    "devices of a user": "test_abuse.py::test_devices_are_bounded",
    "filters of a user": f"{STORED}::test_filters",
    "push rules of a user": "test_push_rules.c::test_number_of_rules",
    "pushers of a user": f"{STORED}::test_pushers",
    "aliases that a user has made; of a room": f"{STORED}::test_aliases {STORED}::test_aliases_of_a_room",
    "transaction ids of events": "test_retention.c::test_transaction_ids_go_by_age",
    "receipts of a user in one room": f"{STORED}::test_receipts_in_threads",
    "reports by a user": f"{STORED}::test_reports",
    "sessions of user-interactive authentication of a user":
        f"{STORED}::test_sessions_of_user_interactive_authentication {STORED}::test_tokens_of_a_few_minutes",
    "openid and login tokens": f"{STORED}::test_tokens_of_a_few_minutes",
    "profile, presence of a user":
        f"test_profile.py::test_the_whole_profile_is_bounded {STORED}::test_presence_of_devices",
    "dehydrated device of a user": "test_dehydrated_device.py::test_its_data_is_bounded "
                                   "test_dehydrated_device.py::test_a_new_one_replaces_it",
    "devices of one user on another server":
        "test_fed_device_lists.py::test_more_devices_than_are_taken",
    "waiting events of another server": "test_fed_hostile.py::test_waiting_events_are_bounded",
    "items that another server refused":
        "test_fed_refused.py::test_no_more_than_a_thousand_things_are_kept",
    "records of which users a message singled out": "test_retention.c::test_actions_go_once_they_are_read "
                                        "test_retention.c::test_young_actions_are_kept",
    "rooms that a user is in or knocks at": f"{STORED}::test_rooms",
    "rooms that a user has made, or was the first to join through another server":
        f"{STORED}::test_new_rooms",
    "rooms with invites from another server and no local member":
        "test_fed_invite.py::test_a_foreign_server_fills_no_list",
    "pending invites of a user; of these from one other server":
        f"{STORED}::test_invites_that_wait test_fed_invite.py::test_a_foreign_server_fills_no_list",
    "current state events of one local sender in a room, except members":
        f"{STORED}::test_state_of_a_room {STORED}::test_number_of_state_events_of_a_room",
    "state events with an empty key in a room that is joined through another server":
        "test_fed_join.py::test_more_kinds_of_state_than_are_taken_at_once",
    "rooms, messages, state otherwise": "test_abuse.py::test_rooms_joins_and_messages_are_limited",
    "rooms that never had a local member, after the last local user has rejected the invite":
        "test_remote_join.c::noted_rooms_go_when_they_are_old",
    "`initial_state`, invites of a new room": "test_create_room.py::test_a_new_room_is_of_bounded_size",
    "bans, and rooms of a space, that an upgrade copies": "test_upgrade.py::test_more_bans_than_are_copied",
    # brought
    "a body of login, refresh, registration, `requestToken`":
        f"{REQUEST}::test_bodies test_routes.c::test_small_ones",
    "a body that sends an event, makes a room, queries or stores keys, or is another server's invite":
        f"{REQUEST}::test_bodies test_routes.c::test_setting",
    "a state event; account data": f"{REQUEST}::test_bodies",
    "to-device messages; a key backup; a server's transaction":
        f"{REQUEST}::test_bodies {REQUEST}::test_keys_of_one_backup_request {REQUEST}::test_bodies_of_servers",
    "other JSON bodies": f"{REQUEST}::test_bodies test_routes.c::test_limits_of_bodies",
    "nesting": f"{REQUEST}::test_nesting test_json.c::test_read test_json_scan.c::test_depth",
    "a parsed JSON document in memory": "test_json.c::test_tree_bounds",
    "bodies in memory, beyond 4 KiB of each": "test_http_bodies.c::test_bodies_share_a_budget",
    "JSON trees in memory, beyond 256 KiB of a request":
        "test_json.c::test_sources_are_served_in_turn test_json.c::test_another_source_has_its_share",
    "replies of other servers in memory, beyond 64 KiB of each":
        "test_http_client.c::test_replies_share_a_budget",
    # at once
    **{row: f"{REQUEST}::test_pools test_http_fair.c::test_few_of_one_run_at_once "
            "test_http_fair.c::test_too_many_are_refused"
       for row in ("client", "federation", "slow: thumbnails, uploads", "search",
                   "initial: initial syncs, or more than 2,000 events from the database",
                   "remote: waits for other servers", "watch: `/health`, `/ready`, `/metrics`")},
    "password: hashing":
        f"{REQUEST}::test_pools test_http_fair.c::test_urgent_requests "
        "test_http_fair.c::test_ordinary_requests_have_a_bound "
        "test_login.py::test_one_login_does_not_wait_for_many",
    # computed
    "`/search`": "test_search.py::test_hostile_texts_and_terms_are_bounded test_search_terms.c::test_bounds",
    "`/search`: time": "test_search.py::test_a_search_ends_when_its_time_is_over",
    "`/search`: order and count": f"{REQUEST}::test_ranking_and_counts",
    "`/search` with `include_state`": "test_search.py::test_a_page_has_the_state_of_ten_rooms",
    "`/user_directory/search`": f"{REQUEST}::test_a_name_that_more_have_than_are_looked_at",
    "`/user_directory/search`: term and time":
        "test_user_directory.py::test_bad_searches test_user_directory.py::test_words_beyond_the_tenth_do_not_count "
        "test_search.py::test_a_search_ends_when_its_time_is_over",
    "`/hierarchy`": "test_fed_hierarchy.py::test_the_rooms_of_a_tree_are_bounded "
                    "test_hierarchy.c::the_children_of_a_tree_are_bounded "
                    "test_fed_hierarchy.py::test_a_space_of_many_servers_comes_page_by_page",
    "`/hierarchy`: a page": "test_spaces.py::test_a_page_ends_when_it_is_long",
    "`/sync`, initial or `full_state`": f"{REQUEST}::test_events_of_a_sync",
    "`/messages`, `/context`, `/relations`": f"{REQUEST}::test_events_of_a_page",
    "`limit` of `/messages`, `/context`, `/initialSync`, of a filter's timeline":
        "test_page_limits.py::test_messages test_page_limits.py::test_context "
        "test_page_limits.py::test_sync test_page_limits.py::test_initial_sync_of_a_room",
    "`/notifications`": f"test_notifications.py::test_pages {REQUEST}::test_notifications_have_a_time_limit",
    "`/keys/query`, `/keys/claim`":
        f"{REQUEST}::test_users_of_one_question test_fed_e2ee.py::test_servers_that_do_not_answer_are_failures",
    "`/publicRooms`": f"{REQUEST}::test_rooms_of_a_page test_directory.py::test_long_topics",
    "`/publicRooms`: searched text": "test_directory.py::test_searches_in_long_topics",
    "`/refresh`": "test_abuse.py::test_refreshes_count_for_their_user",
    "`/threads`, `/relations` without a type or with `recurse`":
        "test_relations.py::test_questions_about_a_whole_room_have_a_time_limit",
    "events of a fork in one write": "test_resolve_cost.c::events_that_go_on_share_a_commit "
                                     "test_resolve_cost.c::a_long_conflict_costs_no_statements",
    "an event of a fork in a room": "test_resolve_large.c::large_conflicts_are_left_for_later",
    "a join, invite or leave of another server in such a room":
        "test_resolve_large.c::large_conflicts_run_one_at_a_time "
        "test_fed_large.py::test_joins_and_invites_succeed",
    "forward extremities of a room": "test_extremities.c::many_branches_are_brought_together "
                                     "test_fed_extremities.py::test_branches_are_brought_together",
    "requests that another server limits (429)":
        "test_fed_limited.py::test_too_many_joins_keep_no_message_back",
    "making thumbnails": "test_thumbnails.py::test_bombs test_thumbnails.py::test_one_user_has_two_made_at_once",
    "filters": "test_filter.c::test_bounds",
    "a user's own push rules, for one event": "test_push_eval.c::test_steps_are_bounded",
}


def rows():
    """The first cells of all rows, in their order."""
    text = OPERATIONS.read_text().split("\n## Limits\n")[1].split("\n## ")[0]
    table = re.findall(r"^\|.*$", text, re.M)
    heads = {i - 1 for i, line in enumerate(table) if line.startswith("| ---")}
    return [line.split("|")[1].strip() for i, line in enumerate(table)
            if i not in heads and i - 1 not in heads]


def test_each_row_has_a_test():
    assert len(rows()) == len(set(rows())) > 60
    assert "" not in rows(), "a row that goes on with the one above needs a name of its own"
    assert [r for r in rows() if r not in PROOFS] == []


def test_there_is_a_row_for_each():
    assert [r for r in PROOFS if r not in rows()] == []


def exists(proof):
    file, test = proof.split("::")
    if file.endswith(".c"):
        text = (TESTS / "unit" / file).read_text()
        return f"static void {test}(void **state)" in text and len(re.findall(rf"\b{test}\b", text)) > 1
    path = TESTS / file if "/" in file else TESTS / "api" / file
    return re.search(rf"^def {test}\(", path.read_text(), re.M) is not None


def test_the_tests_exist():
    assert [p for proofs in PROOFS.values() for p in proofs.split() if not exists(p)] == []
